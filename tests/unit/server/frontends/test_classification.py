"""The classification extension."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisle_server.errors import InvalidArgumentError
from aisle_server.frontends.classification import classify
from aisle_server.inference import Tensor


def test_the_highest_come_first_with_index_and_label() -> None:
    """Each row tells its highest values first, with six decimals, index and label."""
    scores = Tensor("CATEGORY", "FP32", np.array([[0.05, 0.91, 0.04], [0.5, 0.2, 0.3]], np.float32))
    classes = classify(scores, 2, ("Apparel > Tops", "Footwear > Shoes", "Bags"), is_batching=True)
    assert classes.datatype == "BYTES"
    assert classes.data.tolist() == [
        [b"0.910000:1:Footwear > Shoes", b"0.050000:0:Apparel > Tops"],
        [b"0.500000:0:Apparel > Tops", b"0.300000:2:Bags"],
    ]


def test_an_index_beyond_the_labels_has_none() -> None:
    """A class without a label is told as value and index."""
    classes = classify(Tensor("Y", "INT8", np.array([[1, 7]], np.int8)), 2, ("only",), is_batching=True)
    assert classes.data.tolist() == [[b"7:1", b"1:0:only"]]


def test_no_more_classes_are_told_than_there_are() -> None:
    """A count beyond the number of classes tells all of them."""
    assert classify(Tensor("Y", "FP64", np.zeros((2, 3))), 99, (), is_batching=True).shape == (2, 3)


def test_all_dimensions_of_a_row_are_one_list_of_classes() -> None:
    """Classes of a model without batches are counted over the whole tensor."""
    classes = classify(Tensor("Y", "UINT64", np.array([[2**64 - 1, 0], [1, 2]], np.uint64)), 2, (), is_batching=False)
    assert classes.data.tolist() == [b"18446744073709551615:0", b"2:3"]


@pytest.mark.parametrize("datatype", ["BYTES", "BOOL", "FP16", "BF16"])
def test_what_has_no_order_is_refused(datatype: str) -> None:
    """Classes of an output that cannot be ranked are refused in Triton's words."""
    with pytest.raises(
        InvalidArgumentError, match=f"^class result not available for output due to unsupported type '{datatype}'$"
    ):
        classify(Tensor("Y", datatype, np.zeros((1, 2))), 1, (), is_batching=True)


def test_too_many_classes_are_refused() -> None:
    """An output of more than a million elements a row is not sorted for a caller."""
    with pytest.raises(InvalidArgumentError, match=r"^classification output tensor too large$"):
        classify(Tensor("Y", "UINT8", np.zeros((1, 1_000_001), np.uint8)), 1, (), is_batching=True)


def test_an_empty_batch_has_no_classes() -> None:
    """No rows in, no rows out."""
    assert classify(Tensor("Y", "FP32", np.zeros((0, 3), np.float32)), 2, (), is_batching=True).shape == (0, 2)


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=20), st.integers(1, 20))
def test_the_order_is_that_of_a_stable_sort(values: list[int], count: int) -> None:
    """Values descend, and of equal ones the first comes first."""
    classes = classify(Tensor("Y", "INT32", np.array([values], np.int32)), count, (), is_batching=True)
    expected = sorted(range(len(values)), key=lambda index: -values[index])[:count]
    assert classes.data[0].tolist() == [f"{values[index]}:{index}".encode() for index in expected]
