"""Python models that execute other models (business logic scripting), asked with NVIDIA's client."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton

from tests.support.model_repositories import write_identity_model, write_python_model
from tests.support.server_process import ServerProcess, running_server
from tests.support.triton_requests import infer_input, refused

ONE_TO_ONE = """
    max_batch_size: 8
    input { name: "IN" data_type: TYPE_FP32 dims: [-1] }
    output { name: "OUT" data_type: TYPE_FP32 dims: [-1] }
"""
DOUBLE = """
class TritonPythonModel:
    def execute(self, requests):
        responses = []
        for request in requests:
            values = pb_utils.get_input_tensor_by_name(request, "IN").as_numpy()
            if values.min() < 0:
                error = pb_utils.TritonError("negative", pb_utils.TritonError.INVALID_ARG)
                responses.append(pb_utils.InferenceResponse(error=error))
                continue
            said = {"id": request.request_id(), "timeout": request.timeout(), "note": request.parameters()}
            responses.append(pb_utils.InferenceResponse([pb_utils.Tensor("OUT", values * 2)], parameters=said))
        return responses
"""
# Executes the model that the request's parameter names, and hands on its answer or its error.
CALLS = """
import json

class TritonPythonModel:
    def execute(self, requests):
        responses = []
        for request in requests:
            model = json.loads(request.parameters()).get("model", "double")
            asked = pb_utils.InferenceRequest(
                request_id="inner", model_name=model, requested_output_names=["OUT"], inputs=request.inputs(),
                timeout=7_000_000, parameters={"depth": 1},
            )
            answer = asked.exec()
            if answer.has_error():
                error = pb_utils.TritonError("told: " + answer.error().message(), answer.error().code())
                responses.append(pb_utils.InferenceResponse(error=error))
            else:
                said = json.loads(answer.parameters())
                responses.append(pb_utils.InferenceResponse(answer.output_tensors(), parameters=said))
        return responses
"""
# Executes `double` three times at once, and returns the sum.
GATHERS = """
import asyncio

class TritonPythonModel:
    async def execute(self, requests):
        responses = []
        for request in requests:
            asked = [
                pb_utils.InferenceRequest(model_name="double", requested_output_names=["OUT"], inputs=request.inputs())
                for _ in range(3)
            ]
            answers = await asyncio.gather(*(each.async_exec() for each in asked))
            arrays = [pb_utils.get_output_tensor_by_name(answer, "OUT").as_numpy() for answer in answers]
            responses.append(pb_utils.InferenceResponse([pb_utils.Tensor("OUT", sum(arrays))]))
        return responses
"""
COUNTS = """
class TritonPythonModel:
    def execute(self, requests):
        for request in requests:
            sender = request.get_response_sender()
            for value in range(int(pb_utils.get_input_tensor_by_name(request, "IN").as_numpy().max())):
                sender.send(pb_utils.InferenceResponse([pb_utils.Tensor("OUT", np.full((1, 1), value, np.float32))]))
            sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
"""
# From a thread of its own: reads all responses of `counts`, and of `double`, which has one.
RELAYS = """
class TritonPythonModel:
    def execute(self, requests):
        for request in requests:
            threading.Thread(target=self.relay, args=(request.get_response_sender(), request.inputs())).start()

    def relay(self, sender, inputs):
        for model in ("counts", "double"):
            asked = pb_utils.InferenceRequest(model_name=model, requested_output_names=["OUT"], inputs=inputs)
            for response in asked.exec(decoupled=True):
                if response.output_tensors():
                    sender.send(pb_utils.InferenceResponse(response.output_tensors()))
        sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
"""
TEXT = """
class TritonPythonModel:
    def execute(self, requests):
        tensor = pb_utils.Tensor("INPUT0", np.array([["é", b"\\x00ff"]], dtype=object))
        asked = pb_utils.InferenceRequest(model_name="strings", requested_output_names=["OUTPUT0"], inputs=[tensor])
        return [pb_utils.InferenceResponse(asked.exec().output_tensors()) for _ in requests]
"""


@pytest.fixture(scope="module")
def calling_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with models that execute one another."""
    repository = tmp_path_factory.mktemp("calls")
    for name, code in {"double": DOUBLE, "calls": CALLS, "gathers": GATHERS}.items():
        write_python_model(repository, name, code, ONE_TO_ONE + "instance_group { count: 2 }")
    for name, code in {"counts": COUNTS, "relays": RELAYS}.items():
        write_python_model(repository, name, code, ONE_TO_ONE + "model_transaction_policy { decoupled: true }")
    output = 'max_batch_size: 1 output { name: "OUTPUT0" data_type: TYPE_STRING dims: [2] }'
    ignored = 'input { name: "IN" data_type: TYPE_FP32 dims: [-1] }'
    write_python_model(repository, "text", TEXT, output + ignored)
    write_identity_model(repository, "strings", [("0", "BYTES", (2,))])
    with running_server(repository) as process:
        yield process


@pytest.fixture(scope="module")
def calling_client(calling_server: ServerProcess) -> Iterator[triton.InferenceServerClient]:
    """NVIDIA's client of that server."""
    with triton.InferenceServerClient(calling_server.grpc) as client:
        yield client


def row(*values: float) -> list[triton.InferInput]:
    """One row of an input."""
    return [infer_input("IN", np.array([values], np.float32))]


def test_a_model_executes_another(calling_client: triton.InferenceServerClient) -> None:
    """`exec` runs the other model with the id, timeout and parameters that it was given, and gives its tensors and parameters."""
    result = calling_client.infer("calls", row(1, 2), request_id="outer")
    np.testing.assert_array_equal(result.as_numpy("OUT"), [[2, 4]])
    said = result.get_response().parameters
    assert (said["id"].string_param, said["timeout"].string_param or said["timeout"].int64_param) == (
        "inner",
        7_000_000,
    )
    assert said["note"].string_param == '{"depth": 1}'
    assert result.get_response().id == "outer"


def test_the_other_models_error_is_a_response(calling_client: triton.InferenceServerClient) -> None:
    """An error of the other model comes back with its text and its code, and is no exception."""
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "told: negative"):
        calling_client.infer("calls", row(-1))
    with refused(grpc.StatusCode.NOT_FOUND, "told: Request for unknown model: 'nobody' is not found"):
        calling_client.infer("calls", row(1), parameters={"model": "nobody"})
    with refused(grpc.StatusCode.UNIMPLEMENTED, "told: ..."):
        calling_client.infer("calls", row(1), parameters={"model": "counts"})
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "told: unexpected inference output 'OUT' for model 'strings'"):
        calling_client.infer("calls", row(1), parameters={"model": "strings"})


def test_a_coroutine_executes_several_at_once(calling_client: triton.InferenceServerClient) -> None:
    """`async_exec` lets the model wait for several models at a time."""
    np.testing.assert_array_equal(calling_client.infer("gathers", row(1, 3)).as_numpy("OUT"), [[6, 18]])


def test_text_travels_between_models(calling_client: triton.InferenceServerClient) -> None:
    """BYTES go out as text or bytes, and come back as bytes."""
    array = calling_client.infer("text", row(0)).as_numpy("OUTPUT0")
    assert array.tolist() == [["é".encode(), b"\x00ff"]]


def test_many_callers_at_once_do_not_block_one_another(calling_client: triton.InferenceServerClient) -> None:
    """Models that wait for models hold up neither the server nor each other."""
    with ThreadPoolExecutor(16) as pool:
        results = pool.map(lambda value: calling_client.infer("calls", row(value), client_timeout=60), range(64))
        assert [float(result.as_numpy("OUT")[0, 0]) for result in results] == [2.0 * value for value in range(64)]


def test_a_model_reads_a_decoupled_models_responses(calling_server: ServerProcess) -> None:
    """`exec(decoupled=True)` iterates over all responses, on a thread that the model has started, of any model."""
    answers: queue.Queue[tuple[Any, Any]] = queue.Queue()
    with triton.InferenceServerClient(calling_server.grpc) as client:
        client.start_stream(lambda result, error: answers.put((result, error)))
        client.async_stream_infer("relays", row(3), enable_empty_final_response=True)
        got = []
        while True:
            result, error = answers.get(timeout=20)
            assert error is None
            response = result.get_response()
            if response.parameters["triton_final_response"].bool_param:
                break
            got.append(float(result.as_numpy("OUT")[0, 0]))
        client.stop_stream()
    assert got == [0, 1, 2, 6]
