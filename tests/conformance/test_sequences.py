"""Models with sequences, asked as the stock sequence examples of NVIDIA's client ask: one by one and over a stream."""

from __future__ import annotations

import queue
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
import tritonclient.http as triton_http
from onnx import TensorProto, helper

from tests.support.model_repositories import write_python_model
from tests.support.onnx_networks import save_network
from tests.support.server_process import ServerProcess, running_server
from tests.support.triton_requests import infer_input, refused

VALUES = (11, 7, 5, 3, 2, 0, 1)
TENSORS = """
    input { name: "INPUT" data_type: TYPE_INT32 dims: [1] }
    output { name: "OUTPUT" data_type: TYPE_INT32 dims: [1] }
"""
START = 'control_input { name: "START" control { kind: CONTROL_SEQUENCE_START fp32_false_true: [0, 1] } }'
END = 'control_input { name: "END" control { kind: CONTROL_SEQUENCE_END bool_false_true: [false, true] } }'
READY = 'control_input { name: "READY" control { kind: CONTROL_SEQUENCE_READY int32_false_true: [0, 1] } }'
CORRID = 'control_input { name: "CORRID" control { kind: CONTROL_SEQUENCE_CORRID data_type: TYPE_%s } }'
# Sums up its sequence, and adds the number of the sequence to the last answer, as the stock `simple_dyna_sequence` does. Slots are
# told apart by CORRID, and the sums of an instance are its own, so a request that strays finds none.
ACCUMULATOR = """
class TritonPythonModel:
    def initialize(self, args):
        self.sums = {}

    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        value, start, end, ready, corrid = (
            pb_utils.get_input_tensor_by_name(request, name).as_numpy().reshape(-1)[0]
            for name in ("INPUT", "START", "END", "READY", "CORRID")
        )
        if ready:
            assert str(request.correlation_id()) == (corrid.decode() if isinstance(corrid, bytes) else str(corrid))
            assert request.flags() == (1 if start else 0) + (2 if end else 0)
            self.sums[corrid] = value + (0 if start else self.sums[corrid])
            value = self.sums.pop(corrid) + int(corrid) if end else self.sums[corrid]
        return pb_utils.InferenceResponse([pb_utils.Tensor("OUTPUT", np.array([[value]], np.int32))])
"""
# Answers how many callers and how many empty rows its execution had.
CENSUS = """
class TritonPythonModel:
    def execute(self, requests):
        time.sleep(0.2)
        ready = [pb_utils.get_input_tensor_by_name(each, "READY").as_numpy()[0, 0] for each in requests]
        answer = np.array([[10 * sum(ready) + len(ready)]], np.int32)
        return [pb_utils.InferenceResponse([pb_utils.Tensor("OUTPUT", answer)]) for _ in requests]
"""


def write_stock_model(repository: Path) -> None:
    """Write an ONNX model that adds START to its input, as the stock `simple_sequence` does."""
    directory = repository / "simple_sequence"
    inputs = [("INPUT", TensorProto.INT32), ("START", TensorProto.FLOAT), ("READY", TensorProto.INT32)]
    save_network(
        directory / "1",
        [
            helper.make_node("Cast", ["START"], ["START_INT32"], to=TensorProto.INT32),
            helper.make_node("Mul", ["START_INT32", "READY"], ["ADDED"]),
            helper.make_node("Add", ["INPUT", "ADDED"], ["OUTPUT"]),
        ],
        [(name, datatype, ["rows", 1]) for name, datatype in inputs],
        [("OUTPUT", TensorProto.INT32, ["rows", 1])],
    )
    (directory / "config.pbtxt").write_text(f"max_batch_size: 8 sequence_batching {{ {START} {READY} }}")


def write_stateful_model(repository: Path, strategy: str) -> None:
    """Write an ONNX model that sums up its sequence in implicit state, and knows nothing else of sequences."""
    directory = repository / f"stateful_{strategy}"
    save_network(
        directory / "1",
        [
            helper.make_node("Add", ["INPUT", "SUM_IN"], ["SUM_OUT"]),
            helper.make_node("Identity", ["SUM_OUT"], ["OUTPUT"]),
        ],
        [(name, TensorProto.INT32, ["rows", 1]) for name in ("INPUT", "SUM_IN")],
        [(name, TensorProto.INT32, ["rows", 1]) for name in ("OUTPUT", "SUM_OUT")],
    )
    state = 'state { input_name: "SUM_IN" output_name: "SUM_OUT" data_type: TYPE_INT32 dims: 1 }'
    (directory / "config.pbtxt").write_text(f"max_batch_size: 3 sequence_batching {{ {strategy} {{}} {state} }}")


@pytest.fixture(scope="module")
def sequence_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with models that keep sequences."""
    repository = tmp_path_factory.mktemp("sequences")
    write_stock_model(repository)
    for strategy in ("direct", "oldest"):
        write_stateful_model(repository, strategy)
    two = "max_batch_size: 4 instance_group { count: 2 kind: KIND_CPU }" + TENSORS
    controls = START + END + READY
    for name, strategy, datatype in (
        ("direct", "direct {}", "UINT64"),
        ("simple_dyna_sequence", "oldest { max_candidate_sequences: 3 max_queue_delay_microseconds: 2000 }", "UINT64"),
        ("simple_string_dyna_sequence", "oldest {}", "STRING"),
    ):
        config = f"{two} sequence_batching {{ {strategy} {controls} {CORRID % datatype} }}"
        write_python_model(repository, name, ACCUMULATOR, config)
    hasty = f"sequence_batching {{ max_sequence_idle_microseconds: 100000 {controls} {CORRID % 'UINT64'} }}"
    write_python_model(repository, "hasty", ACCUMULATOR, f"max_batch_size: 1 {TENSORS} {hasty}")
    write_python_model(
        repository, "census", CENSUS, f"max_batch_size: 4 {TENSORS} sequence_batching {{ direct {{}} {READY} }}"
    )
    with running_server(repository) as process:
        yield process


@pytest.fixture
def client(sequence_server: ServerProcess) -> Iterator[triton.InferenceServerClient]:
    """NVIDIA's client of that server."""
    with triton.InferenceServerClient(sequence_server.grpc) as client:
        yield client


def value_input(value: int, rows: int = 1) -> list[triton.InferInput]:
    """The input of a model that takes INT32[1]."""
    return [infer_input("INPUT", np.full((rows, 1), value, np.int32), "INT32")]


def ask(client: triton.InferenceServerClient, model: str, value: int, sequence_id: int | str, flags: str = "") -> int:
    """Send one request of a sequence; `flags` are of `S` for start and `E` for end."""
    result = client.infer(
        model,
        value_input(value),
        sequence_id=sequence_id,
        sequence_start="S" in flags,
        sequence_end="E" in flags,
    )
    return int(result.as_numpy("OUTPUT")[0, 0])


def sums(values: Sequence[int], sequence_id: int) -> list[int]:
    """What an accumulator answers to a sequence."""
    running = np.cumsum(values)
    running[-1] += sequence_id
    return [int(value) for value in running]


def flags_of(index: int, values: Sequence[int]) -> str:
    """`S` for the first, `E` for the last."""
    return ("S" if index == 0 else "") + ("E" if index == len(values) - 1 else "")


@pytest.mark.parametrize("model", ["direct", "simple_dyna_sequence"])
def test_sequences_that_take_turns_keep_their_sums(client: triton.InferenceServerClient, model: str) -> None:
    """Requests of two sequences, sent in turns, are each answered from the state of their own sequence."""
    got: dict[int, list[int]] = {1001: [], 1002: []}
    for index, value in enumerate(VALUES):
        got[1001].append(ask(client, model, value, 1001, flags_of(index, VALUES)))
        got[1002].append(ask(client, model, -value, 1002, flags_of(index, VALUES)))
    assert got == {1001: sums(VALUES, 1001), 1002: sums([-value for value in VALUES], 1002)}


@pytest.mark.parametrize("model", ["direct", "simple_dyna_sequence", "simple_string_dyna_sequence"])
def test_more_sequences_than_slots_over_one_stream(sequence_server: ServerProcess, model: str) -> None:
    """Twenty sequences on eight slots, all sent at once: each is answered in order and from its own state."""
    answers: queue.Queue[tuple[Any, Any]] = queue.Queue()
    ids = [1000 + number for number in range(20)]
    got: dict[int, list[int]] = {each: [] for each in ids}
    with triton.InferenceServerClient(sequence_server.grpc) as client:
        client.start_stream(lambda result, error: answers.put((result, error)))
        for sequence_id in ids:
            for index, value in enumerate(VALUES):
                client.async_stream_infer(
                    model,
                    value_input(value),
                    request_id=str(sequence_id),
                    sequence_id=str(sequence_id) if "string" in model else sequence_id,
                    sequence_start=index == 0,
                    sequence_end=index == len(VALUES) - 1,
                )
        for _ in range(len(ids) * len(VALUES)):
            result, error = answers.get(timeout=30)
            assert error is None, error
            got[int(result.get_response().id)].append(int(result.as_numpy("OUTPUT")[0, 0]))
        client.stop_stream()
    assert got == {each: sums(VALUES, each) for each in ids}


def test_the_stock_stream_example(sequence_server: ServerProcess) -> None:
    """An ONNX model is told START by a control tensor; its sequences have numbers and texts for ids."""
    answers: queue.Queue[tuple[Any, Any]] = queue.Queue()
    sent = {1000: [0, *VALUES], 1001: [100, *(-v for v in VALUES)], str(uuid.uuid4()): [20, *(-v for v in VALUES)]}
    got: dict[str, list[int]] = {}
    with triton.InferenceServerClient(sequence_server.grpc) as client:
        client.start_stream(lambda result, error: answers.put((result, error)))
        for sequence_id, values in sent.items():
            for index, value in enumerate(values):
                client.async_stream_infer(
                    "simple_sequence",
                    value_input(value),
                    outputs=[triton.InferRequestedOutput("OUTPUT")],
                    request_id=str(sequence_id),
                    sequence_id=sequence_id,
                    sequence_start=index == 0,
                    sequence_end=index == len(values) - 1,
                )
        for _ in range(sum(map(len, sent.values()))):
            result, error = answers.get(timeout=30)
            assert error is None, error
            got.setdefault(result.get_response().id, []).append(int(result.as_numpy("OUTPUT")[0, 0]))
        client.stop_stream()
    assert got == {str(each): [values[0] + 1, *values[1:]] for each, values in sent.items()}


@pytest.mark.parametrize("strategy", ["direct", "oldest"])
def test_the_server_carries_implicit_state(client: triton.InferenceServerClient, strategy: str) -> None:
    """A network without memory sums up each of three sequences; a new START begins from zeros, and no caller sees the state."""
    model = f"stateful_{strategy}"
    got: dict[int, list[int]] = {each: [] for each in (1, 2, 3)}
    for index, value in enumerate(VALUES):
        for sequence_id in got:
            got[sequence_id].append(ask(client, model, sequence_id * value, sequence_id, "S" if index == 0 else ""))
    assert got == {each: [int(value) for value in np.cumsum(VALUES) * each] for each in got}
    assert [ask(client, model, 5, 2, "S"), ask(client, model, 1, 2), ask(client, model, 1, 1)] == [
        5,
        6,
        sum(VALUES) + 1,
    ]
    metadata = client.get_model_metadata(model)
    assert ([each.name for each in metadata.inputs], [each.name for each in metadata.outputs]) == (
        ["INPUT"],
        ["OUTPUT"],
    )
    result = client.infer(
        model, [infer_input("INPUT", np.ones((1, 1), np.int32), "INT32")], sequence_id=3, sequence_end=True
    )
    assert [each.name for each in result.get_response().outputs] == ["OUTPUT"]
    for sequence_id in (1, 2):
        ask(client, model, 0, sequence_id, "E")


def test_sequences_share_executions(client: triton.InferenceServerClient) -> None:
    """Three sequences that ask at once are executed together; one alone in the third row has two empty rows before it."""
    answers: queue.Queue[tuple[Any, Any]] = queue.Queue()
    for sequence_id in (11, 12, 13):
        client.async_infer(
            "census",
            value_input(1),
            lambda result, error: answers.put((result, error)),
            sequence_id=sequence_id,
            sequence_start=True,
        )
        time.sleep(0.03)
    counts = [int(answers.get(timeout=20)[0].as_numpy("OUTPUT")[0, 0]) for _ in range(3)]
    assert counts == [11, 23, 23]  # ready * 10 + rows
    assert ask(client, "census", 1, 13, "E") == 13
    assert [ask(client, "census", 1, each, "E") for each in (12, 11)] == [12, 11]


def test_sequences_over_http(sequence_server: ServerProcess) -> None:
    """The stock REST example: the parameters of a sequence stand in the JSON, its id a number or a text."""
    with triton_http.InferenceServerClient(sequence_server.http) as client:
        for model, sequence_id in (("direct", 2001), ("simple_string_dyna_sequence", "2002")):
            got = []
            for index, value in enumerate(VALUES):
                given = triton_http.InferInput("INPUT", [1, 1], "INT32")
                given.set_data_from_numpy(np.array([[value]], np.int32))
                result = client.infer(
                    model,
                    [given],
                    sequence_id=sequence_id,
                    sequence_start=index == 0,
                    sequence_end=index == len(VALUES) - 1,
                )
                got.append(int(result.as_numpy("OUTPUT")[0, 0]))
            assert got == sums(VALUES, int(sequence_id))


def test_a_caller_that_leaves_takes_its_sequence_along(client: triton.InferenceServerClient) -> None:
    """A request that is cancelled while it waits ends its sequence: those behind it are CANCELLED too, and nobody else is."""
    answers: queue.Queue[Any] = queue.Queue()

    def send(name: str, sequence_id: int, *, start: bool = False) -> Any:
        time.sleep(0.03)
        return client.async_infer(
            "census",
            value_input(1),
            lambda result, error: answers.put((name, error and error.status())),
            sequence_id=sequence_id,
            sequence_start=start,
        )

    send("first", 21, start=True)
    leaving = send("leaving", 21)
    send("behind", 21)
    send("other", 22, start=True)
    leaving.cancel()
    assert dict(answers.get(timeout=20) for _ in range(4)) == {
        "first": None,
        "leaving": str(grpc.StatusCode.CANCELLED),
        "behind": str(grpc.StatusCode.CANCELLED),
        "other": None,
    }
    with refused(
        grpc.StatusCode.INVALID_ARGUMENT, "inference request for sequence 21 to model 'census' must specify..."
    ):
        ask(client, "census", 1, 21)
    ask(client, "census", 1, 22, "E")


def test_a_sequence_must_be_started(client: triton.InferenceServerClient) -> None:
    """A request of a sequence that nobody started, or that has ended, is refused in Triton's words."""
    text = "inference request for sequence 77 to model 'direct' must specify the START flag on the first request of the sequence"
    with refused(grpc.StatusCode.INVALID_ARGUMENT, text):
        ask(client, "direct", 1, 77)
    assert ask(client, "direct", 1, 77, "SE") == 78
    with refused(grpc.StatusCode.INVALID_ARGUMENT, text):
        ask(client, "direct", 1, 77)


def test_a_request_must_name_its_sequence(client: triton.InferenceServerClient) -> None:
    """A model with sequences does not take a request without one, nor several rows at once."""
    text = "inference request to model 'direct' must specify a non-zero or non-empty correlation ID"
    with refused(grpc.StatusCode.INVALID_ARGUMENT, text):
        client.infer("direct", value_input(1))
    text = "inference request to model 'direct' must specify batch-size 1 due to requirements of sequence batcher"
    with refused(grpc.StatusCode.INVALID_ARGUMENT, text):
        client.infer("direct", value_input(1, rows=2), sequence_id=5, sequence_start=True)


def test_control_tensors_are_the_servers(client: triton.InferenceServerClient) -> None:
    """They are no inputs that callers see, and a caller who sends one is refused."""
    assert [each.name for each in client.get_model_metadata("simple_sequence").inputs] == ["INPUT"]
    start = infer_input("START", np.ones((1, 1), np.float32))
    with refused(
        grpc.StatusCode.INVALID_ARGUMENT,
        "[request id: <id_unknown>] expected 1 inputs but got 2 inputs for model 'simple_sequence'...",
    ):
        client.infer("simple_sequence", [*value_input(1), start], sequence_id=5, sequence_start=True)


def test_a_sequence_that_was_idle_too_long_is_over(client: triton.InferenceServerClient) -> None:
    """Its slot goes to the next sequence, and its next request is refused."""
    assert ask(client, "hasty", 5, 31, "S") == 5
    began = time.monotonic()
    assert ask(client, "hasty", 6, 32, "S") == 6
    assert time.monotonic() - began > 0.05
    with refused(
        grpc.StatusCode.INVALID_ARGUMENT, "inference request for sequence 31 to model 'hasty' must specify..."
    ):
        ask(client, "hasty", 1, 31)
    assert ask(client, "hasty", 1, 32, "E") == 7 + 32


def test_a_new_start_begins_anew(client: triton.InferenceServerClient) -> None:
    """START on a sequence that has not ended forgets what was."""
    assert [ask(client, "direct", 4, 55, "S"), ask(client, "direct", 4, 55)] == [4, 8]
    assert [ask(client, "direct", 3, 55, "S"), ask(client, "direct", 1, 55, "E")] == [3, 4 + 55]


def test_the_configuration_is_told(client: triton.InferenceServerClient) -> None:
    """ModelConfig tells the sequence batcher, its defaults filled in; the server's metadata tells the extension."""
    batching = client.get_model_config("simple_dyna_sequence").config.sequence_batching
    assert batching.max_sequence_idle_microseconds == 1_000_000
    assert (batching.oldest.max_candidate_sequences, list(batching.oldest.preferred_batch_size)) == (3, [4])
    assert [each.name for each in batching.control_input] == ["START", "END", "READY", "CORRID"]
    assert "sequence" in client.get_server_metadata().extensions
