"""Choosing the reader of a table by its name."""

from pathlib import Path

import pytest

from aisle_training.catalogue.errors import CatalogueError
from aisle_training.catalogue.records import Record
from aisle_training.catalogue.tables.columns import Columns
from aisle_training.catalogue.tables.formats import read_category_names, read_table

COLUMNS = Columns(id="id", title=("title",), category=("category",))


@pytest.mark.parametrize(
    ("name", "format", "delimiter", "content"),
    [
        ("shop.csv", None, None, "id,title,category\n7,Mug,Home\n"),
        ("shop.CSV", None, ";", "id;title;category\n7;Mug;Home\n"),
        ("shop.tsv", None, None, "id\ttitle\tcategory\n7\tMug\tHome\n"),
        ("shop.txt", "tsv", None, "id\ttitle\tcategory\n7\tMug\tHome\n"),
        ("shop.ndjson", None, None, '{"id": 7, "title": "Mug", "category": "Home"}'),
    ],
)
def test_formats(tmp_path: Path, name: str, format: str | None, delimiter: str | None, content: str) -> None:
    """The end of the name chooses the format, unless one is asked for; the same product comes out of each."""
    (tmp_path / name).write_text(content)
    (row,) = read_table(tmp_path / name, COLUMNS, format, delimiter)
    assert isinstance(row, Record)
    assert (row.id, row.title, row.category, row.picture_name) == ("7", "Mug", ("Home",), "7.jpg")


def test_unknown_format(tmp_path: Path) -> None:
    """A name that tells no format is an error that names those there are."""
    with pytest.raises(CatalogueError, match=r"expected one of \.csv, \.tsv"):
        read_table(tmp_path / "shop.xlsx", COLUMNS)


def test_columns_that_are_named_already(tmp_path: Path) -> None:
    """JSON Lines and Parquet name their columns themselves: names for them are refused, and not passed over."""
    with pytest.raises(CatalogueError, match="names its columns itself, as jsonl does"):
        read_table(tmp_path / "shop.jsonl", COLUMNS, header=["id", "title", "category"])


def test_category_names(tmp_path: Path) -> None:
    """The names of categories come from a CSV of two columns; a row that is none, or comes twice, is an error."""
    path = tmp_path / "names.csv"
    path.write_text('\ufeff0,"کاپشن، مردانه"\n\n1,Watches\n', encoding="utf-8")
    assert read_category_names(path) == {"0": "کاپشن، مردانه", "1": "Watches"}
    for content in ("0,Coats\n0,Jackets\n", "0\n", '"0'):
        path.write_text(content)
        with pytest.raises(CatalogueError):
            read_category_names(path)
