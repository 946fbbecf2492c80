"""How the pictures and titles of a request become rows."""

import numpy as np
import pytest

from aisle_training.preprocessing.product_rows import ProductRow, read_rows


def column(*elements: bytes) -> np.ndarray:
    """BYTES elements as a server hands them in: objects of shape [rows, 1]."""
    return np.array(elements, dtype=np.object_).reshape(-1, 1)


def test_both_inputs() -> None:
    """Pictures and titles are paired row by row, and either may be empty in a row."""
    rows = read_rows(column(b"a", b"", b"c"), column(b"x", b"y", b""))
    assert rows == [ProductRow(b"a", b"x"), ProductRow(b"", b"y"), ProductRow(b"c", b"")]


def test_one_input() -> None:
    """An absent input is missing in every row of the other."""
    assert read_rows(column(b"a", b"b"), None) == [ProductRow(b"a", b""), ProductRow(b"b", b"")]
    assert read_rows(None, column(b"x")) == [ProductRow(b"", b"x")]


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


def test_title_of_other_bytes_counts_as_one() -> None:
    """A title that is not UTF-8 is present: it is refused where titles are read, with a reason."""
    assert read_rows(column(b""), column(b"\xff")) == [ProductRow(b"", b"\xff")]


def test_numbers_of_rows_disagree() -> None:
    """Three pictures and two titles make no rows."""
    with pytest.raises(ValueError, match="3 pictures and 2 titles"):
        read_rows(column(b"a", b"b", b"c"), column(b"x", b"y"))
