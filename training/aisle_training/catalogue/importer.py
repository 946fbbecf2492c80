"""Make a catalogue from records and pictures, wherever both come from."""

from __future__ import annotations

import itertools
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from aisle_training.catalogue.catalogue import REPORT_NAME, Catalogue
from aisle_training.catalogue.errors import CatalogueError
from aisle_training.catalogue.import_report import ImportReport, UnreadablePicture, report_on
from aisle_training.catalogue.picture_check import (
    CheckedPicture,
    UnreadablePictureError,
    check_picture,
    quiet_decoding,
)
from aisle_training.catalogue.picture_sources import FoundPicture, PictureSource, RefusedPicture
from aisle_training.catalogue.records import Record, SkippedRow, SkipReason
from aisle_training.catalogue.writer import CatalogueWriter

DECODING_THREADS = 2  # Pillow gives up the interpreter lock while it decodes
PICTURES_IN_FLIGHT = 16  # bounds memory: so many encoded pictures are held at once


def import_catalogue(
    rows: Iterable[Record | SkippedRow],
    pictures: PictureSource,
    target: Path,
    *,
    replace: bool = False,
    progress: Callable[[int, int], None] = lambda done, wanted: None,
) -> ImportReport:
    """Make a catalogue.

    A row whose picture is missing or unreadable is kept without one, unless its title is blank too. Of rows with one
    id the first is kept. The catalogue appears whole or not at all.

    Args:
        rows: What an importer understood, and what it did not.
        pictures: Where the pictures are that the records name.
        target: The folder that the catalogue will be.
        replace: Whether a catalogue that stands there may be replaced.
        progress: Called after each picture with how many were looked at, and how many are wanted at most.

    Returns:
        What was read, kept, skipped and found; it stands in the catalogue too, as `import_report.json`.

    Raises:
        CatalogueError: The rows or the pictures cannot be read at all, or the target cannot be written.
    """
    try:
        with CatalogueWriter(target, replace=replace) as writer:
            return _import(rows, pictures, writer, progress)
    except (OSError, sqlite3.Error) as error:
        raise CatalogueError(f"the catalogue {target} could not be written: {error}") from error


def _import(
    rows: Iterable[Record | SkippedRow],
    pictures: PictureSource,
    writer: CatalogueWriter,
    progress: Callable[[int, int], None],
) -> ImportReport:
    started = time.monotonic()
    intake = _Intake(writer, pictures)
    intake.take_rows(rows)
    intake.take_pictures(progress)
    intake.drop_blank()
    writer.flush()
    report = report_on(
        Catalogue.open(writer.folder),
        rows_read=intake.rows_read,
        skipped=intake.skipped,
        unreadable=intake.unreadable,
        seconds=time.monotonic() - started,
    )
    (writer.folder / REPORT_NAME).write_text(report.json(), encoding="utf-8")
    writer.publish()
    return report


class _Intake:
    """One import's way from rows and pictures into the writer, and what it sees on the way."""

    def __init__(self, writer: CatalogueWriter, source: PictureSource) -> None:
        self._writer = writer
        self._source = source
        self._ids_by_picture: dict[str, list[str]] = {}
        self._blank: dict[str, Record] = {}  # records whose title is blank, until their picture turns up
        self.rows_read = 0
        self.skipped: list[SkippedRow] = []
        self.unreadable: list[UnreadablePicture] = []

    def take_rows(self, rows: Iterable[Record | SkippedRow]) -> None:
        for row in rows:
            self.rows_read += 1
            if isinstance(row, SkippedRow):
                self.skipped.append(row)
            elif not self._writer.add(row):
                self.skipped.append(
                    SkippedRow(row.where, SkipReason.DUPLICATE_ID, f"an earlier row has the id {row.id!r} as well")
                )
            else:
                if not row.title:
                    self._blank[row.id] = row
                if row.picture_name is not None:
                    self._want(row.id, row.picture_name)

    def take_pictures(self, progress: Callable[[int, int], None]) -> None:
        wanted = len(self._ids_by_picture)
        with quiet_decoding():
            for done, (picture, checked) in enumerate(_checked(self._source.read(self._ids_by_picture)), start=1):
                for product_id in self._ids_by_picture[picture.name]:
                    if isinstance(picture, FoundPicture) and isinstance(checked, CheckedPicture):
                        self._writer.add_picture(product_id, picture.content, checked)
                        self._blank.pop(product_id, None)
                    else:
                        self.unreadable.append(UnreadablePicture(product_id, picture.name, str(checked)))
                progress(done, wanted)

    def drop_blank(self) -> None:
        """Take out again what has neither title nor picture: there is nothing to learn from it."""
        self._writer.remove(self._blank)
        self.unreadable = [picture for picture in self.unreadable if picture.id not in self._blank]
        self.skipped += [
            SkippedRow(record.where, SkipReason.NEITHER, f"product {product_id!r} has no title and no readable picture")
            for product_id, record in self._blank.items()
        ]

    def _want(self, product_id: str, picture_name: str) -> None:
        name = self._source.resolve(picture_name)
        if isinstance(name, RefusedPicture):
            self.unreadable.append(UnreadablePicture(product_id, picture_name, name.reason))
        else:
            self._ids_by_picture.setdefault(name, []).append(product_id)


def _checked(
    pictures: Iterator[FoundPicture | RefusedPicture],
) -> Iterator[tuple[FoundPicture | RefusedPicture, CheckedPicture | str]]:
    """Decode pictures on a few threads; hand each on, in its turn, with what was found of it or why it is refused."""
    with ThreadPoolExecutor(DECODING_THREADS, thread_name_prefix="decode") as executor:
        in_flight: deque[tuple[FoundPicture | RefusedPicture, Future[CheckedPicture | str]]] = deque()
        for picture in itertools.chain(pictures, (None,)):
            if picture is not None:
                in_flight.append((picture, executor.submit(_check, picture)))
            while in_flight and (picture is None or len(in_flight) >= PICTURES_IN_FLIGHT):
                checked, future = in_flight.popleft()
                yield checked, future.result()


def _check(picture: FoundPicture | RefusedPicture) -> CheckedPicture | str:
    if isinstance(picture, RefusedPicture):
        return picture.reason
    try:
        return check_picture(picture.content)
    except UnreadablePictureError as error:
        return str(error)
