"""The split file: which product is for training, which for validation, which for the test.

`splits.csv` has two columns, `id` and `split`. Beside it stands `splits.json`, which records the catalogue the split
was made for, the seed, the fractions and the hash of the CSV, so that a reader can refuse a pair that does not match.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from aisle_training.catalogue.catalogue import Catalogue
from aisle_training.catalogue.errors import SplitError

SPLIT_NAMES: Final = ("train", "validation", "test")


@dataclass(frozen=True, slots=True)
class SplitOrigin:
    """What a split was made from.

    Attributes:
        catalogue_sha256: `Catalogue.content_hash` of the catalogue.
        seed: The seed of the split.
        validation: Fraction of the products asked for as validation.
        test: Fraction of the products asked for as test.
        near_duplicates: Whether products whose pictures look the same were kept together. Splits that were made before
            there was such a thing do not say.
    """

    catalogue_sha256: str
    seed: int
    validation: float
    test: float
    near_duplicates: bool = False


def write_split(path: Path, split_by_id: Mapping[str, str], origin: SplitOrigin) -> None:
    """Write a split file and, beside it, the record of its origin.

    Both appear whole or not at all, the CSV last: whoever finds it finds its record too.

    Args:
        path: Where the CSV goes, by custom `splits.csv`.
        split_by_id: Product id -> one of `SPLIT_NAMES`, in the order to write.
        origin: What the split was made from.

    Raises:
        SplitError: `path` cannot be written, or ends in `.json`, which is the record's own place.
    """
    if path.suffix == ".json":
        raise SplitError(f"the split file {path} must not end in .json: its record stands there")
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    writer.writerow(("id", "split"))
    writer.writerows(split_by_id.items())
    table = buffer.getvalue().encode()
    record = {**asdict(origin), "splits_sha256": hashlib.sha256(table).hexdigest()}
    try:
        _replace(path.with_suffix(".json"), (json.dumps(record, indent=2) + "\n").encode())
        _replace(path, table)
    except OSError as error:
        raise SplitError(f"the split file {path} cannot be written: {error.strerror}") from error


def read_split(path: Path, catalogue: Catalogue | None = None) -> dict[str, str]:
    """Read a split file.

    Args:
        path: The CSV that `write_split` wrote.
        catalogue: When given, the catalogue that the split must have been made for.

    Returns:
        Product id -> "train", "validation" or "test"; every product of the catalogue is in it.

    Raises:
        SplitError: The file is missing or damaged, its record is missing or is another file's, or the split was made
            for another catalogue.
    """
    table, origin = _read_checked(path)
    try:
        rows = list(csv.reader(io.StringIO(table.decode(), newline="")))
    except (ValueError, csv.Error) as error:
        raise SplitError(f"{path} is no CSV file: {error}") from error
    if not rows or rows[0] != ["id", "split"]:
        raise SplitError(f"{path} starts with {rows[:1]}, expected the columns id and split")
    split_by_id: dict[str, str] = {}
    for row in rows[1:]:
        if len(row) != 2 or row[1] not in SPLIT_NAMES or row[0] in split_by_id:
            raise SplitError(f"{path} holds the row {row}, expected a new id and one of {', '.join(SPLIT_NAMES)}")
        split_by_id[row[0]] = row[1]
    if catalogue is not None and catalogue.content_hash != origin.catalogue_sha256:
        raise SplitError(
            f"{path} was made for a catalogue with content hash {origin.catalogue_sha256[:12]}, "
            f"but {catalogue.folder} has {catalogue.content_hash[:12]}: split this catalogue again"
        )
    return split_by_id


def read_split_origin(path: Path) -> SplitOrigin:
    """Read what a split was made from; `path`, checks and errors as for `read_split`."""
    return _read_checked(path)[1]


def _read_checked(path: Path) -> tuple[bytes, SplitOrigin]:
    """Read the CSV's bytes and its record, and hold one against the other."""
    record_path = path.with_suffix(".json")
    try:
        table = path.read_bytes()
        record = json.loads(record_path.read_bytes())
        splits_sha256 = record.pop("splits_sha256")
        origin = SplitOrigin(**record)
    except OSError as error:
        raise SplitError(f"the split file {path} and its record {record_path.name} cannot be read: {error}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SplitError(f"{record_path} is no record of a split: {error}") from error
    if hashlib.sha256(table).hexdigest() != splits_sha256:
        raise SplitError(f"{path} is not the file that {record_path.name} was written for: make the split again")
    return table, origin


def _replace(path: Path, content: bytes) -> None:
    """Put a whole file in place of whatever was there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.write_bytes(content)
    partial.replace(path)
