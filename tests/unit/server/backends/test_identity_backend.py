"""The identity backend: what comes in goes out, when it should."""

import time
from pathlib import Path

import numpy as np
import pytest

from aisle_protocol.datatypes import DATATYPES, dtype_of
from aisle_server.backends.backend import BackendOptions, Device
from aisle_server.backends.identity_backend import open_identity_model
from aisle_server.errors import InvalidArgumentError
from aisle_server.model_config.schema import ModelConfig, ModelInput, ModelOutput
from tests.support.inference_requests import inference_request, tensor


def config(datatype="FP32", **fields):
    """A model with a required and an optional input; the outputs stand in another order."""
    return ModelConfig(
        "m",
        backend="identity",
        max_batch_size=8,
        inputs=(ModelInput("INPUT0", datatype, (-1,)), ModelInput("INPUT1", datatype, (-1,), optional=True)),
        outputs=(ModelOutput("OUTPUT1", datatype, (-1,)), ModelOutput("OUTPUT0", datatype, (-1,))),
        **fields,
    )


def instance(model_config):
    """The first instance of the model."""
    return open_identity_model(model_config, 1, Path(), BackendOptions()).create_instance("m_0", Device())


@pytest.mark.parametrize("datatype", sorted(DATATYPES))
def test_every_datatype_passes_through(datatype):
    """INPUT<i> comes back as OUTPUT<i>, bit for bit, in every datatype."""
    zero = np.full((1, 2), b"\xff\x00", np.object_) if datatype == "BYTES" else np.zeros((1, 2), dtype_of(datatype))
    request = inference_request(
        1, INPUT0=tensor("INPUT0", zero, datatype), INPUT1=tensor("INPUT1", zero[:, :1], datatype)
    )
    (response,) = instance(config(datatype)).execute([request]).results
    assert [(output.name, output.datatype, output.shape) for output in response.outputs] == [
        ("OUTPUT1", datatype, (1, 1)),
        ("OUTPUT0", datatype, (1, 2)),
    ]
    assert response.output("OUTPUT0").data is zero


def test_an_absent_input_is_an_absent_output():
    """The output of an optional input that did not come is left out."""
    (response,) = instance(config()).execute([inference_request(1, INPUT0=[[1.0]])]).results
    assert [output.name for output in response.outputs] == ["OUTPUT0"]


def test_requests_are_answered_in_order_with_their_ids():
    """A batch comes back request by request."""
    requests = [inference_request(1, INPUT0=[[float(i)]]).changed(id=str(i)) for i in range(3)]
    execution = instance(config()).execute(requests)
    assert [(response.id, response.output("OUTPUT0").data.item()) for response in execution.results] == [
        ("0", 0.0),
        ("1", 1.0),
        ("2", 2.0),
    ]


def test_an_execution_takes_the_time_it_is_told_to():
    """execute_delay_ms is the time of an execution, and is seen in its compute times."""
    slow = instance(config(parameters={"execute_delay_ms": "20"}))
    execution = slow.execute([inference_request(1, INPUT0=[[1.0]])])
    assert 20e6 <= execution.compute_end_ns - execution.compute_start_ns < 1e9


def test_later_instances_are_slower_when_told_so():
    """instance_wise_delay_multiplier makes instance i take multiplier * i times the delay, and never less than the delay."""
    parameters = {"execute_delay_ms": "5", "instance_wise_delay_multiplier": "4"}
    model = open_identity_model(config(parameters=parameters), 1, Path(), BackendOptions())
    durations = []
    for name in ("m_0", "m_1"):
        execution = model.create_instance(name, Device()).execute([inference_request(1, INPUT0=[[1.0]])])
        durations.append(execution.compute_end_ns - execution.compute_start_ns)
    assert 5e6 <= durations[0] < 20e6 <= durations[1]


def test_creation_takes_the_time_it_is_told_to():
    """creation_delay_sec is the time that opening the model takes."""
    start_ns = time.monotonic_ns()
    instance(config(parameters={"creation_delay_sec": "0.02"}))
    assert time.monotonic_ns() - start_ns >= 20e6


@pytest.mark.parametrize("text", ["fast", "-1", "inf", "nan", ""])
def test_a_delay_that_is_no_number_is_refused(text):
    """A parameter that is not a number of its kind fails the load, and the text says which."""
    with pytest.raises(InvalidArgumentError, match=f"parameter 'execute_delay_ms' of model 'm' is '{text}'"):
        instance(config(parameters={"execute_delay_ms": text}))


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        ((ModelInput("INPUT0", "FP32", (1,)),), (ModelOutput("OUTPUT1", "FP32", (1,)),)),
        ((ModelInput("INPUT0", "FP32", (1,)),), (ModelOutput("OUTPUT0", "INT32", (1,)),)),
        ((ModelInput("A", "FP32", (1,)),), (ModelOutput("A", "FP32", (1,)),)),
    ],
    ids=["no such input", "another datatype", "another name"],
)
def test_outputs_without_an_input_are_refused(inputs, outputs):
    """Each output needs the input of its number, with its datatype."""
    with pytest.raises(InvalidArgumentError, match="has no input of the same number and datatype"):
        instance(ModelConfig("m", inputs=inputs, outputs=outputs))
