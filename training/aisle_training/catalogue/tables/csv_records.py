"""Read a shop's CSV, row by row, and lose none in silence.

The file is UTF-8, with or without a byte order mark, and has a header or is told its columns. Quoting is held to RFC
4180 (`strict`): a stray quote is reported, where a lenient reader would guess. Bytes that are not UTF-8 spoil their own
row, not the file.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

from aisle_training.catalogue.errors import CatalogueError
from aisle_training.catalogue.records import Record, SkippedRow, SkipReason
from aisle_training.catalogue.tables.columns import Columns

MAX_ROW_CHARACTERS = 1 << 20


def read_csv(
    path: Path,
    columns: Columns,
    delimiter: str = ",",
    *,
    open_end: bool = False,
    header: Sequence[str] | None = None,
) -> Iterator[Record | SkippedRow]:
    """Read the rows of a CSV.

    Args:
        path: The file.
        columns: Which column holds what.
        delimiter: One character.
        open_end: Whether delimiters beyond the last column are part of its text, for files that do not quote it.
        header: The names of the columns of a file whose first row is a product; None where the first row names them.

    Yields:
        One record or one skipped row for each row that is not blank, in the file's order.

    Raises:
        CatalogueError: The file cannot be opened, or its header lacks a column or has it twice.
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
            names = next(reader, []) if header is None else list(header)
        except csv.Error as error:
            raise CatalogueError(f"the header of {path} is malformed: {error}") from error
        parse = _RowParser(path, names, columns, open_end)
        number = 0
        while True:
            first_line = lines.start_row()
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                number += 1
                yield SkippedRow(_where(first_line, lines.number), SkipReason.MALFORMED, str(error))
                continue
            if row:
                number += 1
                yield parse(row, _where(first_line, lines.number), number, delimiter)


class _RowParser:
    """Fields to a record, by the header."""

    def __init__(self, path: Path, header: list[str], columns: Columns, open_end: bool) -> None:
        def index(column: str) -> int:
            if header.count(column) != 1:
                found = ", ".join(name.encode(errors="replace").decode() for name in header) or "nothing"
                times = "twice" if column in header else "no"
                raise CatalogueError(f"{path} has {times} column {column!r}; its header has {found}")
            return header.index(column)

        self._columns = columns
        self._open_end = open_end
        self._fields = len(header)
        self._indices = {name: index(name) for name in columns.names}

    def __call__(self, row: list[str], where: str, number: int, delimiter: str) -> Record | SkippedRow:
        if self._open_end and len(row) > self._fields:
            row = [*row[: self._fields - 1], delimiter.join(row[self._fields - 1 :])]
        if len(row) != self._fields:
            fault = f"it has {len(row)} fields, expected {self._fields}"
            return SkippedRow(where, SkipReason.MALFORMED, fault)
        return self._columns.parse({name: row[index] for name, index in self._indices.items()}, where, number)


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
