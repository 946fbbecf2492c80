"""SavedModels on a real server: how their configurations are completed, the texts for those that do not fit, state and ragged batches.

Numbers are those of `tests/support/triton_books.py`.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton

from tests.support.server_process import ServerProcess, running_server
from tests.support.triton_requests import infer_input

# Of twenty networks each is loaded by TensorFlow, which a busy machine takes its time for.
pytestmark = pytest.mark.timeout(900)

INT32 = "data_type: TYPE_INT32 dims: 16"
INPUTS = [("INPUT0", "TYPE_INT32", [16]), ("INPUT1", "TYPE_INT32", [16])]
OUTPUTS = [("OUTPUT0", "TYPE_INT32", [16]), ("OUTPUT1", "TYPE_INT32", [16])]
ALLOWED_INPUTS = "allowed inputs are: INPUT0, INPUT1"
ALLOWED_OUTPUTS = "allowed outputs are: OUTPUT0, OUTPUT1"
# Model -> config.pbtxt and why it is not served.
REFUSED: dict[str, tuple[str, str]] = {
    "B39": (
        'input { name: "INPUT0" data_type: TYPE_INT32 dims: 16 } input { name: "INPUT1" data_type: TYPE_INT32 dims: [-1, 16] }',
        "Internal: unable to autofill for '{}', model tensor configurations are contradicting each other in terms of whether batching"
        " is supported",
    ),
    "B40": (
        f'max_batch_size: 8 output {{ name: "OUTPUT_UNKNOWN" {INT32} }}',
        f"Invalid argument: unexpected inference output 'OUTPUT_UNKNOWN', {ALLOWED_OUTPUTS}",
    ),
    "B41": (
        f'max_batch_size: 8 input {{ name: "INPUT0" {INT32} }} input {{ name: "INPUT_UNKNOWN" {INT32} }}',
        f"Invalid argument: unexpected inference input 'INPUT_UNKNOWN', {ALLOWED_INPUTS}",
    ),
    "B42": (
        'max_batch_size: 8 input { name: "INPUT1" data_type: TYPE_FP32 dims: 16 }',
        "Invalid argument: unable to load model '{}', configuration expects datatype TYPE_FP32 for input 'INPUT1', model provides"
        " TYPE_INT32",
    ),
    "B43": (
        f'max_batch_size: 8 input {{ name: "INPUT0" {INT32} }} input {{ name: "INPUT1" {INT32} }} input {{ name: "INPUT2" {INT32} }}',
        "Invalid argument: unable to load model '{}', configuration expects 3 inputs, model provides 2",
    ),
    "B44": (
        f'max_batch_size: 8 output {{ name: "OUTPUT0" {INT32} }} output {{ name: "OUTPUT1" data_type: TYPE_INT32 dims: 1 }}',
        "Invalid argument: model '{}', tensor 'OUTPUT1': the model expects 2 dimensions (shape [-1,16]) but the model configuration"
        " specifies 2 dimensions (an initial batch dimension because max_batch_size > 0 followed by the explicit tensor shape, making"
        " complete shape [-1,1])",
    ),
}
# Model -> signature, config.pbtxt, and what completion must make of it.
COMPLETED: dict[str, tuple[str, str, dict[str, Any]]] = {
    "B56-cpu_instance": (
        "batching",
        "instance_group { count: 2 kind: KIND_CPU }",
        {"max_batch_size": 4, "preferred": [4], "count": 2, "kind": "KIND_CPU"},
    ),
    "B57-no_config_no_batch": ("no_batching", "", {"max_batch_size": 0, "preferred": None}),
    "B58-kind_model_config": (
        "batching",
        "instance_group { kind: KIND_MODEL }",
        {"max_batch_size": 4, "preferred": [4], "kind": "KIND_MODEL"},
    ),
    "B59-hint_for_no_batch_1": (
        "batching",
        'input { name: "INPUT0" data_type: TYPE_INT32 dims: [-1, 16] }',
        {"max_batch_size": 0, "preferred": None, "inputs": [(name, kind, [-1, *dims]) for name, kind, dims in INPUTS]},
    ),
    "B60-hint_for_no_batch_2": (
        "batching",
        'output { name: "OUTPUT0" data_type: TYPE_INT32 dims: [-1, 16] }',
        {"max_batch_size": 0, "preferred": None, "outputs": [("OUTPUT0", "TYPE_INT32", [-1, 16])]},
    ),
    "B61-max_batch_size_set": ("batching", "max_batch_size: 8", {"max_batch_size": 8, "preferred": [8]}),
    "B62-no_name_platform": ("batching", "max_batch_size: 1", {"max_batch_size": 1, "preferred": None}),
    "B63-incomplete_input": (
        "batching",
        'max_batch_size: 8 input { name: "INPUT1" } input { name: "INPUT0" dims: 16 }',
        {"max_batch_size": 8, "preferred": [8], "inputs": INPUTS[::-1]},
    ),
    "B64-incomplete_output": (
        "batching",
        'max_batch_size: 8 output { name: "OUTPUT1" } output { name: "OUTPUT0" }',
        {"max_batch_size": 8, "preferred": [8], "inputs": INPUTS, "outputs": OUTPUTS[::-1]},
    ),
    "B65-reshape_config_provided": (
        "batching",
        'max_batch_size: 8 input { name: "INPUT0" data_type: TYPE_INT32 dims: [4, 4] reshape { shape: 16 } }',
        {"max_batch_size": 8, "preferred": [8], "inputs": [("INPUT0", "TYPE_INT32", [4, 4]), INPUTS[1]]},
    ),
    "B66-too_few_inputs": (
        "batching",
        f'max_batch_size: 8 input {{ name: "INPUT1" {INT32} }}',
        {"max_batch_size": 8, "preferred": [8], "inputs": INPUTS[::-1]},
    ),
}
STATE = 'input_name: "SUM_IN" output_name: "SUM_OUT" data_type: TYPE_INT32 dims: 1'
SEVENTY = 'initial_state { name: "seventy" data_type: TYPE_INT32 dims: 1 data_file: "seventy" }'


def write_networks(folder: Path) -> None:
    """Write the SavedModels that the models are copies of."""
    # Not before: whoever only collects the tests need not wait for it.
    tf = pytest.importorskip("tensorflow")

    def arithmetic(INPUT0: Any, INPUT1: Any) -> dict[str, Any]:
        return {"OUTPUT0": INPUT0 + INPUT1, "OUTPUT1": INPUT0 - INPUT1}

    def add_to_state(INPUT: Any, SUM_IN: Any) -> dict[str, Any]:
        return {"OUTPUT": INPUT + SUM_IN, "SUM_OUT": tf.identity(INPUT + SUM_IN)}

    def sum_ragged(INPUT: Any, INDEX: Any) -> dict[str, Any]:
        return {"OUTPUT": 2 * INPUT, "RUNNING_SUM": tf.gather(tf.cumsum(INPUT), INDEX - 1)[:, None]}

    def save(name: str, function: Any, **inputs: tuple[list[int | None], Any]) -> None:
        module = tf.Module()
        module.function = tf.function(function).get_concrete_function(
            **{each: tf.TensorSpec(shape, datatype, name=each) for each, (shape, datatype) in inputs.items()}
        )
        tf.saved_model.save(module, str(folder / name), signatures={"serving_default": module.function})

    for name, shape in (("batching", [None, 16]), ("no_batching", [16])):
        save(name, arithmetic, INPUT0=(shape, tf.int32), INPUT1=(shape, tf.int32))
    save("state", add_to_state, INPUT=([None, 1], tf.int32), SUM_IN=([None, 1], tf.int32))
    save("ragged", sum_ragged, INPUT=([None], tf.float32), INDEX=([None], tf.int32))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server of SavedModels, some of which do not load."""
    saved, repository = tmp_path_factory.mktemp("saved"), tmp_path_factory.mktemp("savedmodels")
    write_networks(saved)

    def add(model: str, signature: str, config: str) -> None:
        (repository / model).mkdir()
        shutil.copytree(saved / signature, repository / model / "1" / "model.savedmodel")
        if config:
            (repository / model / "config.pbtxt").write_text(config)

    for name, (config, _) in REFUSED.items():
        add(name, "batching", config)
    for name, (signature, config, _) in COMPLETED.items():
        add(name, signature, config)
    for name, more in (("plain", ""), ("growable", "use_growable_memory: true"), ("seventy", SEVENTY)):
        for strategy in ("direct", "oldest") if name == "plain" else ("oldest",):
            batching = f"sequence_batching {{ {strategy} {{}} state {{ {STATE} {more} }} }}"
            add(f"{name}_{strategy}", "state", f"max_batch_size: 3 {batching}")
            (repository / f"{name}_{strategy}" / "initial_state").mkdir()
            (repository / f"{name}_{strategy}" / "initial_state" / "seventy").write_bytes(np.int32(70).tobytes())
    add(
        "ragged",
        "ragged",
        """max_batch_size: 16 dynamic_batching { max_queue_delay_microseconds: 300000 }
        instance_group { kind: KIND_CPU count: 1 secondary_devices { kind: KIND_NVDLA device_id: 0 } }
        input { name: "INPUT" data_type: TYPE_FP32 dims: -1 allow_ragged_batch: true }
        output { name: "OUTPUT" data_type: TYPE_FP32 dims: -1 } output { name: "RUNNING_SUM" data_type: TYPE_FP32 dims: 1 }
        batch_input { kind: BATCH_ACCUMULATED_ELEMENT_COUNT target_name: "INDEX" data_type: TYPE_INT32 source_input: "INPUT" }
        batch_output { target_name: "OUTPUT" source_input: "INPUT" }""",
    )
    with running_server(repository, "--exit-on-error=false", "--strict-readiness=false", wait=False) as process:
        process.wait_for_line("] Ready", timeout_s=600)
        yield process


@pytest.fixture(scope="module")
def client(server: ServerProcess) -> Iterator[triton.InferenceServerClient]:
    """NVIDIA's client of that server."""
    with triton.InferenceServerClient(server.grpc) as client:
        yield client


@pytest.mark.parametrize("name", REFUSED)
def test_a_configuration_that_does_not_fit_is_told(client: triton.InferenceServerClient, name: str) -> None:
    """The index has Triton's text, word for word."""
    (line,) = [each for each in client.get_model_repository_index().models if each.name == name]
    assert (line.state, line.reason) == ("UNAVAILABLE", REFUSED[name][1].format(name))


@pytest.mark.parametrize("name", COMPLETED)
def test_a_configuration_is_completed(client: triton.InferenceServerClient, name: str) -> None:
    """From the signature, as Triton does it: batch size, batcher, tensors in the order of the file, instances."""
    expected = {"inputs": None, "outputs": None, "count": None, "kind": None, **COMPLETED[name][2]}
    config = client.get_model_config(name, as_json=False).config
    assert config.platform == "tensorflow_savedmodel"
    assert config.max_batch_size == expected["max_batch_size"]
    batching = list(config.dynamic_batching.preferred_batch_size) if config.HasField("dynamic_batching") else None
    assert batching == expected["preferred"]
    for kind, tensors in (("inputs", config.input), ("outputs", config.output)):
        told = [(each.name, triton.model_config_pb2.DataType.Name(each.data_type), list(each.dims)) for each in tensors]
        assert expected[kind] in (None, told)
    (group,) = config.instance_group
    assert expected["count"] in (None, group.count)
    assert expected["kind"] in (None, triton.model_config_pb2.ModelInstanceGroup.Kind.Name(group.kind))
    assert client.is_model_ready(name)


def ask(client: triton.InferenceServerClient, model: str, value: int, sequence_id: int, *, start: bool = False) -> int:
    """Send one request of a sequence."""
    given = [infer_input("INPUT", np.full((1, 1), value, np.int32), "INT32")]
    result = client.infer(model, given, sequence_id=sequence_id, sequence_start=start)
    return int(result.as_numpy("OUTPUT")[0, 0])


@pytest.mark.parametrize(
    ("name", "strategy", "first"),
    [("plain", "direct", 0), ("plain", "oldest", 0), ("growable", "oldest", 0), ("seventy", "oldest", 70)],
)
def test_state_is_carried_from_answer_to_request(
    client: triton.InferenceServerClient, name: str, strategy: str, first: int
) -> None:
    """Two sequences that take turns have sums of their own, from zeros or from a file; growable memory changes nothing."""
    model = f"{name}_{strategy}"
    for turn in range(4):
        for sequence_id in (1, 2):
            told = ask(client, model, sequence_id, sequence_id, start=turn == 0)
            assert told == first + sequence_id * (turn + 1)
    assert ask(client, model, 5, 1, start=True) == first + 5
    assert [each.name for each in client.get_model_metadata(model).inputs] == ["INPUT"]
    state = client.get_model_config(model).config.sequence_batching.state[0]
    assert state.use_growable_memory == (name == "growable")


def test_requests_of_different_lengths_share_a_batch(client: triton.InferenceServerClient) -> None:
    """Three are one execution: each gets its own elements back, and the running sum that ends with them.

    Devices that no processor has are echoed and not looked at, as on Triton without GPUs.
    """
    rows = [[1.0, 2.0, 3.0], [4.0], [5.0, 6.0]]

    def infer(row: list[float]) -> triton.InferResult:
        return client.infer("ragged", [infer_input("INPUT", np.array([row], np.float32))])

    with ThreadPoolExecutor(len(rows)) as callers:
        answers = list(callers.map(infer, rows))
    for row, answer in zip(rows, answers, strict=True):
        assert answer.as_numpy("OUTPUT").tolist() == [[2 * value for value in row]]
    assert max(float(answer.as_numpy("RUNNING_SUM")[0, 0]) for answer in answers) == 21
    (row,) = client.get_inference_statistics("ragged").model_stats
    assert (row.inference_count, row.execution_count) == (3, 1)
    assert client.get_model_config("ragged").config.instance_group[0].secondary_devices[0].device_id == 0
    assert len(client.get_model_config("ragged").config.instance_group[0].secondary_devices) == 1
