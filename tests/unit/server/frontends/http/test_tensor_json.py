"""JSON elements and raw contents."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from aisle_protocol.datatypes import dtype_of
from aisle_server.errors import InvalidArgumentError
from aisle_server.frontends.http.tensor_json import to_json_elements, to_raw_contents


@pytest.mark.parametrize(
    ("datatype", "elements"),
    [
        ("BOOL", [True, False]),
        ("UINT8", [0, 255]),
        ("UINT64", [0, 2**64 - 1]),
        ("INT8", [-128, 127]),
        ("INT64", [-(2**63), 2**63 - 1]),
        ("FP32", [0.5, -1.0]),
        ("FP64", [0.1, float("inf")]),
        ("BYTES", ["", "ظرف 🍵"]),
    ],
)
def test_elements_survive(datatype: str, elements: list[Any]) -> None:
    """Flat or nested, what goes in comes out."""
    for data in (elements, [elements], [[each] for each in elements]):
        raw = to_raw_contents(data, "INPUT0", datatype, (1, 2))
        assert to_json_elements(raw, "OUTPUT0", datatype, (1, 2)) == elements


def test_integers_are_good_floats() -> None:
    """JSON writes 1.0 as 1."""
    assert to_raw_contents([1, 2.5], "INPUT0", "FP32", (2,)) == np.array([1, 2.5], np.float32).tobytes()
    assert to_raw_contents(7, "INPUT0", "INT32", ()) == np.array(7, dtype_of("INT32")).tobytes()


@pytest.mark.parametrize(
    ("datatype", "data", "text"),
    [
        ("INT8", [1, 128], "out of INT8's range"),
        ("UINT64", [1, -1], "out of UINT64's range"),
        ("FP64", [1, 10**400], "out of FP64's range"),
        ("INT32", [1, 1.5], "is a number, which is no INT32"),
        ("INT32", [1, True], "is a boolean, which is no INT32"),
        ("BOOL", [1, 0], "is a number, which is no BOOL"),
        ("FP32", ["1", 2], "is a string, which is no FP32"),
        ("BYTES", ["a", None], "is null, which is no BYTES"),
        ("BYTES", ["a", {}], "is an object, which is no BYTES"),
        ("BYTES", ["a", "\ud800"], "is not Unicode"),
        ("FP32", [[1], 2], "mixes arrays and elements"),
        ("FP32", [1, [2]], "is an array, which is no FP32"),
        ("FP32", [1], "Shape does not match true shape of 'data' field"),
        ("FP32", [1, 2, 3], "Shape does not match true shape of 'data' field"),
        ("FP16", [1, 2], "receiving FP16 data via JSON is not supported"),
    ],
)
def test_wrong_elements_are_told(datatype: str, data: Any, text: str) -> None:
    """An element of another kind, out of range, one too many or too few."""
    with pytest.raises(InvalidArgumentError, match=text):
        to_raw_contents(data, "INPUT0", datatype, (2,))


def test_what_json_cannot_hold_is_asked_for_in_binary() -> None:
    """16-bit floats and bytes that are no text."""
    with pytest.raises(InvalidArgumentError, match="sending BF16 data via JSON is not supported"):
        to_json_elements(b"\0\0", "OUTPUT0", "BF16", (1,))
    with pytest.raises(InvalidArgumentError, match="'OUTPUT0' is not UTF-8.*'binary_data': true"):
        to_json_elements(b"\1\0\0\0\xff", "OUTPUT0", "BYTES", (1,))
