"""Writing and reading the split file."""

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisle_training.catalogue import Catalogue, SplitError, read_split
from aisle_training.catalogue.importer import import_catalogue
from aisle_training.catalogue.splits import SPLIT_NAMES, SplitOrigin, read_split_origin, write_split
from tests.unit.training.catalogue.drawing import PicturesInMemory, record

ORIGIN = SplitOrigin(catalogue_sha256="c0ffee", seed=7, validation=0.1, test=0.2)
SPLIT = {"1": "train", "2": "validation", "3": "test"}


def make(folder: Path, *titles: str) -> Catalogue:
    """Import products, numbered from 0, by their titles."""
    import_catalogue([record(str(n), title) for n, title in enumerate(titles)], PicturesInMemory({}), folder)
    return Catalogue.open(folder)


@given(split_by_id=st.dictionaries(st.text(st.characters(codec="utf-8"), min_size=1), st.sampled_from(SPLIT_NAMES)))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, split_by_id: dict[str, str]) -> None:
    """What was written is read, in its order, whatever text an id is."""
    path = tmp_path_factory.mktemp("splits") / "splits.csv"
    write_split(path, split_by_id, ORIGIN)
    assert list(read_split(path).items()) == list(split_by_id.items())
    assert read_split_origin(path) == ORIGIN


def test_plain_csv(tmp_path: Path) -> None:
    """The file is a CSV with a header that any other tool reads, and is there with its record and nothing else."""
    write_split(tmp_path / "new" / "splits.csv", SPLIT, ORIGIN)
    assert (tmp_path / "new" / "splits.csv").read_bytes() == b"id,split\r\n1,train\r\n2,validation\r\n3,test\r\n"
    assert sorted(entry.name for entry in (tmp_path / "new").iterdir()) == ["splits.csv", "splits.json"]


def test_split_of_another_catalogue(tmp_path: Path) -> None:
    """A split is read for the catalogue it was made for, and refused for any other."""
    mine, other = make(tmp_path / "mine", "Mug"), make(tmp_path / "other", "Cup")
    path = tmp_path / "splits.csv"
    write_split(path, {"0": "train"}, SplitOrigin(mine.content_hash, 0, 0.1, 0.2))
    assert read_split(path, mine) == {"0": "train"}
    with pytest.raises(SplitError, match=r"was made for a catalogue with content hash .* split this catalogue again"):
        read_split(path, other)


def test_changed_by_hand(tmp_path: Path) -> None:
    """A file that was changed after it was written no longer belongs to its record."""
    path = tmp_path / "splits.csv"
    write_split(path, SPLIT, ORIGIN)
    path.write_bytes(path.read_bytes().replace(b"3,test", b"3,train"))
    with pytest.raises(SplitError, match=r"is not the file that splits\.json was written for"):
        read_split(path)


def test_missing(tmp_path: Path) -> None:
    """A split without its record is refused, and so is one that is not there."""
    path = tmp_path / "splits.csv"
    with pytest.raises(SplitError, match="cannot be read"):
        read_split(path)
    write_split(path, SPLIT, ORIGIN)
    path.with_suffix(".json").unlink()
    with pytest.raises(SplitError, match="cannot be read"):
        read_split(path)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"7", b"\xff", b'{"splits_sha256": "", "seed": 0}'])
def test_damaged_record(tmp_path: Path, content: bytes) -> None:
    """A record that is none is refused as such."""
    path = tmp_path / "splits.csv"
    write_split(path, SPLIT, ORIGIN)
    path.with_suffix(".json").write_bytes(content)
    with pytest.raises(SplitError, match=r"splits\.json is no record of a split"):
        read_split(path)


@pytest.mark.parametrize(
    ("table", "text"),
    [
        (b"", "expected the columns id and split"),
        (b"id,part\r\n", "expected the columns id and split"),
        (b"id,split\r\n1,holdout\r\n", "expected a new id and one of train, validation, test"),
        (b"id,split\r\n1\r\n", "expected a new id"),
        (b"id,split\r\n1,train\r\n1,test\r\n", "expected a new id"),
        (b"id,split\r\n\xff,train\r\n", "is no CSV file"),
    ],
)
def test_table_that_is_no_split(tmp_path: Path, table: bytes, text: str) -> None:
    """Even with a record that fits, only rows of a new id and a known split are read."""
    path = tmp_path / "splits.csv"
    write_split(path, SPLIT, ORIGIN)
    path.write_bytes(table)
    record_path = path.with_suffix(".json")
    fields = json.loads(record_path.read_text())
    record_path.write_text(json.dumps({**fields, "splits_sha256": hashlib.sha256(table).hexdigest()}))
    with pytest.raises(SplitError, match=text):
        read_split(path)


def test_place_that_cannot_be_written(tmp_path: Path) -> None:
    """The record's own name, and a place that cannot be written, are refused."""
    with pytest.raises(SplitError, match=r"must not end in \.json"):
        write_split(tmp_path / "splits.json", SPLIT, ORIGIN)
    (tmp_path / "file").touch()
    with pytest.raises(SplitError, match="cannot be written"):
        write_split(tmp_path / "file" / "splits.csv", SPLIT, ORIGIN)
