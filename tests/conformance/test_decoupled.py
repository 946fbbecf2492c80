"""Decoupled python models, streamed with NVIDIA's client: any number of responses to a request, each as it is made."""

from __future__ import annotations

import queue
import time
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton

from tests.support.model_repositories import write_identity_model, write_python_model
from tests.support.server_process import ServerProcess, running_server
from tests.support.triton_requests import infer_input, refused, row_input

DECOUPLED = """
    max_batch_size: 0
    input { name: "IN" data_type: TYPE_INT32 dims: [-1] }
    output { name: "OUT" data_type: TYPE_INT32 dims: [1] }
    model_transaction_policy { decoupled: true }
"""
# For each element of IN a response, sent from a thread that outlives `execute`; then the end by itself.
REPEAT = """
class TritonPythonModel:
    def execute(self, requests):
        for request in requests:
            values = pb_utils.get_input_tensor_by_name(request, "IN").as_numpy()
            threading.Thread(target=self.repeat, args=(values, request.get_response_sender())).start()

    def repeat(self, values, sender):
        for value in values:
            time.sleep(0.02)
            if value < 0:
                error = pb_utils.TritonError(f"{value} is negative", pb_utils.TritonError.INVALID_ARG)
                sender.send(pb_utils.InferenceResponse(error=error))
            else:
                sender.send(pb_utils.InferenceResponse([pb_utils.Tensor("OUT", np.array([value], np.int32))]))
        sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
"""
# Sends until its caller has left, then writes how many it sent.
ENDLESS = """
class TritonPythonModel:
    def execute(self, requests):
        (request,) = requests
        sender, count = request.get_response_sender(), 0
        while not sender.is_cancelled():
            sender.send(pb_utils.InferenceResponse([pb_utils.Tensor("OUT", np.array([count], np.int32))]))
            count += 1
            time.sleep(0.005)
        pb_utils.Logger.log_warn(f"the caller left; cancelled: {request.is_cancelled()}")
        sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
"""
# Waits without holding its instance; the last response carries the final flag.
COROUTINE = """
import asyncio

class TritonPythonModel:
    async def execute(self, requests):
        for request in requests:
            sender = request.get_response_sender()
            values = pb_utils.get_input_tensor_by_name(request, "IN").as_numpy()
            await asyncio.sleep(values[0] / 1000)
            response = pb_utils.InferenceResponse([pb_utils.Tensor("OUT", values[:1])])
            sender.send(response, pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
"""
FAILING = """
class TritonPythonModel:
    def execute(self, requests):
        value = pb_utils.get_input_tensor_by_name(requests[0], "IN").as_numpy()[0]
        if value == 1:
            raise ValueError("secret")
        if value == 2:
            requests[0].get_response_sender()
        if value == 3:
            return [pb_utils.InferenceResponse([])]
"""


@pytest.fixture(scope="module")
def decoupled_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with decoupled python models."""
    repository = tmp_path_factory.mktemp("decoupled")
    for name, code in {"repeat": REPEAT, "endless": ENDLESS, "coroutine": COROUTINE, "failing": FAILING}.items():
        write_python_model(repository, name, code, DECOUPLED)
    write_identity_model(repository, "identity")
    with running_server(repository) as process:
        yield process


class Stream:
    """A stream of its own, and what its callback got."""

    def __init__(self, address: str, **arguments: Any) -> None:
        self.client = triton.InferenceServerClient(address)
        self.answers: queue.Queue[tuple[Any, Any]] = queue.Queue()
        self.client.start_stream(lambda result, error: self.answers.put((result, error)), **arguments)

    def ask(self, model: str, *values: int, **arguments: Any) -> None:
        """Send a request with these elements."""
        self.client.async_stream_infer(model, [infer_input("IN", np.array(values, np.int32), "INT32")], **arguments)

    def next(self) -> tuple[Any, bool]:
        """The next response's value, None when it has none, and whether it is final."""
        result, error = self.answers.get(timeout=20)
        assert error is None, error
        response = result.get_response()
        array = result.as_numpy("OUT")
        return None if array is None else int(array[0]), response.parameters["triton_final_response"].bool_param

    def next_error(self) -> str:
        """The next answer's error text."""
        return str(self.answers.get(timeout=20)[1].message())


@pytest.fixture
def stream(decoupled_server: ServerProcess) -> Iterator[Stream]:
    """A stream to the server."""
    stream = Stream(decoupled_server.grpc)
    yield stream
    stream.client.stop_stream(cancel_requests=True)
    stream.client.close()


def test_each_response_comes_as_it_is_made(stream: Stream) -> None:
    """A request has as many responses as the model sends; without the parameter the end alone is not sent."""
    stream.ask("repeat", 4, 2, 7)
    assert [stream.next() for _ in range(3)] == [(4, False), (2, False), (7, False)]
    stream.ask("repeat", 5)
    assert stream.next() == (5, False)


def test_a_caller_may_ask_for_the_empty_final_response(stream: Stream) -> None:
    """With `triton_enable_empty_final_response` the end comes as a response without outputs; zero responses are an end alone."""
    stream.ask("repeat", 4, enable_empty_final_response=True)
    assert [stream.next(), stream.next()] == [(4, False), (None, True)]
    stream.ask("repeat", enable_empty_final_response=True, request_id="none")
    result, error = stream.answers.get(timeout=20)
    response = result.get_response()
    assert (error, response.id, response.model_name, len(response.outputs)) == (None, "none", "repeat", 0)
    assert response.parameters["triton_final_response"].bool_param


def test_requests_of_a_stream_are_answered_side_by_side(stream: Stream) -> None:
    """A quick request overtakes a slow one, and a coroutine that waits does not hold its instance."""
    stream.ask("coroutine", 600)
    stream.ask("coroutine", 10)
    assert [stream.next(), stream.next()] == [(10, True), (600, True)]


def test_one_stream_asks_decoupled_models_and_others(stream: Stream) -> None:
    """A model that answers once is answered in the same stream, and its response is final."""
    stream.ask("coroutine", 400)
    stream.client.async_stream_infer("identity", row_input())
    result, _ = stream.answers.get(timeout=20)
    assert result.get_response().model_name == "identity"
    assert result.get_response().parameters["triton_final_response"].bool_param
    assert stream.next() == (400, True)


def test_an_error_among_the_responses_ends_nothing(stream: Stream) -> None:
    """An error response is told, and the responses behind it come."""
    stream.ask("repeat", 1, -1, 3)
    assert stream.next() == (1, False)
    assert stream.next_error() == "-1 is negative"
    assert stream.next() == (3, False)


def test_an_error_may_end_the_stream(decoupled_server: ServerProcess) -> None:
    """With the header `triton_grpc_error: true` an error response closes the stream with its status."""
    stream = Stream(decoupled_server.grpc, headers={"triton_grpc_error": "true"})
    stream.ask("repeat", -5)
    _, error = stream.answers.get(timeout=20)
    assert (error.status(), error.message()) == (str(grpc.StatusCode.INVALID_ARGUMENT), "-5 is negative")
    stream.client.close()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "Failed to process the request(s) for model 'failing'"),
        (2, "the model ended without a final response to the request"),
        (
            3,
            "model 'failing' is decoupled, and its execute returned a list; expected None, and responses by response sender",
        ),
    ],
)
def test_a_model_that_goes_wrong_leaves_nobody_waiting(stream: Stream, value: int, text: str) -> None:
    """A model that raises, forgets the end or answers in the wrong way fails its request, without a word of its insides."""
    stream.ask("failing", value)
    assert stream.next_error() == text


def test_a_decoupled_model_is_not_asked_by_unary_call(decoupled_server: ServerProcess) -> None:
    """ModelInfer of a decoupled model is UNIMPLEMENTED."""
    with (
        triton.InferenceServerClient(decoupled_server.grpc) as client,
        refused(
            grpc.StatusCode.UNIMPLEMENTED, "ModelInfer RPC doesn't support models with decoupled transaction policy"
        ),
    ):
        client.infer("repeat", [infer_input("IN", np.array([1], np.int32), "INT32")])


def test_d53_a_caller_that_leaves_stops_the_model(decoupled_server: ServerProcess) -> None:
    """A stream that is cancelled turns `is_cancelled` true, so that the model can stop."""
    stream = Stream(decoupled_server.grpc)
    stream.ask("endless", 0)
    assert stream.next() == (0, False)
    stream.client.stop_stream(cancel_requests=True)
    decoupled_server.wait_for_line("the caller left; cancelled: True", 10)
    stream.client.close()


def test_a_slow_reader_holds_the_model_back(decoupled_server: ServerProcess) -> None:
    """Responses that nobody reads do not pile up without bound, and none is lost."""
    stream = Stream(decoupled_server.grpc)
    stream.ask("repeat", *range(300))
    time.sleep(1)
    assert [stream.next()[0] for _ in range(300)] == list(range(300))
    stream.client.close()


def test_responses_are_booked_one_by_one(decoupled_server: ServerProcess, stream: Stream) -> None:
    """`response_stats` counts the n-th responses; the request is a success once, when its end has come."""
    with triton.InferenceServerClient(decoupled_server.grpc) as client:
        (before,) = client.get_inference_statistics("repeat").model_stats
        stream.ask("repeat", 1, 2, enable_empty_final_response=True)
        assert [stream.next() for _ in range(3)] == [(1, False), (2, False), (None, True)]
        (after,) = client.get_inference_statistics("repeat").model_stats
    assert after.inference_stats.success.count - before.inference_stats.success.count == 1
    assert after.execution_count - before.execution_count == 1
    grown = {
        key: (
            after.response_stats[key].success.count - before.response_stats[key].success.count,
            after.response_stats[key].empty_response.count - before.response_stats[key].empty_response.count,
        )
        for key in ("0", "1", "2")
    }
    assert grown == {"0": (1, 0), "1": (1, 0), "2": (0, 1)}
    assert after.response_stats["0"].compute_infer.ns > before.response_stats["0"].compute_infer.ns + 15_000_000
