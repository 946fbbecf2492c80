"""What an import tells its user: a table for the eye, and everything in JSON beside the catalogue."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any

from aisle_training.catalogue.catalogue import Catalogue
from aisle_training.catalogue.duplicates import Duplicates, find_duplicates
from aisle_training.catalogue.records import SkippedRow

MAX_LISTED = 1000


@dataclass(frozen=True, slots=True)
class UnreadablePicture:
    """A picture that was found, or at least named, and cannot be used: its product is kept without one."""

    id: str
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import read, kept, skipped and found.

    Attributes:
        rows_read: Rows that are not blank.
        rows_kept: Rows that became products.
        skipped: The other rows.
        pictures_kept: Products with a picture.
        missing: Ids of products whose picture is nowhere in the source, or that name none.
        unreadable: Pictures of products that cannot be used.
        duplicates: Exact duplicates among the products, and their conflicts.
        seconds: Wall-clock time of the import.
    """

    rows_read: int
    rows_kept: int
    skipped: list[SkippedRow]
    pictures_kept: int
    missing: list[str]
    unreadable: list[UnreadablePicture]
    duplicates: Duplicates
    seconds: float

    def lines(self) -> list[tuple[str, str]]:
        """The table: what was counted, and the count."""
        reasons = Counter(row.reason for row in self.skipped)
        duplicates = self.duplicates
        conflicts = Counter(conflict.same for conflict in duplicates.conflicts)
        return [
            ("rows read", f"{self.rows_read:,}"),
            ("rows kept", f"{self.rows_kept:,}"),
            ("rows skipped", f"{len(self.skipped):,}"),
            *((f"  {reason}", f"{count:,}") for reason, count in sorted(reasons.items())),
            ("pictures kept", f"{self.pictures_kept:,}"),
            ("pictures missing", f"{len(self.missing):,}"),
            ("pictures unreadable", f"{len(self.unreadable):,}"),
            ("products that share a title", f"{duplicates.title_products:,} in {duplicates.title_sets:,} sets"),
            ("products with identical pixels", f"{duplicates.pixel_products:,} in {duplicates.pixel_sets:,} sets"),
            ("sets with conflicting categories", f"{len(duplicates.conflicts):,}"),
            ("  among those of one title", f"{conflicts['title']:,}"),
            ("  among those of identical pixels", f"{conflicts['pixels']:,}"),
            ("seconds", f"{self.seconds:.1f}"),
        ]

    def table(self) -> str:
        """The table as text, one line a count."""
        lines = self.lines()
        width = max(len(name) for name, _ in lines)
        return "\n".join(f"{name:<{width}}  {value}" for name, value in lines)

    def json(self) -> str:
        """Everything as JSON. Of each list the length and the first `MAX_LISTED` entries."""
        duplicates = self.duplicates
        report = {
            "rows_read": self.rows_read,
            "rows_kept": self.rows_kept,
            "rows_skipped": {
                **_listing(self.skipped),
                "reasons": dict(sorted(Counter(row.reason for row in self.skipped).items())),
            },
            "pictures_kept": self.pictures_kept,
            "pictures_missing": _listing(self.missing),
            "pictures_unreadable": _listing(self.unreadable),
            "duplicate_titles": {"sets": duplicates.title_sets, "products": duplicates.title_products},
            "duplicate_pixels": {"sets": duplicates.pixel_sets, "products": duplicates.pixel_products},
            "conflicts": _listing(duplicates.conflicts),
            "seconds": round(self.seconds, 3),
        }
        return json.dumps(report, indent=2, ensure_ascii=False) + "\n"


def report_on(
    catalogue: Catalogue,
    *,
    rows_read: int,
    skipped: list[SkippedRow],
    unreadable: list[UnreadablePicture],
    seconds: float,
) -> ImportReport:
    """Put together what was seen on the way in and what the catalogue shows now that it is made."""
    products = catalogue.products()
    unreadable_ids = {picture.id for picture in unreadable}
    without_picture = [product.id for product in products if product.picture is None]
    return ImportReport(
        rows_read=rows_read,
        rows_kept=len(products),
        skipped=skipped,
        pictures_kept=len(products) - len(without_picture),
        missing=[product_id for product_id in without_picture if product_id not in unreadable_ids],
        unreadable=unreadable,
        duplicates=find_duplicates(products, catalogue.pixel_hashes()),
        seconds=seconds,
    )


def _listing(entries: Sequence[Any]) -> dict[str, Any]:
    first = [asdict(entry) if is_dataclass(entry) else entry for entry in entries[:MAX_LISTED]]  # type: ignore[arg-type]
    return {"count": len(entries), "first": first}
