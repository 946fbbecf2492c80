"""JSON of strangers: bounded before it is parsed."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisle_server.errors import InvalidArgumentError
from aisle_server.frontends.http.json_text import MAX_DEPTH, parse_json, parse_json_object, write_json

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda each: st.lists(each) | st.dictionaries(st.text(), each),
)


@given(_VALUES)
def test_what_is_written_is_read(value: object) -> None:
    """Any value survives, whatever brackets and quotes its texts hold."""
    assert parse_json(json.dumps(value).encode()) == value
    assert parse_json(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")) == value


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 250_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_90_deep_json_is_refused_before_it_is_parsed(depth: int, opening: str, closing: str) -> None:
    """Nesting over the limit is told as such, however deep; at the limit it is read."""
    with pytest.raises(InvalidArgumentError, match="nested deeper than 100 levels"):
        parse_json(f"{opening * depth}0{closing * depth}".encode())
    parse_json(f"{opening * MAX_DEPTH}0{closing * MAX_DEPTH}".encode())


def test_brackets_within_texts_are_not_counted() -> None:
    """A text full of brackets, escaped quotes and backslashes has no depth."""
    text = '[[["\\"' * 200
    assert parse_json(json.dumps([text, text]).encode()) == [text, text]


def test_deep_json_cannot_hide_behind_an_escaped_quote() -> None:
    r"""A text that ends in a backslash, `\\`, ends: what follows is counted."""
    with pytest.raises(InvalidArgumentError, match="nested deeper"):
        parse_json(b'["\\\\",' + b"[" * 200 + b"]" * 201)


@pytest.mark.parametrize("piece", [b'"', b'"\\', b'\\"', b'["\\"', b'"[' * 3])
def test_looking_for_depth_is_linear(piece: bytes) -> None:
    """Half a megabyte of unfinished texts is looked through in far less than a second."""
    started_s = time.monotonic()
    with pytest.raises(InvalidArgumentError):
        parse_json(b"[" * 101 + piece * (500_000 // len(piece)))
    assert time.monotonic() - started_s < 1


def test_94_more_than_a_million_containers_are_refused() -> None:
    """Empty arrays take thirty times the memory of their text, so their number is bounded."""
    with pytest.raises(InvalidArgumentError, match="more than 1000000 arrays and objects"):
        parse_json(b"[" + b"[]," * 1_000_000 + b"[]]")


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[1,]", b"\xff", b'{"a":1}x', b"9" * 5000, '{"a":1}'.encode("utf-16"), b"nul"]
)
def test_what_is_no_json_is_told_so(text: bytes) -> None:
    """Broken JSON, other encodings than UTF-8 and endless numbers are the caller's fault."""
    with pytest.raises(InvalidArgumentError, match="failed to parse the request JSON buffer: "):
        parse_json(text)


def test_an_object_is_expected() -> None:
    """An empty body stands for no fields; another value than an object is refused."""
    assert parse_json_object(b" \n") == {}
    with pytest.raises(InvalidArgumentError, match="the request JSON is an array; expected an object"):
        parse_json_object(b"[]")


def test_nan_is_written() -> None:
    """What tensors hold and JSON does not know is written as JavaScript does."""
    assert write_json([float("nan"), float("inf"), "ü"]) == '[NaN,Infinity,"ü"]'.encode()
