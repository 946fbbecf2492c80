"""Graphs of ensembles that do and do not hang together."""

from __future__ import annotations

import pytest

from aisle_server.errors import InvalidArgumentError
from aisle_server.model_config.autocomplete import complete_from_files
from aisle_server.model_config.pbtxt import parse_config
from aisle_server.model_config.validation import validate_config


def step(model: str, inputs: dict[str, str], outputs: dict[str, str], version: int = -1) -> str:
    """A step as config.pbtxt writes it."""
    maps = "".join(f'input_map {{ key: "{key}" value: "{value}" }} ' for key, value in inputs.items())
    maps += "".join(f'output_map {{ key: "{key}" value: "{value}" }} ' for key, value in outputs.items())
    return f'step {{ model_name: "{model}" model_version: {version} {maps}}} '


def validate(steps: str, inputs: str = "X", outputs: str = "Y", extra: str = "") -> None:
    """Validate an ensemble of these steps, with inputs and outputs of one letter each."""
    tensors = "".join(f'input {{ name: "{name}" data_type: TYPE_FP32 dims: 1 }} ' for name in inputs)
    tensors += "".join(f'output {{ name: "{name}" data_type: TYPE_FP32 dims: 1 }} ' for name in outputs)
    text = f'platform: "ensemble" {tensors} ensemble_scheduling {{ {steps} }} {extra}'
    validate_config(complete_from_files(parse_config(text), "e", {}))


CHAIN = step("a", {"IN": "X"}, {"OUT": "t"}) + step("b", {"IN": "t"}, {"OUT": "Y"})


@pytest.mark.parametrize(
    ("steps", "inputs", "outputs"),
    [
        (CHAIN, "X", "Y"),
        (step("b", {"IN": "t"}, {"OUT": "Y"}) + step("a", {"IN": "X"}, {"OUT": "t"}), "X", "Y"),
        (step("a", {"I": "X"}, {"O": "t"}) + step("b", {"I": "Z", "J": "t"}, {"O": "Y"}), "XZ", "Y"),
        (step("a", {"I": "X"}, {"O": "Y"}) + step("b", {"I": "Y"}, {"O": "Z"}), "X", "YZ"),
        (step("a", {"I": "X", "J": "X"}, {"O": "Y"}), "X", "Y"),
    ],
)
def test_a_connected_graph_passes(steps: str, inputs: str, outputs: str) -> None:
    """Steps may stand in any order, read a tensor twice, and give an output that another step reads too."""
    validate(steps, inputs, outputs)


@pytest.mark.parametrize(
    ("steps", "inputs", "outputs", "message"),
    [
        ("", "X", "Y", "must specify 'step' for ensemble 'e'"),
        (step("", {"I": "X"}, {"O": "Y"}), "X", "Y", "must specify 'model_name' in step 0 of ensemble 'e'"),
        (step("a", {}, {"O": "Y"}), "X", "Y", "must specify 'input_map' in step 0 of ensemble 'e'"),
        (CHAIN + step("c", {"I": "t"}, {}), "X", "Y", "must specify 'output_map' in step 2 of ensemble 'e'"),
        (
            CHAIN + step("c", {"I": "X"}, {"O": "t"}),
            "X",
            "Y",
            "ensemble tensor 't' can appear in an output map only once for ensemble 'e' step 2",
        ),
        (CHAIN, "XZ", "Y", "ensemble input 'Z' for ensemble e' is not used"),
        (CHAIN, "X", "YZ", "ensemble output 'Z' for ensemble e' is not used"),
        (
            step("a", {"I": "X"}, {"O": "t"}) + step("b", {"I": "t", "J": "u"}, {"O": "Y"}),
            "X",
            "Y",
            "output 'Y' for ensemble 'e' is not written: at least one of its depending tensors, 'u', is not connected",
        ),
        (step("a", {"I": "X", "J": "Y"}, {"O": "t"}), "X", "Y", "output 'Y' for ensemble 'e' is not written"),
        (
            step("a", {"I": "X", "J": "u"}, {"O": "t"}) + step("b", {"I": "t"}, {"O": "u", "P": "Y"}),
            "X",
            "Y",
            "output 'Y' for ensemble 'e' is not written: at least one of its depending tensors, 't', is not connected",
        ),
        (CHAIN + step("c", {"I": "X"}, {"O": "v"}), "X", "Y", "ensemble tensor 'v' is unused in ensemble 'e'"),
        (
            step("a", {"I": "X"}, {"O": "X", "P": "Y"}),
            "X",
            "Y",
            "ensemble input 'X' is written by a step of ensemble 'e'; expected callers alone to give it",
        ),
        (
            step("a", {"I": "X"}, {"O": "Y"}, version=-2),
            "X",
            "Y",
            "step 0 of ensemble 'e' names version -2; expected -1 for the latest, or a version",
        ),
    ],
)
def test_a_graph_that_does_not_hang_together_is_refused_in_these_words(
    steps: str, inputs: str, outputs: str, message: str
) -> None:
    """Each way for a graph to be wrong has its text, which names the tensor and the ensemble."""
    with pytest.raises(InvalidArgumentError) as caught:
        validate(steps, inputs, outputs)
    assert caught.value.message == message


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("instance_group { }", "instance group should not be specified for ensemble 'e'"),
        ("optimization { }", "optimization should not be specified for ensemble 'e'"),
        ('model_warmup { name: "w" }', "model_warmup can not be specified for ensemble 'e'"),
    ],
)
def test_an_ensemble_has_nothing_that_needs_instances(extra: str, message: str) -> None:
    """An ensemble executes nothing itself, so a configuration that says how it should is refused."""
    with pytest.raises(InvalidArgumentError) as caught:
        validate(CHAIN, extra=extra)
    assert caught.value.message == message
