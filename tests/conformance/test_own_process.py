"""Python models in processes of their own, killed and restarted under the eyes of NVIDIA's client."""

from __future__ import annotations

import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from tests.support.model_repositories import write_python_model
from tests.support.server_process import ServerProcess, running_server
from tests.support.triton_requests import infer_input, refused

OWN_PROCESS = 'parameters { key: "EXECUTION_PROCESS" value: { string_value: "own" } }'
TENSORS = """
    input { name: "IN" data_type: TYPE_FP32 dims: [-1] }
    output { name: "OUT" data_type: TYPE_FP32 dims: [-1] }
"""
# Answers with its process id in a parameter; waits IN milliseconds; asks `double` when a parameter says so.
WORKS = """
import json
import os

class TritonPythonModel:
    def initialize(self, args):
        pb_utils.Logger.log_info(f"initialized {args['model_instance_name']} of {args['model_name']}")

    def execute(self, requests):
        responses = []
        for request in requests:
            values = pb_utils.get_input_tensor_by_name(request, "IN").as_numpy()
            time.sleep(float(values.max()) / 1000)
            output = pb_utils.Tensor("OUT", values * 2)
            if json.loads(request.parameters()).get("ask"):
                asked = pb_utils.InferenceRequest(
                    model_name="double", requested_output_names=["OUT"], inputs=request.inputs()
                )
                (output,) = asked.exec().output_tensors()
            responses.append(pb_utils.InferenceResponse([output], parameters={"pid": os.getpid()}))
        return responses

    def finalize(self):
        pb_utils.Logger.log_info("finalized in its process")
"""
DOUBLE = """
class TritonPythonModel:
    def execute(self, requests):
        return [
            pb_utils.InferenceResponse(
                [pb_utils.Tensor("OUT", pb_utils.get_input_tensor_by_name(request, "IN").as_numpy() * 20)]
            )
            for request in requests
        ]
"""
STREAMS = """
import os

class TritonPythonModel:
    def execute(self, requests):
        for request in requests:
            threading.Thread(target=self.send, args=(request.get_response_sender(),)).start()

    def send(self, sender):
        count = 0
        while not sender.is_cancelled():
            array = np.array([count, os.getpid()], np.float32)
            sender.send(pb_utils.InferenceResponse([pb_utils.Tensor("OUT", array)]))
            count += 1
            time.sleep(0.01)
        pb_utils.Logger.log_warn("the stream was left")
        sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
"""
COMPLETES = """
class TritonPythonModel:
    @staticmethod
    def auto_complete_config(config):
        config.add_input({"name": "IN", "data_type": "TYPE_STRING", "dims": [1]})
        config.add_output({"name": "OUT", "data_type": "TYPE_STRING", "dims": [1]})
        config.set_max_batch_size(4)
        return config

    def execute(self, requests):
        tensors = [pb_utils.get_input_tensor_by_name(request, "IN").as_numpy() for request in requests]
        return [pb_utils.InferenceResponse([pb_utils.Tensor("OUT", tensor)]) for tensor in tensors]
"""


def write_models(repository: Path) -> None:
    """Write the models that the tests ask."""
    write_python_model(repository, "works", WORKS, TENSORS + OWN_PROCESS)
    write_python_model(repository, "pair", WORKS, TENSORS + OWN_PROCESS + "instance_group { count: 2 }")
    write_python_model(repository, "double", DOUBLE, TENSORS)
    write_python_model(
        repository, "streams", STREAMS, TENSORS + OWN_PROCESS + "model_transaction_policy { decoupled: true }"
    )
    write_python_model(repository, "completes", COMPLETES, OWN_PROCESS)


@pytest.fixture(scope="module")
def own_process_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server whose python models have processes of their own."""
    repository = tmp_path_factory.mktemp("own_process")
    write_models(repository)
    with running_server(repository) as process:
        yield process


@pytest.fixture
def own_client(own_process_server: ServerProcess) -> Iterator[triton.InferenceServerClient]:
    """NVIDIA's client of that server."""
    with triton.InferenceServerClient(own_process_server.grpc) as client:
        yield client


def row(*values: float) -> list[triton.InferInput]:
    """One input."""
    return [infer_input("IN", np.array(values, np.float32))]


def pid_of(client: triton.InferenceServerClient, model: str = "works") -> int:
    """The process that answers for a model now."""
    return int(client.infer(model, row(1)).get_response().parameters["pid"].int64_param)


def eventually(is_so: Callable[[], bool], timeout_s: float = 20) -> None:
    """Return when something is so."""
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    """Whether there is such a process, and it is no zombie."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def test_a_model_executes_outside_of_the_server(
    own_process_server: ServerProcess, own_client: triton.InferenceServerClient
) -> None:
    """The answer comes from another process, and what the model logs stands in the server's log."""
    assert pid_of(own_client) != own_process_server.pid
    np.testing.assert_array_equal(own_client.infer("works", row(1, 2)).as_numpy("OUT"), [2, 4])
    own_process_server.wait_for_line("initialized works_0 of works")


def test_a_model_in_its_process_executes_others(own_client: triton.InferenceServerClient) -> None:
    """Business logic scripting leads from the process through the server to another model."""
    result = own_client.infer("works", row(1, 2), parameters={"ask": True})
    np.testing.assert_array_equal(result.as_numpy("OUT"), [20, 40])


def test_a_model_in_its_process_completes_its_configuration(own_client: triton.InferenceServerClient) -> None:
    """`auto_complete_config` runs in the process, and text survives the way there and back."""
    assert own_client.get_model_config("completes").config.max_batch_size == 4
    text = np.array([["é\x00".encode()], [b""]], dtype=object)
    result = own_client.infer("completes", [infer_input("IN", text, "BYTES")])
    assert result.as_numpy("OUT").tolist() == text.tolist()


def test_d56_a_killed_process_is_restarted(
    own_process_server: ServerProcess, own_client: triton.InferenceServerClient
) -> None:
    """Kill -9: the request under way fails, readiness goes and comes back, and the log tells it all."""
    pid = pid_of(own_client)
    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(own_client.infer, "works", row(5000))
        time.sleep(0.3)
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: not own_client.is_model_ready("works") and not own_client.is_server_ready(), 5)
        with refused(
            grpc.StatusCode.INTERNAL,
            "Failed to process the request(s) for model 'works', message: the process of its instance has ended",
        ):
            under_way.result(timeout=5)
    # A request that comes meanwhile waits for the new process.
    assert pid_of(own_client) != pid
    eventually(lambda: own_client.is_model_ready("works") and own_client.is_server_ready())
    for line in (
        f"process {pid} of instance 'works_0' of model 'works' ended: signal SIGKILL",
        "instance 'works_0' of model 'works' is restarted in 0.1 s",
        "instance 'works_0' of model 'works' is up again",
    ):
        own_process_server.wait_for_line(line)


def test_a_process_killed_under_load_costs_what_it_had(own_client: triton.InferenceServerClient) -> None:
    """Of two instances one is killed under load: requests that the other has, and those that come later, are answered."""
    answers: list[tuple[int, float | str]] = []
    stop = threading.Event()

    def ask(number: int) -> None:
        while not stop.is_set():
            try:
                result = own_client.infer("pair", row(number), client_timeout=20)
                answers.append((number, float(result.as_numpy("OUT")[0])))
            except InferenceServerException as error:
                answers.append((number, str(error.message())))

    with ThreadPoolExecutor(8) as pool:
        for number in range(1, 9):
            pool.submit(ask, number)
        time.sleep(0.5)
        before = len(answers)
        os.kill(pid_of(own_client, "pair"), signal.SIGKILL)
        eventually(lambda: own_client.is_model_ready("pair") and len(answers) > before + 200)
        stop.set()
    failures = [text for _, text in answers if isinstance(text, str)]
    assert len(failures) <= 1
    assert all("the process of its instance has ended" in text for text in failures)
    assert all(answer == 2 * number for number, answer in answers if not isinstance(answer, str))


def test_a_process_killed_while_it_streams_ends_its_streams(own_process_server: ServerProcess) -> None:
    """The responses of a killed process end in an error, and the next request is answered by the new one."""
    answers: queue.Queue[tuple[Any, Any]] = queue.Queue()
    with triton.InferenceServerClient(own_process_server.grpc) as client:
        client.start_stream(lambda result, error: answers.put((result, error)))
        client.async_stream_infer("streams", row(1))
        count, pid = answers.get(timeout=20)[0].as_numpy("OUT").tolist()
        assert count == 0
        os.kill(int(pid), signal.SIGKILL)
        while (error := answers.get(timeout=20)[1]) is None:
            pass
        assert "the process of its instance has ended" in error.message()
        client.async_stream_infer("streams", row(1))
        result, error = answers.get(timeout=20)
        assert error is None
        assert result.as_numpy("OUT")[1] != pid
        client.stop_stream(cancel_requests=True)
    own_process_server.wait_for_line("the stream was left", 10)


def test_stopping_the_server_finalizes_the_processes(tmp_path: Path) -> None:
    """A server that stops lets its models finalize, and leaves no process behind."""
    write_models(tmp_path)
    with running_server(tmp_path) as server, triton.InferenceServerClient(server.grpc) as client:
        pid = pid_of(client)
        client.close()
        assert server.stop() == 0
        assert any("finalized in its process" in line for line in server.log)
        assert not is_running(pid)


def test_a_killed_server_leaves_no_process(tmp_path: Path) -> None:
    """When the server itself is killed, the processes of its models end, even one that is executing."""
    write_models(tmp_path)
    with running_server(tmp_path) as server:
        client = triton.InferenceServerClient(server.grpc)
        pid = pid_of(client)
        client.async_infer("works", row(60_000), lambda result, error: None)
        time.sleep(0.2)
        os.kill(server.pid, signal.SIGKILL)
        eventually(lambda: not is_running(pid), 5)
        client.close()


def test_what_cannot_be_had_is_refused_in_words(tmp_path: Path) -> None:
    """A packed environment and a place that does not exist keep their models from loading, and the index says why."""
    packed = 'parameters { key: "EXECUTION_ENV_PATH" value: { string_value: "$$TRITON_MODEL_DIRECTORY/env.tar.gz" } }'
    write_python_model(tmp_path, "packed", DOUBLE, TENSORS + packed)
    write_python_model(tmp_path, "elsewhere", DOUBLE, TENSORS + OWN_PROCESS.replace('"own"', '"moon"'))
    write_python_model(tmp_path, "broken", "import nothing_of_this_name", TENSORS + OWN_PROCESS)
    write_python_model(tmp_path, "deadly", "import os\nos.kill(os.getpid(), 9)", TENSORS + OWN_PROCESS)
    with (
        running_server(tmp_path, "--exit-on-error=false", "--strict-readiness=false") as server,
        triton.InferenceServerClient(server.grpc) as client,
    ):
        reasons = {model.name: model.reason for model in client.get_model_repository_index().models}
    assert "install what the model needs beside the server, and remove the parameter" in reasons["packed"]
    assert "is 'moon'; expected 'own' or 'server'" in reasons["elsewhere"]
    assert "failed to import: ModuleNotFoundError: No module named 'nothing_of_this_name'" in reasons["broken"]
    assert "ended its process while it was loaded: signal SIGKILL" in reasons["deadly"]
