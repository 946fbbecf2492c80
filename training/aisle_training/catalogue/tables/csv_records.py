"""Read a shop's CSV, row by row, and lose none in silence.

The file is UTF-8, with or without a byte order mark, with a header. Quoting is held to RFC 4180 (`strict`): a stray
quote is reported, where a lenient reader would guess. Bytes that are not UTF-8 spoil their own row, not the file.
"""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from aisle_training.catalogue.errors import CatalogueError
from aisle_training.catalogue.records import Record, SkippedRow, SkipReason

MAX_ROW_CHARACTERS = 1 << 20
MAX_FIELD_CHARACTERS = 1 << 16
MAX_ID_CHARACTERS = 1024


@dataclass(frozen=True, slots=True)
class CsvColumns:
    """Which columns of the CSV hold what.

    Attributes:
        id: Column of the product id.
        title: Column of the title.
        category: Columns of the category path, root first, at least one. Blank columns at the end shorten the path.
        image: Column of the picture's name; None when the name follows from the id.
        image_pattern: The picture's name when there is no such column; `{id}` stands for the id.
    """

    id: str
    title: str
    category: tuple[str, ...]
    image: str | None = None
    image_pattern: str = "{id}.jpg"


def read_csv(path: Path, columns: CsvColumns, delimiter: str = ",") -> Iterator[Record | SkippedRow]:
    """Read the rows of a CSV.

    Args:
        path: The file.
        columns: Which column holds what.
        delimiter: One character.

    Yields:
        One record or one skipped row for each row that is not blank, in the file's order.

    Raises:
        CatalogueError: The file cannot be opened, its header lacks a column or has it twice, or `columns` names too
            little.
    """
    try:
        # surrogateescape carries a foreign byte to its row, where it is reported.
        file = path.open(encoding="utf-8-sig", errors="surrogateescape", newline="")
    except OSError as error:
        raise CatalogueError(f"{path} cannot be read: {error.strerror}") from error
    with file:
        lines = _BoundedLines(file)
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        try:
            header = next(reader, [])
        except csv.Error as error:
            raise CatalogueError(f"the header of {path} is malformed: {error}") from error
        parse = _RowParser(path, header, columns)
        while True:
            first_line = lines.start_row()
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield SkippedRow(_where(first_line, lines.number), SkipReason.MALFORMED, str(error))
                continue
            if row:
                yield parse(row, _where(first_line, lines.number))


class _RowParser:
    """Fields to a record, by the header."""

    def __init__(self, path: Path, header: list[str], columns: CsvColumns) -> None:
        def index(column: str) -> int:
            if header.count(column) != 1:
                found = ", ".join(name.encode(errors="replace").decode() for name in header) or "nothing"
                times = "twice" if column in header else "no"
                raise CatalogueError(f"{path} has {times} column {column!r}; its header has {found}")
            return header.index(column)

        if not columns.category:
            raise CatalogueError("no category column was named, expected at least one")
        if columns.image is None and "{id}" not in columns.image_pattern:
            raise CatalogueError(f"the image pattern {columns.image_pattern!r} lacks {{id}}: all pictures would be one")
        self._fields = len(header)
        self._id = index(columns.id)
        self._title = index(columns.title)
        self._category = [index(column) for column in columns.category]
        self._image = None if columns.image is None else index(columns.image)
        self._image_pattern = columns.image_pattern

    def __call__(self, row: list[str], where: str) -> Record | SkippedRow:
        fault = self._fault(row)
        if fault is not None:
            return SkippedRow(where, SkipReason.MALFORMED, fault)
        # A name is one line of a label file: inner whitespace, line breaks included, becomes one space.
        names = [" ".join(row[index].split()) for index in self._category]
        while names and not names[-1]:
            names.pop()
        if not names or "" in names:
            detail = (
                f"the category columns hold {[row[index] for index in self._category]}, expected no gap before a name"
            )
            return SkippedRow(where, SkipReason.EMPTY_CATEGORY, detail)
        product_id = row[self._id].strip()
        named = self._image_pattern.replace("{id}", product_id) if self._image is None else row[self._image].strip()
        return Record(where, product_id, row[self._title].strip(), tuple(names), picture_name=named or None)

    def _fault(self, row: list[str]) -> str | None:
        """Say what makes a row malformed; None when nothing does."""
        if len(row) != self._fields:
            return f"it has {len(row)} fields, expected {self._fields}"
        longest = max(map(len, row))
        if longest > MAX_FIELD_CHARACTERS:
            return f"a field has {longest} characters, expected at most {MAX_FIELD_CHARACTERS}"
        try:
            "".join(row).encode()
        except UnicodeEncodeError:
            return "it is not UTF-8"
        product_id = row[self._id].strip()
        if not product_id:
            return "its id is empty"
        if len(product_id) > MAX_ID_CHARACTERS:
            return f"its id has {len(product_id)} characters, expected at most {MAX_ID_CHARACTERS}"
        if any(unicodedata.category(character) == "Cc" for character in product_id):
            return f"its id {product_id!r} holds a control character"
        return None


class _BoundedLines:
    """The lines of a file, for a CSV reader; a row of too many characters is a CSV error before it fills memory.

    An unclosed quote or a file without line breaks would otherwise be one row. Python's own limit counts a single field
    and belongs to the whole process, so it is not ours to set.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._row_characters = 0
        self.number = 0

    def __iter__(self) -> _BoundedLines:
        return self

    def __next__(self) -> str:
        room = MAX_ROW_CHARACTERS - self._row_characters
        line = self._file.readline(room + 1)
        if not line:
            raise StopIteration
        self.number += 1
        self._row_characters += len(line)
        if len(line) > room:
            while line and line[-1] not in "\r\n":
                line = self._file.readline(MAX_ROW_CHARACTERS)
            raise csv.Error(f"it has more than {MAX_ROW_CHARACTERS} characters")
        return line

    def start_row(self) -> int:
        """Begin to count anew; return the number of the line that comes next, counted from 1."""
        self._row_characters = 0
        return self.number + 1


def _where(first_line: int, last_line: int) -> str:
    return f"line {first_line}" if first_line >= last_line else f"lines {first_line}-{last_line}"
