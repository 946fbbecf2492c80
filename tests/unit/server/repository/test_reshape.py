"""Shapes that callers see, and shapes that a backend sees."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisle_server.backends.backend import BackendOptions, Device
from aisle_server.errors import InternalError, InvalidArgumentError
from aisle_server.inference import InferenceResponse
from aisle_server.model_config.schema import ModelConfig, ModelInput, ModelOutput
from aisle_server.repository.reshape import reshaped, with_reshapes
from tests.support.fake_backend import FakeBackend, FakeModel
from tests.support.inference_requests import inference_request

CONFIG = ModelConfig(
    "m",
    max_batch_size=8,
    inputs=(ModelInput("INPUT0", "FP32", (4,), reshape=(2, 2)), ModelInput("INPUT1", "FP32", (3,))),
    outputs=(ModelOutput("OUTPUT0", "FP32", (1, 4), reshape=(2, 2)), ModelOutput("OUTPUT1", "FP32", (3,))),
)


def opened(config: ModelConfig = CONFIG) -> FakeModel:
    """A model of the fake backend."""
    return FakeBackend().open_model(config, 1, Path("."), BackendOptions())


@pytest.mark.parametrize(
    ("shape", "source", "target", "expected"),
    [
        ((4,), (4,), (2, 2), (2, 2)),
        ((1,), (1,), (), ()),
        ((), (), (1,), (1,)),
        ((2, 4, 5, 6), (2, 4, -1, 6), (8, -1, 1, 6), (8, 5, 1, 6)),
        ((3, 7), (-1, -1), (-1, 1, -1), (3, 1, 7)),
        ((0, 4), (-1, 4), (2, -1, 2), (2, 0, 2)),
        ((5,), (4,), (2, 2), None),
        ((2, 2), (4,), (2, 2), None),
    ],
)
def test_a_shape_is_written_in_other_words(
    shape: tuple[int, ...], source: tuple[int, ...], target: tuple[int, ...], expected: tuple[int, ...] | None
) -> None:
    """Variable dimensions keep their sizes, in order; a shape that does not fit has no other words."""
    assert reshaped(shape, source, target) == expected


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=4))
def test_reshaping_back_gives_the_shape_that_was(sizes: list[tuple[int, bool]]) -> None:
    """Whatever dimensions are variable, the way there and back ends where it began."""
    shape = tuple(size for size, _ in sizes)
    source = tuple(-1 if is_variable or size == 0 else size for size, is_variable in sizes)
    target = (1, *source, 1)
    there = reshaped(shape, source, target)
    assert there == (1, *shape, 1)
    assert reshaped(there, target, source) == shape


def test_a_model_without_reshapes_is_left_alone() -> None:
    """Nothing stands between a backend and its requests where nothing is to be reshaped."""
    config = ModelConfig("m", inputs=(ModelInput("INPUT0", "FP32", (4,)),))
    model = opened(config)
    assert with_reshapes(model, config) is model


def test_the_backend_sees_its_shapes_and_callers_see_theirs() -> None:
    """Tensors are reshaped on the way in and on the way out, rows kept apart, and never copied."""
    model = opened()
    instance = with_reshapes(model, CONFIG).create_instance("m_0", Device())
    request = inference_request(
        2, INPUT0=np.arange(8, dtype=np.float32).reshape(2, 4), INPUT1=np.zeros((2, 3), np.float32)
    )
    (response,) = instance.execute([request]).results
    (seen,) = model.instances[0].batches[0]
    assert {name: tensor.shape for name, tensor in seen.inputs.items()} == {"INPUT0": (2, 2, 2), "INPUT1": (2, 3)}
    assert isinstance(response, InferenceResponse)
    assert [tensor.shape for tensor in response.outputs] == [(2, 1, 4), (2, 3)]
    assert np.shares_memory(response.outputs[0].data, request.inputs["INPUT0"].data)
    instance.finalize()
    assert model.instances[0].is_finalized


def test_an_output_that_does_not_fit_is_its_own_request_s_failure() -> None:
    """What a backend gives in another shape than it should fails that request, and no other of the batch."""
    config = ModelConfig(
        "m",
        max_batch_size=8,
        inputs=(ModelInput("INPUT0", "FP32", (-1,)),),
        outputs=(ModelOutput("OUTPUT0", "FP32", (2, 2), reshape=(4,)),),
    )
    instance = with_reshapes(opened(config), config).create_instance("m_0", Device())
    good, bad = (inference_request(INPUT0=np.zeros((1, size), np.float32)) for size in (4, 5))
    first, second = instance.execute([good, bad]).results
    assert isinstance(first, InferenceResponse)
    assert isinstance(second, InternalError)
    assert second.message == "model 'm' has 'OUTPUT0' in shape [5], which its reshape from [4] to [2,2] does not fit"


def test_an_error_for_one_request_passes_through() -> None:
    """What the backend tells one caller is told to that caller."""
    model = opened()
    refusal = InvalidArgumentError("not this one")
    model.answer = lambda request: refusal  # type: ignore[assignment,method-assign,return-value]
    instance = with_reshapes(model, CONFIG).create_instance("m_0", Device())
    request = inference_request(INPUT0=np.zeros((1, 4), np.float32), INPUT1=np.zeros((1, 3), np.float32))
    assert instance.execute([request]).results == [refusal]


def test_closing_reaches_the_model() -> None:
    """The wrapped model is closed with its wrapper."""
    model = opened()
    wrapped = with_reshapes(model, CONFIG)
    assert wrapped.config == CONFIG
    wrapped.close()
    assert model.is_closed
