"""Model versions as callers write them."""

from __future__ import annotations

import pytest

from aisle_server.errors import InvalidArgumentError
from aisle_server.frontends.model_version import parse_model_version


@pytest.mark.parametrize(
    ("text", "version"),
    [("", -1), ("1", 1), ("0", 0), ("+7", 7), (" 12", 12), ("1abc", 1), (str(2**63 - 1), 2**63 - 1)],
)
def test_numbers_are_read_as_stol_reads_them(text: str, version: int) -> None:
    """An empty version is the latest; blanks in front and letters behind a number are passed over."""
    assert parse_model_version(text) == version


@pytest.mark.parametrize("text", ["abc", "v1", "-", " ", "٣", str(2**63), "9" * 100])
def test_what_is_no_number_is_refused(text: str) -> None:
    """A version that is no number, or one that no 64 bits hold, is refused in Triton's words."""
    with pytest.raises(InvalidArgumentError) as caught:
        parse_model_version(text)
    assert caught.value.message == (
        f"failed to get model version from specified version string '{text}' (details: stol), "
        "version should be an integral value > 0"
    )


def test_a_negative_number_is_refused() -> None:
    """A negative version is refused in Triton's words."""
    with pytest.raises(InvalidArgumentError) as caught:
        parse_model_version("-1")
    assert caught.value.message == "invalid model version specified '-1' , version should be an integral value > 0"
