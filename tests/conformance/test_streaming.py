"""ModelStreamInfer for models that answer once, asked with NVIDIA's client."""

from __future__ import annotations

import queue
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from tests.support.server_process import ServerProcess
from tests.support.triton_requests import ROW, raw_request, refused, row_input


@pytest.fixture
def answers() -> queue.Queue[tuple[Any, Any]]:
    """What the stream's callback got: result and error."""
    return queue.Queue()


@pytest.fixture
def stream_client(server: ServerProcess, answers: queue.Queue[tuple[Any, Any]]):
    """A client with a stream of its own, so that one test's stream is not another's."""
    with triton.InferenceServerClient(server.grpc) as client:
        yield client
        client.stop_stream()


def test_answers_keep_the_order_of_requests(
    stream_client: triton.InferenceServerClient, answers: queue.Queue[tuple[Any, Any]]
) -> None:
    """Answers come in the order of the requests, each with its own tensor."""
    stream_client.start_stream(lambda result, error: answers.put((result, error)))
    for number in range(50):
        stream_client.async_stream_infer("identity", row_input(ROW + number), request_id=str(number))
    for number in range(50):
        result, error = answers.get(timeout=10)
        assert error is None
        assert result.get_response().id == str(number)
        np.testing.assert_array_equal(result.as_numpy("OUTPUT0"), ROW + number)


def test_an_error_does_not_end_the_stream(
    stream_client: triton.InferenceServerClient, answers: queue.Queue[tuple[Any, Any]]
) -> None:
    """A wrong request is answered with its error; the stream goes on."""
    stream_client.start_stream(lambda result, error: answers.put((result, error)))
    stream_client.async_stream_infer("nope", row_input())
    stream_client.async_stream_infer("identity", row_input(), request_id="next")
    result, error = answers.get(timeout=10)
    assert isinstance(error, InferenceServerException)
    assert error.message() == "Request for unknown model: 'nope' is not found"
    result, error = answers.get(timeout=10)
    assert (result.get_response().id, error) == ("next", None)


def test_a_caller_may_have_errors_end_the_stream(
    stream_client: triton.InferenceServerClient, answers: queue.Queue[tuple[Any, Any]]
) -> None:
    """With the header `triton_grpc_error: true` the first error closes the stream with its status."""
    stream_client.start_stream(
        lambda result, error: answers.put((result, error)), headers={"triton_grpc_error": "true"}
    )
    stream_client.async_stream_infer("nope", row_input())
    _, error = answers.get(timeout=10)
    assert error.status() == str(grpc.StatusCode.NOT_FOUND)
    assert error.message() == "Request for unknown model: 'nope' is not found"


def test_an_error_that_ends_a_stream_waits_for_the_answer_before_it(server: ServerProcess) -> None:
    """A good request right before a bad one: whichever of answer and end is ready first, the caller hears the status."""
    stream = "/inference.GRPCInferenceService/ModelStreamInfer"
    messages = [raw_request().SerializeToString(), raw_request("nope").SerializeToString()]
    with grpc.insecure_channel(server.grpc) as channel:
        for _ in range(20):
            call = channel.stream_stream(stream)(iter(messages), metadata=[("triton_grpc_error", "true")], timeout=10)
            with refused(grpc.StatusCode.NOT_FOUND, "Request for unknown model: 'nope' is not found"):
                list(call)
