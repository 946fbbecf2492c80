"""Gather and scatter: every request gets its own rows, and nothing is copied that need not be."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisle_server.backends.batching import UnequalRequestsError, gather, requested_outputs, scatter
from aisle_server.errors import InternalError
from aisle_server.model_config.schema import ModelConfig, ModelOutput
from tests.support.inference_requests import inference_request

CONFIG = ModelConfig(
    "m", max_batch_size=64, outputs=(ModelOutput("SUM", "FP32", (1,)), ModelOutput("TEXT", "BYTES", (1,)))
)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=8))
def test_rows_come_back_to_those_who_sent_them(sizes):
    """What is gathered and scattered again is the same, for requests of any number of rows, none included."""
    requests = [
        inference_request(
            size, X=np.full((size, 2), index, np.float32), T=np.full((size, 1), b"%d" % index, np.object_)
        )
        for index, size in enumerate(sizes)
    ]
    batch = gather(requests)
    responses = scatter(CONFIG, 3, requests, {"SUM": batch["X"], "TEXT": batch["T"]})
    for request, response in zip(requests, responses, strict=True):
        assert [output.name for output in response.outputs] == ["SUM", "TEXT"]
        assert np.array_equal(response.output("SUM").data, request.inputs["X"].data)
        assert np.array_equal(response.output("TEXT").data, request.inputs["T"].data)
        assert response.output("SUM").shape == request.inputs["X"].shape
        assert response.model_version == 3


def test_a_single_request_is_not_copied():
    """The array of a lone request goes to the network as it came, and what the network made goes out as it is."""
    request = inference_request(2, X=np.ones((2, 3), np.float32))
    data = gather([request])["X"]
    assert data is request.inputs["X"].data
    (response,) = scatter(CONFIG, 1, [request], {"SUM": data})
    assert response.output("SUM").data is data


def test_a_response_shares_memory_with_its_batch():
    """Cutting a batch into responses makes views."""
    requests = [inference_request(1, X=[[1.0]]), inference_request(1, X=[[2.0]])]
    batch = np.array([[1.0], [2.0]], np.float32)
    responses = scatter(CONFIG, 1, requests, {"SUM": batch})
    assert all(np.shares_memory(response.output("SUM").data, batch) for response in responses)


def test_each_caller_gets_the_outputs_it_asked_for_in_its_order():
    """Requested outputs may differ within a batch; none requested stands for all."""
    requests = [
        inference_request(1).changed(requested_outputs=("TEXT", "SUM")),
        inference_request(1).changed(requested_outputs=("SUM",)),
        inference_request(1),
    ]
    outputs = {"SUM": np.zeros((3, 1), np.float32), "TEXT": np.full((3, 1), b"", np.object_)}
    names = [[output.name for output in response.outputs] for response in scatter(CONFIG, 1, requests, outputs)]
    assert names == [["TEXT", "SUM"], ["SUM"], ["SUM", "TEXT"]]


def test_the_network_computes_what_somebody_asked_for():
    """The outputs of a batch are the union of those requested, in the order of the model configuration."""
    first, second = (inference_request(1).changed(requested_outputs=(name,)) for name in ("C", "A"))
    assert requested_outputs([first, second], ("A", "B", "C")) == ["A", "C"]
    assert requested_outputs([first, inference_request(1)], ("A", "B", "C")) == ("A", "B", "C")


@pytest.mark.parametrize(
    "other",
    [inference_request(1, X=np.zeros((1, 3), np.float32)), inference_request(1, Y=np.zeros((1, 2), np.float32))],
    ids=["another shape", "another input"],
)
def test_requests_that_do_not_stack_are_told_apart(other):
    """Requests of different variable dimensions, or of different inputs, do not make one array."""
    with pytest.raises(UnequalRequestsError):
        gather([inference_request(1, X=np.zeros((1, 2), np.float32)), other])


@pytest.mark.parametrize("array", [np.zeros((3, 1), np.float32), np.float32(0)], ids=["3 rows", "no rows"])
def test_an_output_with_another_number_of_rows_is_an_error(array):
    """A network that does not answer row by row cannot be batched, and its rows are never given to the wrong caller."""
    requests = [inference_request(1), inference_request(1)]
    with pytest.raises(InternalError, match=r"output 'SUM' of model 'm' has shape .* for a batch of 2"):
        scatter(CONFIG, 1, requests, {"SUM": np.asarray(array)})


def test_a_model_without_a_batch_dimension_answers_any_shape():
    """Outputs of a model with max_batch_size 0 are not cut."""
    config = ModelConfig("m", outputs=CONFIG.outputs)
    (response,) = scatter(config, 1, [inference_request(1)], {"SUM": np.zeros((), np.float32)})
    assert response.output("SUM").shape == ()
