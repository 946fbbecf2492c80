"""The file that a catalogue's results are appended to: one CSV row a product, whole rows only, whenever it is looked at."""

from __future__ import annotations

import contextlib
import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self, TextIO

from aisle_client.categories import SEPARATOR, Categorization, Category
from aisle_client.errors import CatalogueError, RequestError
from aisle_client.products import Outcome

_DECISION_COLUMNS: Final = ("decision", "answer", "answer_confidence", "answer_id")


class ResultsFile:
    """Results of a catalogue, opened to go on with them.

    Columns: `id`, `category`, `confidence`, `used`; where products are decided upon `decision`, `answer`, `answer_confidence`,
    `answer_id`; for each further alternative `category_2`, `confidence_2`, ...; and `error`. `decision` is auto, review or
    abstain, `answer` the path that is answered or proposed, and `answer_id` its id in the taxonomy.
    A last row that was cut off, by a full disk or a lost process, is taken away when the file is opened.

    Args:
        path: Made when it is not there.
        top_k: How many categories a row holds.
        is_decided: Whether rows hold decisions.

    Raises:
        CatalogueError: The file holds something else, or cannot be written.
    """

    def __init__(self, path: Path, top_k: int, *, is_decided: bool = False) -> None:
        self._path = path
        self._top_k = top_k
        self._decision_columns = list(_DECISION_COLUMNS) if is_decided else []
        further = [f"{name}_{rank}" for rank in range(2, top_k + 1) for name in ("category", "confidence")]
        self._columns = ["id", "category", "confidence", "used", *self._decision_columns, *further, "error"]
        try:
            # surrogateescape: an id that was not UTF-8 in the catalogue is written with the bytes it came with.
            self._file: TextIO = path.open("a+", encoding="utf-8", errors="surrogateescape", newline="")
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            self._repair()
        except OSError as error:
            self._file.close()
            raise self._unwritable(error) from error
        except CatalogueError:
            self._file.close()
            raise
        self._writer = csv.writer(self._file, lineterminator="\n")

    def skip(self, ids: Iterator[str]) -> int:
        """Take from `ids` those that the file already holds.

        Args:
            ids: The catalogue's, in its order; left at the first one to do.

        Returns:
            How many there are.

        Raises:
            CatalogueError: The file's ids are not the first of these.
        """
        count = 0
        for fields in self._records():
            expected = next(ids, None)
            count += 1
            if fields[0] != expected:
                came = "no more products" if expected is None else f"the product {expected!r}"
                raise CatalogueError(
                    f"row {count} of {self._path} is the product {fields[0]!r} where the catalogue has {came};"
                    " these are results of another catalogue, so name another file"
                )
        return count

    def write(self, row_id: str, outcome: Outcome) -> None:
        """Append one row and hand it to the system, so that a lost process takes no row with it.

        Raises:
            CatalogueError: The disk is full, or lost.
        """
        found = outcome.categorization
        alternatives = found.alternatives[: self._top_k] if found else ()
        cells = [cell for category in alternatives for cell in _cells(category)]
        cells += [""] * (2 * self._top_k - len(cells))
        used = "+".join(found.used) if found else ""
        try:
            self._writer.writerow(
                [row_id, *cells[:2], used, *self._decision_cells(found), *cells[2:], _error_text(outcome)]
            )
            self._file.flush()
        except OSError as error:
            raise self._unwritable(error) from error

    def close(self) -> None:
        """Close the file."""
        # What could not be written was told when it was; closing tries once more, and has nothing to add.
        with contextlib.suppress(OSError):
            self._file.close()

    def _decision_cells(self, found: Categorization | None) -> Sequence[str]:
        decision = found.decision if found else None
        if decision is None:
            return [""] * len(self._decision_columns)
        cells = (decision.action, SEPARATOR.join(decision.path), f"{decision.confidence:.6f}", decision.node_id)
        return cells if self._decision_columns else ()

    def _unwritable(self, error: OSError) -> CatalogueError:
        return CatalogueError(f"{self._path} cannot be written: {error.strerror}")

    def _repair(self) -> None:
        header = ",".join(self._columns).encode() + b"\n"
        with self._path.open("rb+") as file:
            start = file.read(len(header))
            # Looked at before anything is taken away: a file that is not ours stays as it is.
            if not header.startswith(start):
                columns = start.decode("utf-8", "replace").partition("\n")[0]
                raise CatalogueError(
                    f"{self._path} begins with {columns!r}, expected {', '.join(self._columns)};"
                    " name another file, or ask for as many categories and for decisions as then"
                )
            if start == header:
                file.seek(0)
                file.truncate(_end_of_last_row(file))
            else:
                file.seek(0)
                file.truncate()
                file.write(header)

    def _records(self) -> Iterator[list[str]]:
        self._file.seek(0)
        try:
            records = csv.reader(iter(self._file.readline, ""), strict=True)
            next(records)
            for fields in records:
                if len(fields) != len(self._columns):
                    raise CatalogueError(
                        f"a row of {self._path} has {len(fields)} fields, expected {len(self._columns)}"
                    )
                yield fields
        except csv.Error as error:
            raise CatalogueError(f"{self._path} holds no results: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _end_of_last_row(file: BinaryIO) -> int:
    # A line break ends a row unless it stands within quotes; a quote within a field is doubled, so counting tells.
    end = position = quotes = 0
    for line in file:
        position += len(line)
        quotes += line.count(b'"')
        if line.endswith(b"\n") and quotes % 2 == 0:
            end = position
    return end


def _cells(category: Category) -> tuple[str, str]:
    return category.label, f"{category.confidence:.6f}"


def _error_text(outcome: Outcome) -> str:
    error = outcome.error
    text = error.reason if isinstance(error, RequestError) else str(error or "")
    return " ".join(text.split())
