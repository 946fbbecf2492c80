"""Reading a shop's products from Parquet, where pyarrow is installed."""

from pathlib import Path
from typing import Any

import pytest

from aisle_training.catalogue.errors import CatalogueError
from aisle_training.catalogue.records import Record, SkippedRow, SkipReason
from aisle_training.catalogue.tables.columns import Columns
from aisle_training.catalogue.tables.parquet_records import read_parquet

COLUMNS = Columns(id="id", title=("name",), category=("path",), attributes=("price",))


@pytest.fixture
def pyarrow() -> Any:
    """The library, or a skipped test."""
    pytest.importorskip("pyarrow.parquet")
    import pyarrow

    return pyarrow


def test_rows_become_records(tmp_path: Path, pyarrow: Any) -> None:
    """Typed columns become text: integers with gaps, lists as paths, binary as UTF-8; other columns are not read."""
    table = pyarrow.table(
        {
            "id": pyarrow.array([7.0, 8.0, None]),
            "name": pyarrow.array([b"Mug", b"caf\xe9", b"Cup"]),
            "path": [["Home", "Mugs"], ["Home"], ["Home"]],
            "price": [9.5, 3.0, 4.0],
            "embedding": [[[0.1]], [[0.2]], [[0.3]]],
        }
    )
    pyarrow.parquet.write_table(table, tmp_path / "shop.parquet")
    assert list(read_parquet(tmp_path / "shop.parquet", COLUMNS)) == [
        Record("row 1", "7", "Mug", ("Home", "Mugs"), "7.jpg", attributes={"price": "9.5"}),
        SkippedRow("row 2", SkipReason.MALFORMED, "it is not UTF-8"),
        SkippedRow("row 3", SkipReason.MALFORMED, "its id is empty"),
    ]


def test_missing_column(tmp_path: Path, pyarrow: Any) -> None:
    """A column that is not there ends the import with those that are."""
    pyarrow.parquet.write_table(pyarrow.table({"id": [1], "title": ["Mug"]}), tmp_path / "shop.parquet")
    with pytest.raises(CatalogueError, match="has no column 'name'; its columns are id, title"):
        list(read_parquet(tmp_path / "shop.parquet", COLUMNS))


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + b"\xff" * 200 + b"PAR1"])
def test_damaged_file(tmp_path: Path, pyarrow: Any, content: bytes) -> None:
    """A file that is no Parquet is one error of ours."""
    (tmp_path / "shop.parquet").write_bytes(content)
    with pytest.raises(CatalogueError, match="cannot be read as Parquet"):
        list(read_parquet(tmp_path / "shop.parquet", COLUMNS))


def test_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where pyarrow is not installed, the error is the line that installs it."""
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    with pytest.raises(CatalogueError, match="pip install pyarrow"):
        list(read_parquet(tmp_path / "shop.parquet", COLUMNS))
