"""Requests and responses between the wire and the server."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisle_protocol.datatypes import DATATYPES, dtype_of
from aisle_protocol.generated import grpc_service_pb2 as pb
from aisle_protocol.raw_contents import to_raw
from aisle_server.errors import InternalError, InvalidArgumentError, NotFoundError, UnsupportedError
from aisle_server.frontends.grpc.convert import decode_class_counts, decode_placements, decode_request, encode_response
from aisle_server.frontends.shared_memory import SharedMemoryRegions
from aisle_server.inference import InferenceRequest, InferenceResponse, Tensor
from aisle_server.model_config.schema import ModelConfig, ModelInput
from tests.support.fake_inference_server import IDENTITY
from tests.support.infer_messages import infer_message, output_array

ROW = np.arange(16, dtype=np.float32).reshape(1, 16)


def _decoded(message: pb.ModelInferRequest, config: ModelConfig = IDENTITY) -> InferenceRequest:
    return decode_request(message, config, 3, None)


def _refused(message: pb.ModelInferRequest, config: ModelConfig = IDENTITY) -> str:
    with pytest.raises(InvalidArgumentError) as caught:
        decode_request(message, config, 3, None)
    return caught.value.message


def test_a_request_is_taken_whole() -> None:
    """Model, version, id, requested outputs, deadline and batch size come out as they went in."""
    message = infer_message(INPUT0=np.zeros((4, 16), np.float32))
    message.id = "7"
    message.outputs.add(name="OUTPUT0")
    request = decode_request(message, IDENTITY, 3, 12345)
    assert (request.model_name, request.model_version, request.id) == ("identity", 3, "7")
    assert (request.requested_outputs, request.deadline_ns, request.batch_size) == (("OUTPUT0",), 12345, 4)
    assert request.inputs["INPUT0"].datatype == "FP32"


@pytest.mark.parametrize("datatype", sorted(DATATYPES - {"BYTES"}))
def test_raw_contents_are_read_in_place(datatype: str) -> None:
    """An array of fixed-size elements is a read-only view of the bytes that came, whatever its datatype."""
    raw = bytes(range(1, 17)) if datatype != "BOOL" else bytes([0, 1] * 8)
    shape = [1, len(raw) // dtype_of(datatype).itemsize]
    message = pb.ModelInferRequest(raw_input_contents=[raw])
    message.inputs.add(name="X", datatype=datatype, shape=shape)
    array = _decoded(message).inputs["X"].data
    assert array.dtype == dtype_of(datatype)
    assert list(array.shape) == shape
    assert array.tobytes() == raw
    assert not array.flags.owndata
    assert not array.flags.writeable


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_bytes_survive_there_and_back(elements: list[bytes]) -> None:
    """Elements of any bytes, NUL and broken UTF-8 among them, come back as they were sent."""
    array = np.empty((len(elements), 1), dtype=np.object_)
    array[:, 0] = elements
    message = pb.ModelInferRequest(raw_input_contents=[to_raw(array, "BYTES")])
    message.inputs.add(name="X", datatype="BYTES", shape=array.shape)
    tensor = _decoded(message).inputs["X"]
    response = encode_response(InferenceResponse("m", 1, outputs=(tensor,)), (tensor,))
    assert output_array(response).tolist() == array.tolist()


@pytest.mark.parametrize(
    ("datatype", "field", "values"),
    [
        ("BOOL", "bool_contents", [True, False]),
        ("INT8", "int_contents", [-128, 127]),
        ("INT16", "int_contents", [-32768, 32767]),
        ("INT32", "int_contents", [-(2**31), 2**31 - 1]),
        ("INT64", "int64_contents", [-(2**63), 2**63 - 1]),
        ("UINT8", "uint_contents", [0, 255]),
        ("UINT16", "uint_contents", [0, 65535]),
        ("UINT32", "uint_contents", [0, 2**32 - 1]),
        ("UINT64", "uint64_contents", [0, 2**64 - 1]),
        ("FP32", "fp32_contents", [1.5, float("-inf")]),
        ("FP64", "fp64_contents", [1e300, -0.0]),
        ("BYTES", "bytes_contents", [b"", b"\x00\xff"]),
    ],
)
def test_typed_contents_are_read(datatype: str, field: str, values: list[Any]) -> None:
    """Each datatype that has a typed field may come in it."""
    message = pb.ModelInferRequest()
    tensor = message.inputs.add(name="X", datatype=datatype, shape=[2, 1])
    getattr(tensor.contents, field).extend(values)
    array = _decoded(message).inputs["X"].data
    assert array.dtype == dtype_of(datatype)
    assert array.tolist() == [[value] for value in values]


def test_typed_contents_lose_their_high_bytes() -> None:
    """A value too large for its datatype keeps its low bytes, as on Triton."""
    message = pb.ModelInferRequest()
    message.inputs.add(name="X", datatype="INT8", shape=[2]).contents.int_contents.extend([257, -129])
    assert _decoded(message).inputs["X"].data.tolist() == [1, 127]


def test_a_tensor_without_elements_needs_no_data() -> None:
    """An empty tensor comes as an empty raw entry, and a batch of no rows is a batch of no rows."""
    request = _decoded(infer_message(INPUT0=np.zeros((0, 16), np.float32)))
    assert request.inputs["INPUT0"].shape == (0, 16)


def test_raw_entries_beyond_the_inputs_are_passed_over() -> None:
    """Extra raw contents are ignored, as on Triton."""
    message = infer_message(INPUT0=ROW)
    message.raw_input_contents.append(b"left over")
    assert list(_decoded(message).inputs) == ["INPUT0"]


def test_parameters_reach_the_model_and_the_queue() -> None:
    """Priority, timeout and sequence are taken out, all others go to the model."""
    message = infer_message(INPUT0=ROW)
    message.parameters["priority"].uint64_param = 2
    message.parameters["timeout"].int64_param = 5000
    message.parameters["sequence_id"].string_param = "s"
    message.parameters["sequence_start"].bool_param = True
    message.parameters["triton_enable_empty_final_response"].bool_param = True
    message.parameters["shop"].string_param = "north"
    message.parameters["top"].int64_param = 5
    message.parameters["floor"].double_param = 0.5
    message.parameters["strict"].bool_param = False
    request = _decoded(message)
    assert (request.priority, request.timeout_us) == (2, 5000)
    assert (request.sequence_id, request.sequence_start, request.sequence_end) == ("s", True, False)
    assert request.parameters == {"shop": "north", "top": 5, "floor": 0.5, "strict": False}


def test_sequence_ids_are_numbers_without_a_sign() -> None:
    """The upper half of the numbers of 64 bits comes as negative ones, for the parameter has a sign."""
    message = infer_message(INPUT0=ROW)
    message.parameters["sequence_id"].int64_param = -1
    assert _decoded(message).sequence_id == 2**64 - 1


@pytest.mark.parametrize(
    ("name", "field", "value", "text"),
    [
        ("priority", "int64_param", -1, "invalid value for 'priority', expected value >= 0."),
        (
            "priority",
            "string_param",
            "1",
            "invalid value type for 'priority' parameter, expected int64_param or uint64_param.",
        ),
        ("timeout", "uint64_param", 1, "invalid value type for 'timeout' parameter, expected int64_param."),
        ("timeout", "int64_param", -1, "invalid value for 'timeout', got -1, expected value >= 0."),
        (
            "sequence_id",
            "bool_param",
            True,
            "invalid value type for 'sequence_id' parameter, expected int64_param or string_param.",
        ),
        ("sequence_start", "int64_param", 1, "invalid value type for 'sequence_start' parameter, expected bool_param."),
        ("sequence_end", "string_param", "", "invalid value type for 'sequence_end' parameter, expected bool_param."),
        (
            "triton_magic",
            "bool_param",
            True,
            "parameter keys starting with 'triton_' are reserved for Triton usage. Only the following keys starting"
            " with 'triton_' are allowed: triton_enable_empty_final_response, got 'triton_magic'",
        ),
        (
            "shop",
            "uint64_param",
            1,
            "invalid value type for 'shop' parameter, expected int64_param, bool_param, string_param, or double_param.",
        ),
    ],
)
def test_wrong_parameters_are_refused(name: str, field: str, value: Any, text: str) -> None:
    """A parameter of the wrong type, out of range, or with a reserved name is refused in Triton's words."""
    message = infer_message(INPUT0=ROW)
    setattr(message.parameters[name], field, value)
    assert _refused(message) == text


def test_a_sequence_id_fits_into_a_control_tensor() -> None:
    """A longer text is not supported."""
    message = infer_message(INPUT0=ROW)
    message.parameters["sequence_id"].string_param = "é" * 65
    with pytest.raises(UnsupportedError, match=r"^string correlation ID cannot be longer than 128 characters, got 130"):
        _decoded(message)


def test_an_input_may_come_once() -> None:
    """The same input twice is refused."""
    message = infer_message(INPUT0=ROW)
    message.id = "7"
    message.inputs.add().CopyFrom(message.inputs[0])
    assert _refused(message) == "[request id: 7] input 'INPUT0' already exists in request"


def test_an_output_may_be_asked_once() -> None:
    """The same requested output twice is refused."""
    message = infer_message(INPUT0=ROW)
    for _ in range(2):
        message.outputs.add(name="OUTPUT0")
    assert _refused(message) == "[request id: <id_unknown>] output 'OUTPUT0' already exists in request"


def test_data_that_does_not_fill_its_shape_is_refused() -> None:
    """Too many and too few bytes are refused with both numbers."""
    for raw in (bytes(72), bytes(60)):
        message = pb.ModelInferRequest(raw_input_contents=[raw])
        message.inputs.add(name="INPUT0", datatype="FP32", shape=[1, 16])
        assert _refused(message) == (
            "[request id: <id_unknown>] input byte size mismatch for input 'INPUT0' for model 'identity'. "
            f"Expected 64, got {len(raw)}"
        )


@pytest.mark.parametrize(
    ("datatype", "shape", "text"),
    [
        (
            "FP32",
            [-1, 16],
            "[request id: <id_unknown>] All input dimensions should be specified for input 'INPUT0' for model 'any', got [-1,16]",
        ),
        (
            "FP32",
            [-1],
            "[request id: <id_unknown>] All input dimensions should be specified for input 'INPUT0' for model 'any', got [-1]",
        ),
        ("FP32", [1, -7], "tensor 'INPUT0' contains an invalid dimension in shape [1,-7]"),
        ("BYTES", [-2], "tensor 'INPUT0' contains an invalid dimension in shape [-2]"),
        ("FP32", [2**40, 2**40], "byte size for tensor 'INPUT0' exceeds maximum size of 9223372036854775807"),
        ("FP32", [2**61], "byte size for tensor 'INPUT0' exceeds maximum size of 9223372036854775807"),
        ("FP32", [0, 2**62], "tensor 'INPUT0' contains an invalid dimension in shape [0,4611686018427387904]"),
        (
            "BYTES",
            [2**62],
            "[request id: <id_unknown>] expected 4611686018427387904 string elements for inference input 'INPUT0' for model 'any',"
            " got 0",
        ),
        ("BYTES", [0, 2**62], "tensor 'INPUT0' contains an invalid dimension in shape [0,4611686018427387904]"),
        (
            "fp32",
            [1],
            "[request id: <id_unknown>] inference input 'INPUT0' data-type is '<invalid>', but model 'any' expects 'FP32', got 'fp32'",
        ),
        (
            "",
            [1],
            "[request id: <id_unknown>] inference input 'INPUT0' data-type is '<invalid>', but model 'any' expects 'FP32', got ''",
        ),
    ],
)
def test_impossible_tensors_are_refused(datatype: str, shape: list[int], text: str) -> None:
    """A shape that is open, negative or too large, and a datatype that is none, are refused before memory is taken for them."""
    message = pb.ModelInferRequest(raw_input_contents=[b""])
    message.inputs.add(name="INPUT0", datatype=datatype, shape=shape)
    expected = datatype if datatype == "BYTES" else "FP32"
    config = ModelConfig("any", inputs=(ModelInput("INPUT0", expected, (-1,) * len(shape)),))
    assert _refused(message, config) == text


def test_what_is_wrong_whatever_the_data_is_told_before_the_data() -> None:
    """Names, batch size, datatype and shape come first, in Triton's order; data that do not fill their shape come last."""
    message = pb.ModelInferRequest(raw_input_contents=[b"1", bytes(64)])
    message.inputs.add(name="INPUT0", datatype="INT8", shape=[9, 4])
    message.outputs.add(name="NOPE")
    message.inputs.add(name="INPUT1", datatype="FP32", shape=[1, 16])
    assert _refused(message) == "unexpected inference output 'NOPE' for model 'identity'"
    del message.outputs[:]
    assert "expected 1 inputs but got 2 inputs" in _refused(message)
    del message.inputs[1]
    assert "batch-size must be <= 8" in _refused(message)
    message.inputs[0].shape[0] = 1
    assert "data-type is 'INT8'" in _refused(message)
    message.inputs[0].datatype = "FP32"
    assert "unexpected shape for input 'INPUT0'" in _refused(message)
    message.inputs[0].shape[1] = 16
    assert "input byte size mismatch" in _refused(message)


def test_an_unknown_datatype_of_an_unknown_input_is_an_unknown_input() -> None:
    """The name is looked at before the datatype."""
    message = pb.ModelInferRequest(raw_input_contents=[b""])
    message.inputs.add(name="NOPE", datatype="FP33", shape=[1])
    assert _refused(message) == "unexpected inference input 'NOPE' for model 'identity'"


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (
            b"\x01\x00\x00\x00a",
            "[request id: <id_unknown>] expected 2 string elements for inference input 'X' for model 'titles', got 1",
        ),
        (
            b"\0\0\0\0" * 3,
            "[request id: <id_unknown>] unexpected number of string elements 3 for inference input 'X' for model 'titles', expecting 2",
        ),
        (
            b"\0\0\0\0" * 9,
            "[request id: <id_unknown>] unexpected number of string elements 3 for inference input 'X' for model 'titles', expecting 2",
        ),
        (
            b"\0\0\0\0\x01\x02",
            "[request id: <id_unknown>] incomplete string length indicator for inference input 'X' for model 'titles', "
            "expecting 4 bytes but only 2 bytes available. Please make sure the string length indicator is in one buffer.",
        ),
        (
            b"\0\0\0\0\xff\xff\xff\xffab",
            "incomplete string data for inference input 'X', expecting string of length 4294967295 but only 2 bytes available",
        ),
        (
            b"\xff\0\0\0ab",
            "[request id: <id_unknown>] expected 2 string elements for inference input 'X' for model 'titles', got 1",
        ),
    ],
)
def test_strings_that_do_not_add_up_are_refused(raw: bytes, text: str) -> None:
    """Missing, surplus and truncated elements of a BYTES tensor are refused in Triton's words."""
    config = ModelConfig("titles", max_batch_size=8, inputs=(ModelInput("X", "BYTES", (1,)),))
    message = pb.ModelInferRequest(raw_input_contents=[raw])
    message.inputs.add(name="X", datatype="BYTES", shape=[2, 1])
    assert _refused(message, config) == text


def test_an_input_needs_data() -> None:
    """An input with neither raw nor typed contents is refused."""
    message = pb.ModelInferRequest()
    message.inputs.add(name="INPUT0", datatype="FP32", shape=[1, 16])
    assert _refused(message) == "unable to find data for input tensor 'INPUT0' for model 'identity' in request."


def test_raw_and_typed_contents_do_not_mix() -> None:
    """Typed contents in a request with raw contents are refused."""
    message = infer_message(INPUT0=ROW)
    message.inputs[0].contents.fp32_contents.append(1)
    assert _refused(message) == (
        "contents field must not be specified when using raw_input_contents for 'INPUT0' for model 'identity'"
    )


def test_typed_contents_stand_in_the_field_of_their_datatype() -> None:
    """Contents in another datatype's field, or in two fields, are refused."""
    message = pb.ModelInferRequest()
    tensor = message.inputs.add(name="INPUT0", datatype="FP32", shape=[1])
    tensor.contents.int64_contents.append(1)
    assert _refused(message) == (
        "unexpected explicit tensor data for input tensor 'INPUT0' for model 'identity' of type 'INT64', "
        "expected datatype 'FP32'"
    )
    tensor.contents.ClearField("int64_contents")
    tensor.contents.fp32_contents.append(1)
    tensor.contents.fp64_contents.append(1)
    assert _refused(message) == (
        "unexpected explicit tensor data for input tensor 'INPUT0' for model 'identity', "
        "binary data was already supplied."
    )


def test_typed_contents_fill_their_shape() -> None:
    """Typed contents are counted like raw ones."""
    message = pb.ModelInferRequest()
    message.inputs.add(name="INPUT0", datatype="FP32", shape=[1, 16]).contents.fp32_contents.append(1)
    assert "Expected 64, got 4" in _refused(message)


def test_shared_memory_is_unknown() -> None:
    """A tensor in shared memory is refused: no region can have been registered."""
    message = pb.ModelInferRequest()
    tensor = message.inputs.add(name="INPUT0", datatype="FP32", shape=[1, 16])
    tensor.parameters["shared_memory_byte_size"].int64_param = 64
    assert _refused(message) == (
        "'shared_memory_byte_size' can not be specified without 'shared_memory_region' parameter for tensor 'INPUT0'"
    )
    tensor.parameters["shared_memory_region"].string_param = "r"
    with pytest.raises(NotFoundError, match=r"^Unable to find shared memory region: 'r'$"):
        _decoded(message)
    tensor.contents.fp32_contents.append(1)
    assert _refused(message) == (
        "unexpected 'content' provided when using shared memory for input tensor 'INPUT0' for model 'identity'"
    )


def test_classes_are_asked_output_by_output() -> None:
    """Only outputs that ask for classes have a class count."""
    message = pb.ModelInferRequest()
    message.outputs.add(name="A").parameters["classification"].int64_param = 3
    message.outputs.add(name="B")
    message.outputs.add(name="C").parameters["binary_data"].bool_param = True
    assert decode_class_counts(message) == {"A": 3}


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("int64_param", 0, "invalid value for 'classification' parameter, expected >= 0"),
        ("int64_param", -1, "invalid value for 'classification' parameter, expected >= 0"),
        ("string_param", "3", "invalid value type for 'classification' parameter, expected int64_param"),
    ],
)
def test_wrong_class_counts_are_refused(field: str, value: Any, text: str) -> None:
    """A class count that is not a positive integer is refused in Triton's words."""
    message = pb.ModelInferRequest()
    setattr(message.outputs.add(name="A").parameters["classification"], field, value)
    with pytest.raises(InvalidArgumentError) as caught:
        decode_class_counts(message)
    assert caught.value.message == text


def test_classes_do_not_go_into_shared_memory() -> None:
    """Classes and shared memory exclude each other; a region that nobody registered is unknown."""
    message = pb.ModelInferRequest()
    output = message.outputs.add(name="A")
    output.parameters["shared_memory_region"].string_param = "r"
    output.parameters["shared_memory_byte_size"].int64_param = 1
    with pytest.raises(NotFoundError, match=r"^Unable to find shared memory region: 'r'$"):
        decode_placements(message, SharedMemoryRegions())
    output.parameters["classification"].int64_param = 1
    with pytest.raises(
        InvalidArgumentError, match=r"^output can't set both 'shared_memory_region' and 'classification'$"
    ):
        decode_class_counts(message)


def test_a_response_is_written_whole() -> None:
    """Model, version that ran, id, parameters and outputs are told, and all data is raw."""
    outputs = (Tensor("A", "FP32", ROW), Tensor("B", "BF16", np.array([0x3F80], np.uint16)))
    parameters = {"flag": True, "count": 3, "share": 0.5, "text": "t", "huge": 2**64 - 1}
    message = encode_response(InferenceResponse("m", 4, "7", outputs, parameters), outputs)
    assert (message.model_name, message.model_version, message.id) == ("m", "4", "7")
    assert [(each.name, each.datatype, list(each.shape)) for each in message.outputs] == [
        ("A", "FP32", [1, 16]),
        ("B", "BF16", [1]),
    ]
    assert list(message.raw_output_contents) == [ROW.tobytes(), b"\x80\x3f"]
    told = {name: (each.WhichOneof("parameter_choice"), each) for name, each in message.parameters.items()}
    assert {name: (choice, getattr(each, choice)) for name, (choice, each) in told.items()} == {
        "flag": ("bool_param", True),
        "count": ("int64_param", 3),
        "share": ("double_param", 0.5),
        "text": ("string_param", "t"),
        "huge": ("uint64_param", 2**64 - 1),
    }


def test_strided_outputs_are_written_row_by_row() -> None:
    """An output that is a view with strides goes out in row-major order."""
    view = np.arange(12, dtype=np.int32).reshape(3, 4).T
    tensor = Tensor("A", "INT32", view)
    assert output_array(encode_response(InferenceResponse("m", 1), (tensor,))).tolist() == view.tolist()


def test_an_output_of_another_type_is_the_models_fault() -> None:
    """An array that is not of its output's datatype is an internal error that names the output."""
    tensor = Tensor("A", "INT8", np.array([1.5]))
    with pytest.raises(InternalError, match=r"^output 'A' of model 'm' is not INT8: "):
        encode_response(InferenceResponse("m", 1), (tensor,))
