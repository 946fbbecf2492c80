"""Look a whole catalogue over. Nothing is changed and nothing is left out: what is wrong is for people to judge."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aisle_training.catalogue.catalogue import REPORT_NAME, Catalogue, Product
from aisle_training.catalogue.checking.check_report import CheckReport, Finding, Section
from aisle_training.catalogue.checking.label_errors import doubt_labels
from aisle_training.catalogue.checking.picture_prints import PicturePrint
from aisle_training.catalogue.checking.scripts import BLANK, count_scripts
from aisle_training.catalogue.checking.similar_products import (
    BLANK_SPREAD,
    Progress,
    look_at_pictures,
    similar_products,
)
from aisle_training.catalogue.duplicates import duplicate_sets, find_duplicates


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """How a catalogue is looked over.

    Attributes:
        minimum_products: A category with fewer products is tiny.
        label_errors: Whether likely label errors are searched, which takes longest.
    """

    minimum_products: int = 20
    label_errors: bool = True


def check_catalogue(
    catalogue: Catalogue,
    split_by_id: Mapping[str, str] | None = None,
    options: CheckOptions | None = None,
    *,
    progress: Progress = lambda done, wanted: None,
) -> CheckReport:
    """Look a catalogue over.

    Args:
        catalogue: What to look at.
        split_by_id: Product id -> name of its split; None when there is no split to look at.
        options: How; None for the defaults.
        progress: Called with how many pictures were looked at, and how many there are.

    Returns:
        All findings.
    """
    started = time.monotonic()
    options = options or CheckOptions()
    products = catalogue.products()
    pixel_hashes = catalogue.pixel_hashes()
    prints, unreadable = look_at_pictures(products, progress)
    near = similar_products(products, pixel_hashes, prints)
    sections = [_conflicts(products, pixel_hashes, near)]
    if split_by_id is not None:
        sections.insert(0, _leaks(products, pixel_hashes, near, split_by_id))
    if options.label_errors:
        sections.append(_label_errors(products, pixel_hashes))
    sections += [
        _near_duplicates(near),
        *_exact_duplicates(products, pixel_hashes),
        _unreadable(catalogue, products, unreadable),
        _blank(products, prints),
        _tiny_classes(products, options.minimum_products),
        _scripts(products),
    ]
    return CheckReport(
        content_hash=catalogue.content_hash,
        products=len(products),
        pictures=sum(product.picture is not None for product in products),
        categories=len({product.category for product in products}),
        split=split_by_id is not None,
        sections=sections,
        seconds=time.monotonic() - started,
    )


def _conflicts(products: Sequence[Product], pixel_hashes: Mapping[str, str], near: list[list[Product]]) -> Section:
    findings = [
        Finding(tuple(conflict.categories), f"same {conflict.same}: {_categories(conflict.categories.values())}")
        for conflict in find_duplicates(products, pixel_hashes).conflicts
    ]
    findings += [
        Finding(_ids(members), f"similar pictures: {_categories(product.category for product in members)}")
        for members in near
        if len({product.category for product in members}) > 1
    ]
    return Section(
        "conflicting_labels",
        "Conflicting labels",
        "The same title, the same pixels or nearly the same picture stand in several categories. At most one is right, "
        "or the categories overlap.",
        findings,
    )


def _leaks(
    products: Sequence[Product],
    pixel_hashes: Mapping[str, str],
    near: list[list[Product]],
    split_by_id: Mapping[str, str],
) -> Section:
    sets = duplicate_sets(products, pixel_hashes)
    kinds = {
        "same title": list(sets["title"].values()),
        "same pixels": list(sets["pixels"].values()),
        "similar pictures": near,
    }
    findings = []
    for kind, groups in kinds.items():
        for members in groups:
            counts = Counter(split_by_id[product.id] for product in members if product.id in split_by_id)
            if len(counts) > 1:
                parts = ", ".join(f"{count} in {name}" for name, count in sorted(counts.items()))
                findings.append(Finding(_ids(members), f"{kind}: {parts}"))
    return Section(
        "leaks",
        "Leaks across splits",
        "What a network saw in training it is asked again in the test, so its figures say too much. A split by aisle "
        "keeps equal titles and equal pixels together; similar pictures it does with --near-duplicates.",
        findings,
    )


def _label_errors(products: Sequence[Product], pixel_hashes: Mapping[str, str]) -> Section:
    found = doubt_labels(products, pixel_hashes)
    return Section(
        "likely_label_errors",
        "Likely label errors",
        "A linear model on titles, trained without the product and its duplicates, would choose another category; the "
        "larger the margin, the surer it is. It is wrong too: look before anything is changed.",
        [
            Finding(
                (doubt.product.id,),
                f"suggested {' > '.join(doubt.suggested)}, margin {doubt.margin:.2f}",
            )
            for doubt in found.doubts
        ],
        [("products judged", found.judged), ("products not judged (no title, or too rare a class)", found.not_judged)],
    )


def _near_duplicates(near: list[list[Product]]) -> Section:
    return Section(
        "near_duplicates",
        "Near duplicates",
        "Pictures that differ by size, quality or a shade. A split with --near-duplicates keeps them together.",
        [Finding(_ids(members), _count(members)) for members in sorted(near, key=len, reverse=True)],
    )


def _exact_duplicates(products: Sequence[Product], pixel_hashes: Mapping[str, str]) -> list[Section]:
    sets = duplicate_sets(products, pixel_hashes)
    sections = []
    for same, title in (("title", "Equal titles"), ("pixels", "Identical pictures")):
        groups = sorted(sets[same].values(), key=len, reverse=True)
        findings = [Finding(_ids(members), _count(members)) for members in groups]
        explanation = f"Products with the same {same}. A split keeps them together."
        sections.append(Section(f"equal_{same}", title, explanation, findings))
    return sections


def _unreadable(catalogue: Catalogue, products: Sequence[Product], faults: Mapping[str, str]) -> Section:
    findings = [Finding((product_id,), f"in the catalogue: {reason}") for product_id, reason in faults.items()]
    counts = [("products without a picture", sum(product.picture is None for product in products))]
    listing = _import_report(catalogue).get("pictures_unreadable", {})
    try:
        findings += [Finding((str(entry["id"]),), f"at import: {entry['reason']}") for entry in listing["first"]]
        counts.append(("unreadable at import", int(listing["count"])))
    except (KeyError, TypeError, ValueError):
        counts.append(("import reports found", 0))
    return Section(
        "unreadable_pictures",
        "Unreadable pictures",
        "Pictures that could not be had or decoded. Their products are kept, and are trained on by title alone.",
        findings,
        counts,
    )


def _blank(products: Sequence[Product], prints: Mapping[str, PicturePrint]) -> Section:
    blank = [product for product in products if product.id in prints and prints[product.id].spread < BLANK_SPREAD]
    return Section(
        "blank_pictures",
        "Blank pictures",
        "Pictures of next to one colour: placeholders, or a decoder's empty canvas. They teach that white is a category.",
        [Finding((product.id,), f"spread {prints[product.id].spread:.1f} of 127.5") for product in blank],
    )


def _tiny_classes(products: Sequence[Product], minimum: int) -> Section:
    members: dict[tuple[str, ...], list[Product]] = {}
    for product in products:
        members.setdefault(product.category, []).append(product)
    tiny = sorted((category for category in members if len(members[category]) < minimum), key=lambda c: len(members[c]))
    return Section(
        "tiny_classes",
        "Tiny classes",
        f"Categories with fewer than {minimum} products: too few to learn, and too few to measure.",
        [Finding(_ids(members[category]), f"{' > '.join(category)}: {_count(members[category])}") for category in tiny],
    )


def _scripts(products: Sequence[Product]) -> Section:
    counts = count_scripts(product.title for product in products)
    blank = [Finding((product.id,), "the title is blank") for product in products if not product.title.strip()]
    return Section(
        "scripts",
        "Languages, by script",
        "In which scripts the titles are written. One tokenizer serves several; a script of a few titles is badly served.",
        blank if any(script == BLANK for script, _ in counts) else [],
        counts,
    )


def _import_report(catalogue: Catalogue) -> dict[str, Any]:
    """What the import wrote down; empty when it is gone or damaged, which is no reason not to check the rest."""
    try:
        report = json.loads((catalogue.folder / REPORT_NAME).read_bytes())
    except (OSError, ValueError):
        return {}
    return report if isinstance(report, dict) else {}


def _ids(products: Sequence[Product]) -> tuple[str, ...]:
    return tuple(product.id for product in products)


def _count(products: Sequence[Product]) -> str:
    return "1 product" if len(products) == 1 else f"{len(products):,} products"


def _categories(categories: Any) -> str:
    counts = Counter(" > ".join(category) for category in categories)
    return ", ".join(f"{name} ({count})" for name, count in counts.most_common())
