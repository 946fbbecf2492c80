"""Which reader a table's file wants, by the end of its name."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from aisle_training.catalogue.errors import CatalogueError
from aisle_training.catalogue.records import Record, SkippedRow
from aisle_training.catalogue.tables.columns import Columns
from aisle_training.catalogue.tables.csv_records import read_csv
from aisle_training.catalogue.tables.json_lines_records import read_json_lines
from aisle_training.catalogue.tables.parquet_records import read_parquet

FORMATS: Final = ("csv", "tsv", "jsonl", "parquet")
_FORMATS_BY_SUFFIX: Final = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}


def read_table(
    path: Path,
    columns: Columns,
    format: str | None = None,
    delimiter: str | None = None,
    header: Sequence[str] | None = None,
) -> Iterator[Record | SkippedRow]:
    """Read a table in any of the formats.

    Args:
        path: The file.
        columns: Which column holds what.
        format: One of `FORMATS`; None to go by the end of the file's name.
        delimiter: What parts the fields of a CSV or TSV, one character; None for the format's own.
        header: The names of the columns of a CSV or TSV whose first row is a product; None where the first row names them.

    Yields:
        One record or one skipped row for each row, in the file's order.

    Raises:
        CatalogueError: The format is not known from the name, it has no header in any case and one came, or as the format's
            reader says.
    """
    format = format or _FORMATS_BY_SUFFIX.get(path.suffix.lower())
    if header is not None and format in ("jsonl", "parquet"):
        raise CatalogueError(f"{path} names its columns itself, as {format} does: expected no names for them")
    match format:
        case "csv":
            return read_csv(path, columns, delimiter or ",", header=header)
        case "tsv":
            return read_csv(path, columns, delimiter or "\t", header=header)
        case "jsonl":
            return read_json_lines(path, columns)
        case "parquet":
            return read_parquet(path, columns)
    raise CatalogueError(
        f"the format of {path} is not known by its name, expected one of {', '.join(_FORMATS_BY_SUFFIX)}"
    )


def read_category_paths(
    path: Path, columns: Columns, format: str | None = None, delimiter: str | None = None
) -> dict[str, tuple[str, ...]]:
    """Read the categories of products from a table of their own.

    Args:
        path: The file, with a header.
        columns: What the columns of products hold; of these the id and the category are looked for.
        format: As `read_table` takes it.
        delimiter: As `read_table` takes it.

    Returns:
        Product id -> category path; a row that cannot be used gives none, and the product will be told of.

    Raises:
        CatalogueError: As `read_table` says, or a product has two categories.
    """
    alone = dataclasses.replace(columns, title=(), image=None, image_pattern=None, description=(), attributes=())
    paths: dict[str, tuple[str, ...]] = {}
    for row in read_table(path, alone, format, delimiter):
        if isinstance(row, Record) and paths.setdefault(row.id, row.category) != row.category:
            raise CatalogueError(
                f"{row.where} of {path} says that {row.id!r} is {row.category}, and an earlier one {paths[row.id]}"
            )
    return paths


def read_category_names(path: Path) -> dict[str, str]:
    """Read what a shop calls its categories: a CSV of two columns, the value in the table and the name, no header.

    Raises:
        CatalogueError: The file cannot be read, a row has not two fields, or a value comes twice.
    """
    names: dict[str, str] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for row in csv.reader(file, strict=True):
                if not row:
                    continue
                if len(row) != 2 or row[0].strip() in names:
                    raise CatalogueError(f"{path} holds the row {row}, expected a new value and its name")
                names[row[0].strip()] = row[1]
    except (OSError, ValueError, csv.Error) as error:
        raise CatalogueError(f"{path} cannot be read: {error}") from error
    return names
