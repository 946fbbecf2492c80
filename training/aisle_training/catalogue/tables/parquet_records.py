"""Read a shop's products from a Parquet file, in batches, and only the columns that are needed.

pyarrow is imported when a Parquet file is read, and not before: no other format needs it.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from aisle_training.catalogue.errors import CatalogueError
from aisle_training.catalogue.records import Record, SkippedRow, SkipReason
from aisle_training.catalogue.tables.columns import Columns, cell_text

_BATCH_ROWS: Final = 1024
_MAX_ROW_GROUP_BYTES: Final = 2 << 30  # decoding is by row group and column: what is larger does not fit in memory


def read_parquet(path: Path, columns: Columns) -> Iterator[Record | SkippedRow]:
    """Read the rows of a Parquet file.

    Args:
        path: The file.
        columns: Which column holds what.

    Yields:
        One record or one skipped row for each row, in the file's order.

    Raises:
        CatalogueError: The file cannot be read, lacks a column, or pyarrow is not installed.
    """
    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise CatalogueError("reading Parquet needs pyarrow: pip install pyarrow") from None
    try:
        with parquet.ParquetFile(path) as file:
            _check(file, path, columns)
            number = 0
            for batch in file.iter_batches(_BATCH_ROWS, columns=list(columns.names)):
                for row in batch.to_pylist():
                    number += 1
                    where = f"row {number}"
                    try:
                        cells = {name: cell_text(_decoded(value)) for name, value in row.items()}
                    except ValueError as error:
                        yield SkippedRow(where, SkipReason.MALFORMED, str(error))
                    else:
                        yield columns.parse(cells, where, number)
    except CatalogueError:
        raise
    except Exception as error:  # pyarrow raises errors of its own, OSError and ValueError for damaged files
        raise CatalogueError(f"{path} cannot be read as Parquet: {error}") from error


def _check(file: Any, path: Path, columns: Columns) -> None:
    """Refuse a file that lacks a column, or whose row groups say themselves that they are too large."""
    names = file.schema_arrow.names
    for name in columns.names:
        if names.count(name) != 1:
            times = "twice" if name in names else "no"
            raise CatalogueError(f"{path} has {times} column {name!r}; its columns are {', '.join(names)}")
    wanted = [name.split(".")[0] for name in columns.names]
    for index in range(file.metadata.num_row_groups):
        group = file.metadata.row_group(index)
        size = sum(
            group.column(column).total_uncompressed_size
            for column in range(group.num_columns)
            if group.column(column).path_in_schema.split(".")[0] in wanted
        )
        if size > _MAX_ROW_GROUP_BYTES:
            raise CatalogueError(
                f"row group {index} of {path} has {size:,} bytes in the columns wanted, "
                f"at most {_MAX_ROW_GROUP_BYTES:,} are read: write it with smaller row groups"
            )


def _decoded(value: object) -> object:
    """A binary column holds text in files that were written without a string type."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise ValueError("it is not UTF-8") from None
    return value
