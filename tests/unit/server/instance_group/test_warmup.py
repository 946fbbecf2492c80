"""Warm-up requests, made from the model configuration."""

from __future__ import annotations

import numpy as np
import pytest

from aisle_protocol.datatypes import DATATYPES, dtype_of
from aisle_protocol.raw_contents import to_raw
from aisle_server.errors import InvalidArgumentError
from aisle_server.instance_group import WarmupSample, load_warmup_samples
from aisle_server.model_config.schema import ModelConfig, Warmup, WarmupInput


def samples(tmp_path, *warmups: Warmup, max_batch_size: int = 4) -> tuple[WarmupSample, ...]:
    """The samples of a model with these warm-ups."""
    return load_warmup_samples(ModelConfig("m", max_batch_size=max_batch_size, warmups=warmups), tmp_path)


def one(tmp_path, given: WarmupInput, max_batch_size: int = 4) -> np.ndarray:
    """The array that a warm-up input becomes."""
    (sample,) = samples(tmp_path, Warmup("w", 1, {"A": given}), max_batch_size=max_batch_size)
    return sample.requests[0].inputs["A"].data


@pytest.mark.parametrize("datatype", sorted(DATATYPES))
@pytest.mark.parametrize("is_random", [True, False])
def test_data_of_every_datatype_is_made(tmp_path, datatype, is_random):
    """Zeros are zeros, BYTES zeros are empty; random values are of the datatype, finite, and the same at every load."""
    given = WarmupInput(datatype, (2, 3), zero_data=not is_random, random_data=is_random)
    array = one(tmp_path, given)
    assert (array.shape, array.dtype) == ((1, 2, 3), dtype_of(datatype))
    assert (array == one(tmp_path, given)).all()
    if datatype == "BYTES":
        assert all(isinstance(element, bytes) and bool(element) == is_random for element in array.flat)
    else:
        as_float = (array.astype(np.uint32) << 16).view(np.float32) if datatype == "BF16" else array.astype(float)
        assert np.isfinite(as_float).all()
        assert bool(as_float.any()) == is_random
        assert (as_float >= 0).all()
        assert (as_float < 100).all()


def test_a_batch_is_so_many_requests_of_one_row(tmp_path):
    """`batch_size` requests are executed together; a count of 0 is 1."""
    zero = {"A": WarmupInput("FP32", (1,), zero_data=True)}
    first, second = samples(tmp_path, Warmup("three", 3, zero), Warmup("twice", 1, zero, count=2))
    assert ([each.batch_size for each in first.requests], first.count) == ([1, 1, 1], 1)
    assert (len(second.requests), second.count) == (1, 2)


def test_a_model_without_batches_gets_no_batch_dimension(tmp_path):
    """The dims are the whole shape when `max_batch_size` is 0."""
    assert one(tmp_path, WarmupInput("INT32", (5,), zero_data=True), max_batch_size=0).shape == (5,)


@pytest.mark.parametrize(
    ("datatype", "values"), [("FP32", np.array([[1.5, -2]], np.float32)), ("BYTES", np.array([[b"shoe", b""]], object))]
)
def test_a_file_holds_raw_contents(tmp_path, datatype, values):
    """A file in the folder `warmup` of the model is read as a tensor's raw contents."""
    (tmp_path / "warmup").mkdir()
    (tmp_path / "warmup" / "a").write_bytes(to_raw(values, datatype))
    assert one(tmp_path, WarmupInput(datatype, (2,), input_data_file="a")).tolist() == values.tolist()


@pytest.mark.parametrize(
    ("given", "batch_size", "text"),
    [
        (WarmupInput("FP32", (2,), input_data_file="short"), 1, "file 'short' of input 'A' has 4 bytes, expected 8"),
        (WarmupInput("BYTES", (2,), input_data_file="short"), 1, "file 'short' of input 'A': "),
        (WarmupInput("FP32", (1,), input_data_file="none"), 1, "file 'none' of input 'A' cannot be read: No such file"),
        (WarmupInput("FP32", (1,), input_data_file="../outside"), 1, "lies outside the folder 'warmup' of the model"),
        (WarmupInput("FP32", (1,), input_data_file="link"), 1, "lies outside the folder 'warmup' of the model"),
        (WarmupInput("FP32", (-1,), zero_data=True), 1, "expected every dim to be given"),
        (WarmupInput("FP32", (1 << 20, 1 << 20), zero_data=True), 1, "expected at most"),
        (WarmupInput("FP32", (1,), zero_data=True), 5, "batch size 5 is too large for model 'm', expected at most 4"),
    ],
)
def test_what_cannot_be_made_fails_the_load(tmp_path, given, batch_size, text):
    """The text names the sample, the input and what is wrong, and no file outside the folder is read."""
    (tmp_path / "warmup").mkdir()
    (tmp_path / "warmup" / "short").write_bytes(b"\0\0\0\0")
    (tmp_path / "outside").write_bytes(b"\0\0\0\0")
    (tmp_path / "warmup" / "link").symlink_to(tmp_path / "outside")
    with pytest.raises(InvalidArgumentError) as caught:
        samples(tmp_path, Warmup("w", batch_size, {"A": given}))
    assert caught.value.message.startswith("failed to run warmup sample 'w': ")
    assert caught.value.message.endswith("; ")
    assert text in caught.value.message
    assert str(tmp_path) not in caught.value.message
