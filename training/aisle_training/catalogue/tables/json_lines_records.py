"""Read a shop's products from JSON Lines: one JSON object a line, UTF-8.

A column is a key; a dot leads into an inner object (`image.url`), a number into a list (`images.0.url`). A key that a
line lacks is an empty cell, but a key that no line has at all is a slip of the pen and ends the import: half a catalogue
without titles helps nobody.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final

from aisle_training.catalogue.errors import CatalogueError
from aisle_training.catalogue.records import Record, SkippedRow, SkipReason
from aisle_training.catalogue.tables.columns import Cell, Columns, cell_text

MAX_LINE_BYTES: Final = 1 << 20
_LISTED_KEYS: Final = 30  # so many keys are named when a column is not among them


def read_json_lines(path: Path, columns: Columns) -> Iterator[Record | SkippedRow]:
    """Read the rows of a JSON Lines file.

    Args:
        path: The file.
        columns: Which key holds what.

    Yields:
        One record or one skipped row for each line that is not blank, in the file's order.

    Raises:
        CatalogueError: The file cannot be opened, or a column is a key of none of its lines.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise CatalogueError(f"{path} cannot be read: {error.strerror}") from error
    keys: dict[str, None] = {}
    unseen = set(columns.names)
    number = 0
    with file:
        for line_number, line in enumerate(_bounded_lines(file), start=1):
            if line is not None and not line.strip(b"\xef\xbb\xbf \t\r\n"):
                continue
            number += 1
            where = f"line {line_number}"
            try:
                cells, found = _cells(line, columns)
            except ValueError as error:
                yield SkippedRow(where, SkipReason.MALFORMED, str(error))
                continue
            unseen -= cells.keys()
            if len(keys) < _LISTED_KEYS:
                keys.update(dict.fromkeys(found))
            yield columns.parse({name: cells.get(name, "") for name in columns.names}, where, number)
    if unseen and keys:
        missing = ", ".join(repr(name) for name in columns.names if name in unseen)
        raise CatalogueError(f"no line of {path} has the key {missing}; its keys are {', '.join(keys)}")


def _cells(line: bytes | None, columns: Columns) -> tuple[dict[str, Cell], list[str]]:
    """Take the columns out of a line; return them and the line's keys.

    Raises:
        ValueError: The line is no JSON object, or a column holds what is no cell; the text says which.
    """
    if line is None:
        raise ValueError(f"it has more than {MAX_LINE_BYTES} bytes")
    try:
        row = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    except (ValueError, RecursionError) as error:  # nesting of thousands of brackets is a RecursionError
        raise ValueError(f"it is no JSON: {error}") from None
    if not isinstance(row, dict):
        raise ValueError(f"it is a JSON {type(row).__name__}, expected an object")
    return {name: cell_text(value) for name in columns.names for value in _values(row, name)}, list(row)


def _values(row: Mapping[str, Any], name: str) -> list[Any]:
    """Look a column up, as a key or as a path of keys and of places in lists; empty when the row lacks it."""
    if name in row:
        return [row[name]]
    value: Any = row
    for key in name.split("."):
        if isinstance(value, dict) and key in value:
            value = value[key]
        elif isinstance(value, list) and key in map(str, range(len(value))):
            value = value[int(key)]
        else:
            return []
    return [value]


def _bounded_lines(file: BinaryIO) -> Iterator[bytes | None]:
    """The lines of a file; None for each that is too long, which is passed over without being held."""
    while line := file.readline(MAX_LINE_BYTES + 1):
        if len(line) <= MAX_LINE_BYTES:
            yield line
            continue
        while line and not line.endswith(b"\n"):
            line = file.readline(MAX_LINE_BYTES)
        yield None
