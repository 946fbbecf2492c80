"""Batches whose requests differ in shape: how they are laid out, and that everyone gets his own elements back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from aisle_server.backends.backend import BackendOptions, Device
from aisle_server.backends.onnxruntime_backend import open_onnxruntime_model
from aisle_server.backends.ragged import RaggedBatching
from aisle_server.errors import InternalError, InvalidArgumentError
from aisle_server.model_config.pbtxt import parse_config
from aisle_server.model_config.ragged import BatchInput, BatchInputKind, BatchOutput
from aisle_server.model_config.schema import ModelConfig, ModelInput, ModelOutput
from aisle_server.model_config.validation import validate_tensors
from tests.support.inference_requests import inference_request
from tests.support.onnx_networks import save_network

KINDS = {kind.name.removeprefix("BATCH_"): kind for kind in BatchInputKind}


def config(*kinds: BatchInputKind, dims: tuple[int, ...] = (-1,)) -> ModelConfig:
    """A model that is told these things of INPUT, and whose OUTPUT has the shapes of INPUT."""
    return ModelConfig(
        "m",
        max_batch_size=16,
        inputs=(ModelInput("INPUT", "FP32", dims, allow_ragged_batch=True), ModelInput("SCALE", "FP32", (1,))),
        outputs=(ModelOutput("OUTPUT", "FP32", dims),),
        batch_inputs=tuple(BatchInput(kind, (kind.name,), "INT32", ("INPUT",)) for kind in kinds),
        batch_outputs=(BatchOutput(("OUTPUT",), ("INPUT",)),),
    )


def request(*shape: int):
    """A request of this shape."""
    data = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    return inference_request(shape[0], INPUT=data, SCALE=np.ones((shape[0], 1), np.float32))


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("ELEMENT_COUNT", [3, 8, 5]),
        ("ACCUMULATED_ELEMENT_COUNT", [3, 11, 16]),
        ("ACCUMULATED_ELEMENT_COUNT_WITH_ZERO", [0, 3, 11, 16]),
        ("ITEM_SHAPE", [[3], [4], [4], [5]]),
        ("ITEM_SHAPE_FLATTEN", [3, 4, 4, 5]),
        ("MAX_ELEMENT_COUNT_AS_SHAPE", [0] * 8),
    ],
)
def test_a_model_is_told_where_requests_begin_and_end(kind: str, told: list) -> None:
    """The elements stand in a row, and an input tells of them in the way that the configuration asks for."""
    requests = [request(1, 3), request(2, 4), request(1, 5)]
    inputs = RaggedBatching(config(KINDS[kind])).gather(requests)
    np.testing.assert_array_equal(inputs["INPUT"], [*range(3), *range(8), *range(5)])
    assert inputs["SCALE"].shape == (4, 1)
    assert inputs[f"BATCH_{kind}"].dtype == np.int32
    assert inputs[f"BATCH_{kind}"].tolist() == told


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 4), st.integers(0, 3)), min_size=1, max_size=6))
def test_elements_come_back_to_those_who_sent_them(shapes) -> None:
    """What is laid out and shared out again is the same, in the shapes in which it came."""
    ragged = RaggedBatching(config(BatchInputKind.BATCH_ITEM_SHAPE, dims=(-1, -1)))
    requests = [request(*shape) for shape in shapes]
    inputs = ragged.gather(requests)
    assert inputs["BATCH_ITEM_SHAPE"].shape == (sum(rows for rows, _, _ in shapes), 2)
    pieces = ragged.share_out(requests, {"OUTPUT": inputs["INPUT"]})["OUTPUT"]
    for each, piece in zip(requests, pieces, strict=True):
        np.testing.assert_array_equal(piece, each.inputs["INPUT"].data)


def test_a_model_that_gives_too_few_elements_is_found_out() -> None:
    """Nobody is given another one's elements when a model answers with fewer than it should."""
    ragged = RaggedBatching(config(BatchInputKind.BATCH_ELEMENT_COUNT))
    text = r"output 'OUTPUT' of model 'm' has shape \[3\] for a batch whose input 'INPUT' asks for 4 elements"
    with pytest.raises(InternalError, match=text):
        ragged.share_out([request(1, 4)], {"OUTPUT": np.zeros(3, np.float32)})


def test_an_onnx_model_takes_ragged_batches(tmp_path) -> None:
    """Three requests of different lengths are one execution: each is told its own sum and its own doubled elements."""
    save_network(
        tmp_path / "1",
        [
            helper.make_node("Mul", ["INPUT", "TWO"], ["OUTPUT"]),
            helper.make_node("CumSum", ["INPUT", "AXIS"], ["RUNNING"]),
            helper.make_node("Sub", ["INDEX", "ONE"], ["LAST"]),
            helper.make_node("Gather", ["RUNNING", "LAST"], ["SUMS"]),
            helper.make_node("Unsqueeze", ["SUMS", "COLUMN"], ["RUNNING_SUM"]),
        ],
        [("INPUT", TensorProto.FLOAT, ["elements"]), ("INDEX", TensorProto.INT32, ["requests"])],
        [("OUTPUT", TensorProto.FLOAT, ["elements"]), ("RUNNING_SUM", TensorProto.FLOAT, ["requests", 1])],
        [
            helper.make_tensor("TWO", TensorProto.FLOAT, [], [2.0]),
            helper.make_tensor("ONE", TensorProto.INT32, [], [1]),
            helper.make_tensor("AXIS", TensorProto.INT64, [], [0]),
            helper.make_tensor("COLUMN", TensorProto.INT64, [1], [1]),
        ],
    )
    parsed = parse_config("""
        name: "m" max_batch_size: 16
        input { name: "INPUT" data_type: TYPE_FP32 dims: -1 allow_ragged_batch: true }
        output { name: "OUTPUT" data_type: TYPE_FP32 dims: -1 }
        output { name: "RUNNING_SUM" data_type: TYPE_FP32 dims: 1 }
        batch_input {
          kind: BATCH_ACCUMULATED_ELEMENT_COUNT target_name: "INDEX" data_type: TYPE_INT32 source_input: "INPUT"
        }
        batch_output { target_name: "OUTPUT" source_input: "INPUT" }
    """)
    model = open_onnxruntime_model(parsed, 1, tmp_path / "1", BackendOptions())
    validate_tensors(model.config)
    assert [each.name for each in model.config.inputs] == ["INPUT"]
    instance = model.create_instance("i", Device())
    rows = [[1.0, 2.0, 3.0], [4.0], [5.0, 6.0]]
    results = instance.execute([inference_request(1, INPUT=np.array([row], np.float32)) for row in rows]).results
    assert [each.output("OUTPUT").data.tolist() for each in results] == [[[2 * value for value in row]] for row in rows]
    assert [each.output("RUNNING_SUM").data.tolist() for each in results] == [[[6.0]], [[10.0]], [[21.0]]]
    instance.finalize()
    model.close()


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ("batch_input {}", "batch input of m must specify 'target_name'"),
        ('batch_input { target_name: "I" }', "batch input 'I' of m has 0 source inputs; expected one"),
        (
            'batch_input { target_name: "I" source_input: "Z" }',
            "batch input 'I' of m has source input 'Z'; expected an input that every request has",
        ),
        (
            'batch_input { target_name: "I" source_input: "X" data_type: TYPE_INT64 }',
            "batch input 'I' of m is INT64; expected TYPE_INT32 or TYPE_FP32",
        ),
        (
            'batch_output { target_name: "Z" source_input: "X" }',
            "batch output 'Z' of m must be an output of no more dimensions than its source input 'X'",
        ),
    ],
)
def test_what_tells_of_no_batch_is_refused(fields: str, text: str) -> None:
    """Batch inputs and outputs that name nothing, or too much, do not load."""
    tensors = (
        'input { name: "X" data_type: TYPE_FP32 dims: -1 } output { name: "Y" data_type: TYPE_FP32 dims: [-1, -1] }'
    )
    with pytest.raises(InvalidArgumentError, match=f"^{text}$"):
        validate_tensors(parse_config(f'name: "m" max_batch_size: 4 {tensors} {fields}'))


def test_batch_inputs_need_batches() -> None:
    """A model without a batch dimension has no batch to tell of."""
    told = 'batch_input { target_name: "I" source_input: "X" data_type: TYPE_INT32 }'
    with pytest.raises(InvalidArgumentError, match="need a 'max_batch_size' of 1 or more"):
        validate_tensors(parse_config(f'name: "m" input {{ name: "X" data_type: TYPE_FP32 dims: -1 }} {told}'))
