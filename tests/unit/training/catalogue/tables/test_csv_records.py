"""Reading a shop's CSV."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisle_training.catalogue.errors import CatalogueError
from aisle_training.catalogue.records import Record, SkippedRow, SkipReason
from aisle_training.catalogue.tables.columns import MAX_FIELD_CHARACTERS, Columns
from aisle_training.catalogue.tables.csv_records import MAX_ROW_CHARACTERS, read_csv
from tests.unit.training.catalogue.drawing import write_csv

COLUMNS = Columns(id="id", title=("name",), category=("aisle", "shelf"))
HEADER = ("id", "name", "aisle", "shelf")


def read(path: Path, content: bytes, columns: Columns = COLUMNS, delimiter: str = ",") -> list[Record | SkippedRow]:
    """Write a file and read it."""
    path = path / "shop.csv"
    path.write_bytes(content)
    return list(read_csv(path, columns, delimiter))


def test_row_becomes_a_record(tmp_path: Path) -> None:
    """A row becomes a record whose picture is named after its id."""
    assert read(tmp_path, b"id,name,aisle,shelf\n7, Blue mug ,Home,Mugs\n") == [
        Record("line 2", "7", "Blue mug", ("Home", "Mugs"), "7.jpg")
    ]


def test_byte_order_mark_and_quotes(tmp_path: Path) -> None:
    """A byte order mark is no part of the first column, and a quoted field may hold commas and line breaks."""
    rows = read(tmp_path, '\ufeffid,name,aisle,shelf\r\n7,"Mug, ""big""\nand blue",Home,"Cups\nand  mugs"\r\n'.encode())
    assert rows == [Record("lines 2-4", "7", 'Mug, "big"\nand blue', ("Home", "Cups and mugs"), "7.jpg")]


def test_image_column_and_delimiter(tmp_path: Path) -> None:
    """The picture's name comes from its column when there is one, and an empty one names no picture."""
    columns = Columns(id="id", title=("name",), category=("aisle",), image="file")
    rows = read(tmp_path, b"file;id;name;aisle\na/7.png;7;Mug;Home\n;8;Cup;Home\n", columns, ";")
    assert [row.picture_name for row in rows if isinstance(row, Record)] == ["a/7.png", None]


def test_image_pattern(tmp_path: Path) -> None:
    """The picture's name follows from the id by the pattern, and a pattern that names one picture for all is refused."""
    (row,) = read(tmp_path, b"id,name\n7,Mug\n", Columns("id", ("name",), ("name",), image_pattern="small/{id}.webp"))
    assert isinstance(row, Record)
    assert row.picture_name == "small/7.webp"
    with pytest.raises(CatalogueError, match=r"lacks \{id\}"):
        read(tmp_path, b"id,name\n7,Mug\n", Columns("id", ("name",), ("name",), image_pattern="mug.jpg"))


@pytest.mark.parametrize(
    ("row", "reason", "detail"),
    [
        (b"8,Mug,Home", SkipReason.MALFORMED, "it has 3 fields, expected 4"),
        (b"8,Mug,Home,Mugs,more", SkipReason.MALFORMED, "it has 5 fields, expected 4"),
        (b"8,Caf\xe9 mug,Home,Mugs", SkipReason.MALFORMED, "it is not UTF-8"),
        (b'8,"Mug"s,Home,Mugs', SkipReason.MALFORMED, "',' expected after '\"'"),
        (b" ,Mug,Home,Mugs", SkipReason.MALFORMED, "its id is empty"),
        (b"8\x07,Mug,Home,Mugs", SkipReason.MALFORMED, r"its id '8\x07' holds a control character"),
        (b"8" * 1025 + b",Mug,Home,Mugs", SkipReason.MALFORMED, "its id has 1025 characters, expected at most 1024"),
        (
            b"8," + b"M" * (MAX_FIELD_CHARACTERS + 1) + b",Home,Mugs",
            SkipReason.MALFORMED,
            "a field has 65537 characters, expected at most 65536",
        ),
        (
            b"8," + b"M" * 200_000 + b",Home,Mugs",
            SkipReason.MALFORMED,
            "field larger than field limit (131072)",
        ),
        (b"8" + b",8" * MAX_ROW_CHARACTERS, SkipReason.MALFORMED, "it has more than 1048576 characters"),
        (b"8,Mug,,", SkipReason.EMPTY_CATEGORY, "the category columns hold ['', ''], expected no gap before a name"),
        (
            b"8,Mug, ,Mugs",
            SkipReason.EMPTY_CATEGORY,
            "the category columns hold [' ', 'Mugs'], expected no gap before a name",
        ),
    ],
    ids=lambda value: value[:16].decode(errors="replace") if isinstance(value, bytes) else "",
)
def test_broken_row(tmp_path: Path, row: bytes, reason: SkipReason, detail: str) -> None:
    """A broken row is reported with its line and its fault, and the rows around it are read."""
    rows = read(tmp_path, b"id,name,aisle,shelf\n7,Mug,Home,Mugs\n" + row + b"\n9,Cup,Home,Mugs\n")
    assert rows[1] == SkippedRow("line 3", reason, detail)
    assert [row.id for row in rows if isinstance(row, Record)] == ["7", "9"]


def test_blank_leaf_shortens_the_path(tmp_path: Path) -> None:
    """A product that stands at an inner node of the taxonomy has a shorter path."""
    (row,) = read(tmp_path, b"id,name,aisle,shelf\n7,Mug,Home,\n")
    assert isinstance(row, Record)
    assert row.category == ("Home",)


def test_blank_lines_are_no_rows(tmp_path: Path) -> None:
    """Blank lines, also at the end, are neither rows nor faults."""
    assert len(read(tmp_path, b"id,name,aisle,shelf\n\n7,Mug,Home,Mugs\n\n\n")) == 1


def test_unclosed_quote_is_told(tmp_path: Path) -> None:
    """A quote that is never closed spoils what follows it, and the report says which lines those are."""
    rows = read(tmp_path, b'id,name,aisle,shelf\n7,Mug,Home,Mugs\n8,"Mug,Home,Mugs\n9,Cup,Home,Mugs\n')
    assert rows[1:] == [SkippedRow("lines 3-4", SkipReason.MALFORMED, "unexpected end of data")]


@pytest.mark.parametrize(
    ("header", "text"),
    [
        (b"", "has no column 'id'; its header has nothing"),
        (b"id,name,aisle\n", "has no column 'shelf'; its header has id, name, aisle"),
        (b"id,name,aisle,shelf,id\n", "has twice column 'id'"),
        (b"\xff\xfei\0d\0,\0", "has no column 'id'"),
        (b'"id"x,name\n', "the header of .* is malformed"),
        (b"a" * (MAX_ROW_CHARACTERS + 1), "the header of .* is malformed: it has more than 1048576 characters"),
    ],
    ids=["empty", "lacking", "twice", "utf-16", "quotes", "endless"],
)
def test_bad_header(tmp_path: Path, header: bytes, text: str) -> None:
    """A header without the columns that were named ends the import with what the header does hold."""
    with pytest.raises(CatalogueError, match=text):
        read(tmp_path, header)


def test_missing_file(tmp_path: Path) -> None:
    """A CSV that does not exist is an error of its own."""
    with pytest.raises(CatalogueError, match="No such file"):
        list(read_csv(tmp_path / "shop.csv", COLUMNS))


FIELDS = st.text(st.characters(codec="utf-8"), max_size=12)


@given(table=st.lists(st.lists(FIELDS, min_size=4, max_size=4).map(tuple), max_size=8))
def test_no_row_is_lost(tmp_path_factory: pytest.TempPathFactory, table: list[tuple[str, ...]]) -> None:
    """Each row of a well-formed CSV comes out once: as a record that says what the row says, or with its fault."""
    path = write_csv(tmp_path_factory.mktemp("csv") / "shop.csv", [HEADER, *table])
    rows = list(read_csv(path, COLUMNS))
    assert len(rows) == len(table)
    for row, fields in zip(rows, table, strict=True):
        if isinstance(row, Record):
            assert (row.id, row.title) == (fields[0].strip(), fields[1].strip())
            assert list(row.category) == [" ".join(name.split()) for name in fields[2:]][: len(row.category)]
        else:
            assert row.reason in (SkipReason.MALFORMED, SkipReason.EMPTY_CATEGORY)
