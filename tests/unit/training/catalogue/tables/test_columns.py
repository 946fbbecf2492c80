"""Making a record of a row, whatever format the row came in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisle_training.catalogue.errors import CatalogueError
from aisle_training.catalogue.records import Record, SkippedRow, SkipReason
from aisle_training.catalogue.tables.columns import Cell, Columns, cell_text, plain_text


def parse(columns: Columns, number: int = 1, **cells: Cell) -> Record | SkippedRow:
    """Parse one row, in which what is not given is empty."""
    return columns.parse({name: cells.get(name, "") for name in columns.names}, "row 1", number)


def test_all_that_a_row_may_hold() -> None:
    """Titles are joined by a space, descriptions by line breaks and without markup, attributes keep their names."""
    columns = Columns(
        id="sku",
        title=("name", "english"),
        category=("path",),
        image="file",
        description=("text", "care"),
        attributes=("brand", "price"),
        category_separator=">",
    )
    row = parse(
        columns,
        sku=" 7 ",
        name="ساعت",
        english="Clock",
        path="Home >  Wall clocks",
        file="7.png",
        text="Round &amp; quiet.<br/>5 < 6 <3",
        care="",
        brand="Aster",
    )
    assert row == Record(
        "row 1", "7", "ساعت Clock", ("Home", "Wall clocks"), "7.png", "Round & quiet. 5 < 6 <3", {"brand": "Aster"}
    )


def test_rows_without_ids_are_numbered() -> None:
    """Where a table has no ids, the number of the row is the id, and no blank title leaves a space behind."""
    columns = Columns(id=None, title=("name1", "name2"), category=("cat_id",), image_pattern=None)
    assert parse(columns, 12, name1="کاپشن", cat_id="0") == Record("row 1", "12", "کاپشن", ("0",), None)


def test_category_names() -> None:
    """A number stands for the name, or the whole path, that the shop gave it; a value without a name stays."""
    columns = Columns("id", ("title",), ("cat",), category_separator="/", category_names={"0": "Men / Coats"})
    rows = [parse(columns, id="1", cat=value) for value in (" 0", "7")]
    assert [row.category for row in rows if isinstance(row, Record)] == [("Men", "Coats"), ("7",)]


def test_list_is_a_path() -> None:
    """A list in the category column is a path, root first, and one that is too long is a fault."""
    columns = Columns("id", ("title",), ("path",))
    row = parse(columns, id="1", path=("Home", "Mugs", ""))
    assert isinstance(row, Record)
    assert row.category == ("Home", "Mugs")
    row = parse(columns, id="1", path=("deeper",) * 17)
    assert row == SkippedRow("row 1", SkipReason.MALFORMED, "a list has 17 entries, expected at most 16")


def test_list_of_pictures() -> None:
    """Of several pictures the first counts; a list that is no path may be longer than one."""
    columns = Columns("id", ("title",), ("path",), image="pictures", description=("points",))
    row = parse(columns, id="1", path="Mugs", pictures=("", " a.jpg", "b.jpg"), points=("good",) * 40)
    assert isinstance(row, Record)
    assert row.picture_name == "a.jpg"
    row = parse(columns, id="1", path="Mugs", pictures=())
    assert isinstance(row, Record)
    assert row.picture_name is None
    row = parse(columns, id="1", path="Mugs", points=("p" * 40_000,) * 2)
    assert row == SkippedRow("row 1", SkipReason.MALFORMED, "a field has 80000 characters, expected at most 65536")


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (None, ""),
        (float("nan"), ""),
        (1163.0, "1163"),
        (19.9, "19.9"),
        (2.0**60, "1.152921504606847e+18"),
        (12, "12"),
        (True, "true"),
        (["Home", 3], ("Home", "3")),
    ],
)
def test_typed_values(value: object, cell: Cell) -> None:
    """Typed values become the text that a CSV would have held: no NaN, and no whole number with a fraction."""
    assert cell_text(value) == cell


@pytest.mark.parametrize("value", [{"a": 1}, [["Home"]], b"x", [{}]])
def test_values_that_are_no_cell(value: object) -> None:
    """An object or a list of lists is no cell."""
    with pytest.raises(ValueError, match="expected text, a number or a list of texts"):
        cell_text(value)


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        ({"category": ()}, "no category column"),
        ({"image_pattern": "mug.jpg"}, r"lacks \{id\} or another column"),
        ({"category_separator": " "}, "is blank"),
    ],
)
def test_impossible_columns(columns: dict[str, object], text: str) -> None:
    """Columns that could make no catalogue are refused before a file is opened."""
    with pytest.raises(CatalogueError, match=text):
        Columns(**({"id": "id", "title": ("title",), "category": ("category",)} | columns))  # type: ignore[arg-type]


@given(st.text(max_size=60))
def test_plain_text_holds_no_tag(text: str) -> None:
    """What is left has single blanks, and text that never was markup keeps its words."""
    plain = plain_text(f"<li>{text}</li>")
    assert plain == " ".join(plain.split())
    if not set(text) & set("<>&"):
        assert plain == " ".join(text.split())
