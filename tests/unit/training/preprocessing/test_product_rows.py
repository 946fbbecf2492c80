"""How the pictures and titles of a request become rows."""

import numpy as np
import pytest

from aisle_training.preprocessing.product_rows import ProductRow, read_rows, read_titles


def column(*elements: bytes) -> np.ndarray:
    """BYTES elements as a server hands them in: objects of shape [rows, 1]."""
    return np.array(elements, dtype=np.object_).reshape(-1, 1)


def test_both_inputs() -> None:
    """Pictures and titles are paired row by row, and either may be empty in a row."""
    rows = read_rows(column(b"a", b"", b"c"), column(b"x", b"y", b""))
    assert rows == [ProductRow(b"a", "x"), ProductRow(b"", "y"), ProductRow(b"c", "")]


def test_one_input() -> None:
    """An absent input is missing in every row of the other."""
    assert read_rows(column(b"a", b"b"), None) == [ProductRow(b"a", ""), ProductRow(b"b", "")]
    assert read_rows(None, column(b"x")) == [ProductRow(b"", "x")]


def test_neither_input() -> None:
    """A request with neither input is refused."""
    with pytest.raises(ValueError, match="neither IMAGE nor TITLE"):
        read_rows(None, None)


@pytest.mark.parametrize("blank", [b"", b"  ", "\u200f".encode(), b"\x00"])
def test_row_with_nothing(blank: bytes) -> None:
    """A row without a picture whose title is empty or blank is refused, and the text names the row."""
    with pytest.raises(ValueError, match=r"^row 1 has neither a picture nor a title$"):
        read_rows(column(b"a", b""), column(b"x", blank))
    with pytest.raises(ValueError, match=r"^row 0 has neither a picture nor a title$"):
        read_rows(None, column(blank))


def test_title_of_other_bytes() -> None:
    """A title that is not UTF-8 is refused where rows are judged, and missing where only titles are read."""
    with pytest.raises(ValueError, match=r"^row 1: the title is not UTF-8: byte 0 is 0xff$"):
        read_rows(column(b"a", b"b"), column(b"x", b"\xff"))
    assert read_titles(column(b"a", b"b"), column(b"x", b"\xff")) == ["x", ""]


def test_titles_of_pictures_alone() -> None:
    """Where no titles came, each picture has a missing one."""
    assert read_titles(column(b"a", b"b"), None) == ["", ""]


def test_numbers_of_rows_disagree() -> None:
    """Three pictures and two titles make no rows."""
    with pytest.raises(ValueError, match="3 pictures and 2 titles"):
        read_rows(column(b"a", b"b", b"c"), column(b"x", b"y"))
