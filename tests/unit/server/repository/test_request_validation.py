"""Which requests fit a model configuration, and the words for those that do not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisle_server.errors import InvalidArgumentError
from aisle_server.inference import InferenceRequest, Tensor
from aisle_server.model_config.schema import ModelConfig, ModelInput, ModelOutput
from aisle_server.repository.request_validation import RequestValidator
from tests.support.inference_requests import inference_request, tensor

BATCHING = ModelConfig(
    "m",
    max_batch_size=8,
    inputs=(ModelInput("A", "FP32", (16,)), ModelInput("B", "INT32", (-1, 2))),
    outputs=(ModelOutput("Y", "FP32", (3,)), ModelOutput("Z", "FP32", (3,))),
)
NO_BATCHING = replace(BATCHING, max_batch_size=0)
OPTIONAL = replace(
    BATCHING,
    inputs=(
        ModelInput("A", "FP32", (1,)),
        ModelInput("B", "FP32", (1,)),
        ModelInput("C", "FP32", (1,)),
        ModelInput("D", "FP32", (1,), optional=True),
    ),
)
NOTE = (
    " NOTE: Setting a non-zero max_batch_size in the model config requires a batch dimension to be prepended to each input shape."
    " If you want to specify the full shape including the batch dim in your input dims config, try setting max_batch_size to zero."
    " See the model configuration docs for more info on max_batch_size."
)


def fp32(*shape: int) -> np.ndarray[Any, Any]:
    """Zeros."""
    return np.zeros(shape, np.float32)


def int32(*shape: int) -> np.ndarray[Any, Any]:
    """Zeros."""
    return np.zeros(shape, np.int32)


@pytest.mark.parametrize(
    ("config", "inputs", "batch_size"),
    [
        (BATCHING, {"A": fp32(1, 16), "B": int32(1, 5, 2)}, 1),
        (BATCHING, {"A": fp32(8, 16), "B": int32(8, 0, 2)}, 8),
        (BATCHING, {"B": int32(0, 5, 2), "A": fp32(0, 16)}, 0),
        (NO_BATCHING, {"A": fp32(16), "B": int32(9, 2)}, 1),
        (OPTIONAL, {"A": fp32(3, 1), "B": fp32(3, 1), "C": fp32(3, 1)}, 3),
        (OPTIONAL, dict.fromkeys("ABCD", fp32(2, 1)), 2),
        (replace(BATCHING, inputs=(ModelInput("A", "BYTES", (1,), optional=True),)), {}, 1),
    ],
)
def test_a_request_that_fits_is_given_its_batch_size(
    config: ModelConfig, inputs: dict[str, Any], batch_size: int
) -> None:
    """The rows of the inputs are the request's batch size, zero included; everything else stays as it came."""
    request = replace(
        inference_request(**inputs),
        id="7",
        requested_outputs=("Z",),
        parameters={"a": 1},
        priority=2,
        timeout_us=3,
        deadline_ns=4,
        batch_size=99,
    )
    assert repr(RequestValidator(config).validate(request)) == repr(replace(request, batch_size=batch_size))


def test_a_request_whose_batch_size_is_right_is_not_copied() -> None:
    """Most requests have one row, and cost nothing to judge."""
    request = inference_request(1, A=fp32(1, 16), B=int32(1, 1, 2))
    assert RequestValidator(BATCHING).validate(request) is request


def test_a_tensor_without_rows_has_none() -> None:
    """A request of no rows is a request of no rows, not of one."""
    assert RequestValidator(BATCHING).validate(inference_request(A=fp32(0, 16), B=int32(0, 1, 2))).batch_size == 0


@pytest.mark.parametrize(
    ("config", "request_", "message"),
    [
        (
            BATCHING,
            replace(inference_request(A=fp32(1)), requested_outputs=("Y", "DUMMY")),
            "unexpected inference output 'DUMMY' for model 'm'",
        ),
        (
            OPTIONAL,
            inference_request(),
            "[request id: 7] expected number of inputs between 3 and 4 but got 0 inputs for model 'm'. Got input(s) [],"
            " but missing required input(s) ['A','B','C']. Please provide all required input(s).",
        ),
        (
            replace(OPTIONAL, inputs=OPTIONAL.inputs[:3]),
            inference_request(A=fp32(1, 1)),
            "[request id: 7] expected 3 inputs but got 1 inputs for model 'm'. Got input(s) ['A'],"
            " but missing required input(s) ['B','C']. Please provide all required input(s).",
        ),
        (
            OPTIONAL,
            inference_request(**dict.fromkeys("CAD", fp32(1, 1))),
            "[request id: 7] expected number of inputs between 3 and 4 but got 3 inputs for model 'm'. Got input(s) ['A','C','D'],"
            " but missing required input(s) ['B']. Please provide all required input(s).",
        ),
        (
            BATCHING,
            inference_request(**dict.fromkeys("BAX", fp32(1, 1))),
            "[request id: 7] expected 2 inputs but got 3 inputs for model 'm'. Got input(s) ['A','B','X'].",
        ),
        (
            BATCHING,
            inference_request(A=int32(1, 16), X=fp32(1)),
            "unexpected inference input 'X' for model 'm'",
        ),
        (
            BATCHING,
            inference_request(A=fp32(1, 16), B=int32()),
            "[request id: 7] input 'B' has no shape but model requires batch dimension for 'm'",
        ),
        (
            BATCHING,
            inference_request(A=fp32(1, 16), B=int32(2, 1, 2)),
            "[request id: 7] input 'B' batch size does not match other inputs for 'm'",
        ),
        (
            BATCHING,
            inference_request(A=int32(9, 1), B=int32(9, 1, 2)),
            "[request id: 7] inference request batch-size must be <= 8 for 'm'",
        ),
        (
            BATCHING,
            inference_request(A=int32(1, 1), B=int32(1, 1, 2)),
            "[request id: 7] inference input 'A' data-type is 'INT32', but model 'm' expects 'FP32'",
        ),
        (
            BATCHING,
            inference_request(A=fp32(16), B=int32(16, 1, 2)),
            "[request id: 7] inference request batch-size must be <= 8 for 'm'",
        ),
        (
            BATCHING,
            inference_request(A=fp32(8), B=int32(8, 1, 2)),
            "[request id: 7] unexpected shape for input 'A' for model 'm'. Expected [-1,16], got [8]."
            + NOTE
            + " Send one element as shape [1,16], N of them as [N,16].",
        ),
        (
            BATCHING,
            inference_request(A=fp32(1, 16), B=int32(1, 2, 3)),
            "[request id: 7] unexpected shape for input 'B' for model 'm'. Expected [-1,-1,2], got [1,2,3]."
            + NOTE
            + " Send one element as shape [1,-1,2], N of them as [N,-1,2].",
        ),
        (
            NO_BATCHING,
            inference_request(A=fp32(1, 16), B=int32(1, 2)),
            "[request id: 7] unexpected shape for input 'A' for model 'm'. Expected [16], got [1,16]. ",
        ),
    ],
)
def test_a_request_that_does_not_fit_is_refused_in_these_words(
    config: ModelConfig, request_: InferenceRequest, message: str
) -> None:
    """The first error in Triton's order wins, in Triton's words; what to send instead is added."""
    with pytest.raises(InvalidArgumentError) as caught:
        RequestValidator(config).validate(replace(request_, id="7"))
    assert caught.value.message == message


def test_a_request_without_id_says_so() -> None:
    """Where Triton puts the id of a request, it says when there is none."""
    with pytest.raises(InvalidArgumentError, match=r"^\[request id: <id_unknown>\] inference request batch-size"):
        RequestValidator(BATCHING).validate(inference_request(A=fp32(9, 16), B=int32(9, 1, 2)))


def test_datatypes_that_share_an_array_type_are_told_apart() -> None:
    """BF16 travels in an array of UINT16, and is still another datatype."""
    config = ModelConfig("m", inputs=(ModelInput("A", "BF16", (2,)),))
    bits = np.zeros(2, np.uint16)
    RequestValidator(config).validate(inference_request(A=tensor("A", bits, "BF16")))
    with pytest.raises(InvalidArgumentError, match="data-type is 'UINT16', but model 'm' expects 'BF16'"):
        RequestValidator(config).validate(inference_request(A=tensor("A", bits, "UINT16")))


@given(
    dims=st.lists(st.sampled_from([-1, 1, 2, 3]), min_size=1, max_size=3).map(tuple),
    shape=st.lists(st.integers(0, 4), max_size=4).map(tuple),
    max_batch_size=st.sampled_from([0, 3]),
)
def test_a_shape_fits_when_each_dimension_does(
    dims: tuple[int, ...], shape: tuple[int, ...], max_batch_size: int
) -> None:
    """For any dims and shape: as many dimensions, each equal or of any size, after a batch that is not too large."""
    config = ModelConfig("m", max_batch_size=max_batch_size, inputs=(ModelInput("A", "UINT8", dims),))
    request = InferenceRequest("m", {"A": Tensor("A", "UINT8", np.zeros(shape, np.uint8))})
    expected = (-1, *dims) if max_batch_size else dims
    fits = len(shape) == len(expected) and all(want in (-1, got) for got, want in zip(shape, expected, strict=True))
    if fits and not (max_batch_size and shape[0] > max_batch_size):
        assert RequestValidator(config).validate(request).batch_size == (shape[0] if max_batch_size else 1)
    else:
        with pytest.raises(InvalidArgumentError):
            RequestValidator(config).validate(request)
