"""How the inputs of a request become rows, and which model refuses it."""

from itertools import product

import numpy as np
import pytest

from aisle_training.preprocessing.product_rows import check_rows, elements, speaker, texts


def column(*elements: bytes) -> np.ndarray:
    """BYTES elements as a server hands them in: objects of shape [rows, 1]."""
    return np.array(elements, dtype=np.object_).reshape(-1, 1)


def check(**inputs: np.ndarray | None) -> None:
    """Check a request as the model does whose task it is."""
    check_rows(inputs, speaker(inputs))


def test_speaker_is_the_first_that_is_present() -> None:
    """Pictures speak for every request that has them, texts by name for those without, pictures again for one with nothing."""
    order = ["IMAGE", "BRAND", "TITLE"]
    for present in product([True, False], repeat=3):
        given = [name for name, is_there in zip(order, present, strict=True) if is_there]
        inputs = {name: column(b"x") if name in given else None for name in ("TITLE", "BRAND", "IMAGE")}
        assert speaker(inputs) == (given or order)[0]


def test_others_are_silent() -> None:
    """A model whose input does not speak refuses nothing, whatever came."""
    check_rows({"IMAGE": column(b""), "TITLE": column(b"\xff")}, "TITLE")
    check_rows({"IMAGE": None, "TITLE": None}, "TITLE")


def test_rows_of_each_input() -> None:
    """An input is read row by row; where it is absent, another one says how many rows there are."""
    inputs = {"IMAGE": None, "TITLE": column(b"x", "\u06a9".encode())}
    assert elements(inputs, "IMAGE") == [b"", b""]
    assert texts(inputs, "TITLE") == ["x", "\u06a9"]
    assert texts({"IMAGE": column(b"a", b"b"), "TITLE": None}, "TITLE") == ["", ""]


def test_no_input() -> None:
    """A request with no input is refused, and the text says what could have come."""
    with pytest.raises(ValueError, match=r"^the request has neither IMAGE nor TITLE, expected at least one of them$"):
        check(IMAGE=None, TITLE=None)
    with pytest.raises(ValueError, match=r"^the request has no TITLE, expected it$"):
        check(TITLE=None)


@pytest.mark.parametrize("blank", [b"", b"  ", "\u200f".encode(), b"\x00"])
def test_row_with_nothing(blank: bytes) -> None:
    """A row without a picture whose texts are empty or blank is refused; the text names the row and what could have come."""
    with pytest.raises(ValueError, match=r"^row 1 has neither a picture nor a title$"):
        check(IMAGE=column(b"a", b""), TITLE=column(b"x", blank))
    with pytest.raises(ValueError, match=r"^row 0 has neither a picture nor a title$"):
        check(IMAGE=None, TITLE=column(blank))
    with pytest.raises(ValueError, match=r"^row 0 has no title$"):
        check(TITLE=column(blank))
    with pytest.raises(ValueError, match=r"^row 0 has neither a picture nor a description nor an origin$"):
        check(ORIGIN=column(blank), DESCRIPTION=None, IMAGE=None)


def test_text_of_other_bytes() -> None:
    """A text that is not UTF-8 is refused whatever else its row has, and missing where it is only read."""
    inputs = {"IMAGE": column(b"a", b"b"), "TITLE": column(b"x", b"\xff")}
    with pytest.raises(ValueError, match=r"^row 1: the title is not UTF-8: byte 0 is 0xff$"):
        check(**inputs)
    with pytest.raises(ValueError, match=r"^row 0: the brand is not UTF-8: byte 0 is 0xff$"):
        check(TITLE=column(b"x"), BRAND=column(b"\xff"))
    assert texts(inputs, "TITLE") == ["x", ""]


def test_numbers_of_rows_disagree() -> None:
    """Three pictures and two titles make no rows."""
    with pytest.raises(ValueError, match="3 pictures and 2 titles"):
        check(IMAGE=column(b"a", b"b", b"c"), TITLE=column(b"x", b"y"))
