"""Whether an ensemble fits its models."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aisle_server.errors import InvalidArgumentError
from aisle_server.model_config.schema import EnsembleScheduling, EnsembleStep, ModelConfig, ModelInput, ModelOutput
from aisle_server.repository.ensemble_consistency import check_ensemble

FIRST = ModelConfig(
    "first",
    max_batch_size=8,
    inputs=(ModelInput("IN", "FP32", (4,)), ModelInput("EXTRA", "INT32", (1,), optional=True)),
    outputs=(ModelOutput("OUT", "FP32", (-1, 2)),),
)
SECOND = ModelConfig(
    "second",
    max_batch_size=8,
    inputs=(ModelInput("IN", "FP32", (3, 2)),),
    outputs=(ModelOutput("OUT", "FP32", (5,)),),
)
ENSEMBLE = ModelConfig(
    "e",
    platform="ensemble",
    max_batch_size=8,
    inputs=(ModelInput("X", "FP32", (4,)),),
    outputs=(ModelOutput("Y", "FP32", (5,)),),
    ensemble_scheduling=EnsembleScheduling(
        (
            EnsembleStep("first", -1, {"IN": "X"}, {"OUT": "t"}),
            EnsembleStep("second", 2, {"IN": "t"}, {"OUT": "Y"}),
        )
    ),
)


def test_an_ensemble_fits_when_every_tensor_agrees() -> None:
    """Shapes agree up to variable dimensions, and an optional input need not be mapped."""
    check_ensemble(ENSEMBLE, [FIRST, SECOND])


def test_a_model_that_batches_may_feed_one_that_does_not() -> None:
    """Shapes may also agree with their batch dimensions counted in."""
    unbatched = replace(
        SECOND,
        max_batch_size=0,
        inputs=(ModelInput("IN", "FP32", (-1, 3, 2)),),
        outputs=(ModelOutput("OUT", "FP32", (7, 5)),),
    )
    check_ensemble(ENSEMBLE, [FIRST, unbatched])


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (
            {"max_batch_size": 4},
            {},
            "ensemble e allows maximum batch size 8, but it contains model first which only allows maximum batch size to be 4",
        ),
        (
            {"inputs": (ModelInput("OTHER", "FP32", (4,)),)},
            {},
            "in ensemble e, ensemble tensor X is mapping to non-existing input IN in model first",
        ),
        (
            {"inputs": (*FIRST.inputs, ModelInput("MORE", "FP32", (1,)))},
            {},
            "in ensemble e, input MORE in model first is not mapped to any ensemble tensors",
        ),
        (
            {},
            {"outputs": (ModelOutput("OTHER", "FP32", (5,)),)},
            "in ensemble e, ensemble tensor Y is mapped from non-existing output OUT in model second",
        ),
        (
            {"inputs": (ModelInput("IN", "BYTES", (4,)),)},
            {},
            "in ensemble e, ensemble tensor X: inconsistent data type: TYPE_FP32 is inferred from model e"
            " while TYPE_STRING is inferred from model first",
        ),
        (
            {},
            {"inputs": (ModelInput("IN", "FP32", (3, 3)),)},
            "in ensemble e, ensemble tensor t: inconsistent shape: [-1,-1,2] is inferred from model first"
            " while [-1,3,3] is inferred from model second",
        ),
        (
            {},
            {"outputs": (ModelOutput("OUT", "FP32", (6,)),)},
            "in ensemble e, ensemble tensor Y: inconsistent shape: [-1,5] is inferred from model e"
            " while [-1,6] is inferred from model second",
        ),
    ],
)  # fmt: skip
def test_an_ensemble_that_does_not_fit_is_refused_in_these_words(
    first: dict[str, object], second: dict[str, object], message: str
) -> None:
    """Each way not to fit has its text, which names tensor and models."""
    with pytest.raises(InvalidArgumentError) as caught:
        check_ensemble(ENSEMBLE, [replace(FIRST, **first), replace(SECOND, **second)])  # type: ignore[arg-type]
    assert caught.value.message == message
