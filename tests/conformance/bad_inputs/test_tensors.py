"""Rows 1 to 3 and 6 to 42 of the list of bad inputs: requests that are wrong in themselves, in tritonserver's words.

Ids bear the numbers of `tests/support/triton_books.py`.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import pytest
import tritonclient.grpc as triton
from grpc import StatusCode
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from tests.conformance.conftest import GOLDEN_BYTES
from tests.support.triton_requests import ROW, raw_request, refused

INVALID, NOT_FOUND = StatusCode.INVALID_ARGUMENT, StatusCode.NOT_FOUND
ID = "[request id: <id_unknown>] "
OVERFLOW = "byte size for tensor 'INPUT0' exceeds maximum size of 9223372036854775807"
Case = tuple[Any, StatusCode, str]


def several(model: str, *inputs: tuple[str, str, Sequence[int], bytes], outputs: Sequence[str] = ()) -> Any:
    """A request with several inputs: name, datatype, shape, raw contents."""
    request = pb.ModelInferRequest(model_name=model, raw_input_contents=[raw for *_, raw in inputs])
    for name, datatype, shape, _ in inputs:
        request.inputs.add(name=name, datatype=datatype, shape=shape)
    for name in outputs:
        request.outputs.add(name=name)
    return request


def fours(model: str, *indices: int) -> Any:
    """A request with FP32[4] for some inputs."""
    return several(model, *((f"INPUT{index}", "FP32", (4,), bytes(16)) for index in indices))


def texts(raw: bytes) -> Any:
    """A request for 16 elements of BYTES."""
    return raw_request("texts", "BYTES", (1, 16), raw)


def elements(count: int) -> bytes:
    """Raw contents of as many letters."""
    return b"\1\0\0\0x" * count


def typed(datatype: str = "FP32", **fields: Sequence[Any]) -> Any:
    """A request with typed contents."""
    request = pb.ModelInferRequest(model_name="identity")
    contents = request.inputs.add(name="INPUT0", datatype=datatype, shape=[1, 16]).contents
    for field, values in fields.items():
        getattr(contents, field).extend(values)
    return request


def versioned(version: str) -> Any:
    """A request for a version."""
    request = raw_request()
    request.model_version = version
    return request


def classes(model: str = "identity", shared: bool = False, **value: Any) -> Any:
    """A request for classes, the count as this kind of parameter."""
    request = several(model, ("INPUT0", "FP32", (1, 16), ROW.tobytes()), outputs=["OUTPUT0"])
    for kind, count in value.items():
        setattr(request.outputs[0].parameters["classification"], kind, count)
    if shared:
        request.outputs[0].parameters["shared_memory_region"].string_param = "r"
        request.outputs[0].parameters["shared_memory_byte_size"].int64_param = 64
    return request


def both_contents() -> Any:
    """A request with raw and typed contents for one input."""
    request = raw_request()
    request.inputs[0].contents.fp32_contents.extend(range(16))
    return request


def wrong_shape(model: str, expected: str, got: str) -> str:
    """The beginning of what a wrong shape is told."""
    return f"{ID}unexpected shape for input 'INPUT0' for model '{model}'. Expected {expected}, got {got}. ..."


ROW_INPUT = ("INPUT0", "FP32", (1, 16), ROW.tobytes())
CASES: dict[str, Case] = {
    "D01-B20-unknown model": (raw_request("foo"), NOT_FOUND, "Request for unknown model: 'foo' is not found"),
    "D02-B21-unknown version": (
        versioned("99"),
        NOT_FOUND,
        "Request for unknown model: 'identity' version 99 is not found",
    ),
    "D03-version is a word": (
        versioned("x"),
        INVALID,
        "failed to get model version from specified version string 'x' (details: stol), version should be an integral value > 0",
    ),
    "D03-version is negative": (
        versioned("-2"),
        INVALID,
        "invalid model version specified '-2' , version should be an integral value > 0",
    ),
    "D06-no inputs": (
        pb.ModelInferRequest(model_name="all_required"),
        INVALID,
        f"{ID}expected 3 inputs but got 0 inputs for model 'all_required'. Got input(s) [], but missing required input(s)"
        " ['INPUT0','INPUT1','INPUT2']. Please provide all required input(s).",
    ),
    "D07-B02-one of three": (
        fours("all_required", 0),
        INVALID,
        f"{ID}expected 3 inputs but got 1 inputs for model 'all_required'. Got input(s) ['INPUT0'], but missing required input(s)"
        " ['INPUT1','INPUT2']. Please provide all required input(s).",
    ),
    "D07-two of three": (
        fours("all_required", 2, 0),
        INVALID,
        f"{ID}expected 3 inputs but got 2 inputs for model 'all_required'. Got input(s) ['INPUT0','INPUT2'], but missing required"
        " input(s) ['INPUT1']. Please provide all required input(s).",
    ),
    "D08-B03-none where one is optional": (
        pb.ModelInferRequest(model_name="last_optional"),
        INVALID,
        f"{ID}expected number of inputs between 3 and 4 but got 0 inputs for model 'last_optional'. Got input(s) [], but missing"
        " required input(s) ['INPUT0','INPUT1','INPUT2']. Please provide all required input(s).",
    ),
    "D08-the optional one in the place of another": (
        fours("last_optional", 0, 2, 3),
        INVALID,
        f"{ID}expected number of inputs between 3 and 4 but got 3 inputs for model 'last_optional'. Got input(s)"
        " ['INPUT0','INPUT2','INPUT3'], but missing required input(s) ['INPUT1']. Please provide all required input(s).",
    ),
    "D09-too many": (
        several("identity", ROW_INPUT, ("INPUT1", *ROW_INPUT[1:])),
        INVALID,
        f"{ID}expected 1 inputs but got 2 inputs for model 'identity'. Got input(s) ['INPUT0','INPUT1'].",
    ),
    "D09-too many where one is optional": (
        fours("last_optional", *range(5)),
        INVALID,
        f"{ID}expected number of inputs between 3 and 4 but got 5 inputs for model 'last_optional'. Got input(s)"
        " ['INPUT0','INPUT1','INPUT2','INPUT3','INPUT4'].",
    ),
    "D10-unknown input": (
        several("identity", ("NOPE", *ROW_INPUT[1:])),
        INVALID,
        "unexpected inference input 'NOPE' for model 'identity'",
    ),
    "D11-an input twice": (
        several("identity", ROW_INPUT, ROW_INPUT),
        INVALID,
        f"{ID}input 'INPUT0' already exists in request",
    ),
    "D12-B01-unknown output": (
        several("identity", ROW_INPUT, outputs=["DUMMY"]),
        INVALID,
        "unexpected inference output 'DUMMY' for model 'identity'",
    ),
    "D13-B09-an output twice": (
        several("identity", ROW_INPUT, outputs=["OUTPUT0", "OUTPUT0"]),
        INVALID,
        f"{ID}output 'OUTPUT0' already exists in request",
    ),
    "D14-another datatype": (
        raw_request(datatype="INT32"),
        INVALID,
        f"{ID}inference input 'INPUT0' data-type is 'INT32', but model 'identity' expects 'FP32'",
    ),
    "D14-another datatype and size": (
        raw_request(datatype="INT8"),
        INVALID,
        f"{ID}inference input 'INPUT0' data-type is 'INT8', but model 'identity' expects 'FP32'",
    ),
    "D15-a datatype that is none": (
        raw_request(datatype="FLOAT"),
        INVALID,
        f"{ID}inference input 'INPUT0' data-type is '<invalid>', but model 'identity' expects 'FP32', got 'FLOAT'",
    ),
    "D16-no batch dimension": (
        raw_request(shape=(4,), raw=bytes(16)),
        INVALID,
        wrong_shape("identity", "[-1,16]", "[4]"),
    ),
    "D16-no dimension at all": (
        raw_request(shape=()),
        INVALID,
        f"{ID}input 'INPUT0' has no shape but model requires batch dimension for 'identity'",
    ),
    "D17-a batch dimension too many": (raw_request("flat"), INVALID, wrong_shape("flat", "[16]", "[1,16]")),
    "D18-B08-a batch too large": (
        raw_request(shape=(9, 16), raw=bytes(9 * 64)),
        INVALID,
        f"{ID}inference request batch-size must be <= 8 for 'identity'",
    ),
    "D19-a batch of 2^31": (
        raw_request(shape=(2**31, 16)),
        INVALID,
        f"{ID}inference request batch-size must be <= 8 for 'identity'",
    ),
    "D19-a batch of 2^32 + 1": (
        raw_request(shape=(2**32 + 1, 16)),
        INVALID,
        f"{ID}inference request batch-size must be <= 8 for 'identity'",
    ),
    "D20-batches of different sizes": (
        several("two_inputs", ROW_INPUT, ("INPUT1", "INT32", (2, 4), bytes(32))),
        INVALID,
        f"{ID}input 'INPUT1' batch size does not match other inputs for 'two_inputs'",
    ),
    "D21-an open dimension": (
        raw_request(shape=(1, -1)),
        INVALID,
        f"{ID}All input dimensions should be specified for input 'INPUT0' for model 'identity', got [1,-1]",
    ),
    "D21-an open dimension alone": (
        raw_request("any_size", shape=(-1,), raw=bytes(4)),
        INVALID,
        f"{ID}All input dimensions should be specified for input 'INPUT0' for model 'any_size', got [-1]",
    ),
    "D21-an open batch": (
        raw_request(shape=(-1, 16)),
        INVALID,
        f"{ID}All input dimensions should be specified for input 'INPUT0' for model 'identity', got [-1,16]",
    ),
    "D22-a negative dimension": (raw_request(shape=(1, -16)), INVALID, wrong_shape("identity", "[-1,16]", "[1,-16]")),
    "D22-a negative dimension of any size": (
        raw_request("any_size", shape=(-2,), raw=bytes(4)),
        INVALID,
        "tensor 'INPUT0' contains an invalid dimension in shape [-2]",
    ),
    "D23-more elements than can be counted": (
        raw_request("any_bytes", "INT8", (2**32, 2**32), bytes(4)),
        INVALID,
        OVERFLOW,
    ),
    "D24-more bytes than can be counted": (raw_request("any_size", shape=(2**62,), raw=bytes(4)), INVALID, OVERFLOW),
    "D26-B04-raw data too long": (
        raw_request("any_size", shape=(8,), raw=bytes(40)),
        INVALID,
        f"{ID}input byte size mismatch for input 'INPUT0' for model 'any_size'. Expected 32, got 40",
    ),
    "D27-raw data too short": (
        raw_request(raw=bytes(60)),
        INVALID,
        f"{ID}input byte size mismatch for input 'INPUT0' for model 'identity'. Expected 64, got 60",
    ),
    "D28-B05-too few strings": (
        texts(elements(14)),
        INVALID,
        f"{ID}expected 16 string elements for inference input 'INPUT0' for model 'texts', got 14",
    ),
    "D29-B06-too many strings": (
        texts(elements(19)),
        INVALID,
        f"{ID}unexpected number of string elements 17 for inference input 'INPUT0' for model 'texts', expecting 16",
    ),
    "D30-a length that is cut": (
        texts(elements(15) + b"\1\0"),
        INVALID,
        f"{ID}incomplete string length indicator for inference input 'INPUT0' for model 'texts', expecting 4 bytes but only 2 bytes"
        " available. Please make sure the string length indicator is in one buffer.",
    ),
    "D31-a length past the end": (
        texts(elements(15) + struct.pack("<I", 2**32 - 1) + b"ab"),
        INVALID,
        "incomplete string data for inference input 'INPUT0', expecting string of length 4294967295 but only 2 bytes available",
    ),
    "D31-a length past the end of too few": (
        texts(struct.pack("<I", 1000) + b"ab"),
        INVALID,
        f"{ID}expected 16 string elements for inference input 'INPUT0' for model 'texts', got 1",
    ),
    "D32-B07-raw and typed": (
        both_contents(),
        INVALID,
        "contents field must not be specified when using raw_input_contents for 'INPUT0' for model 'identity'",
    ),
    "D33-another typed field": (
        typed(int64_contents=range(16)),
        INVALID,
        "unexpected explicit tensor data for input tensor 'INPUT0' for model 'identity' of type 'INT64', expected datatype 'FP32'",
    ),
    "D33-typed FP16": (
        typed("FP16", fp32_contents=range(16)),
        INVALID,
        "unexpected explicit tensor data for input tensor 'INPUT0' for model 'identity' of type 'FP32', expected datatype 'FP16'",
    ),
    "D34-two typed fields": (
        typed(fp32_contents=range(16), fp64_contents=range(16)),
        INVALID,
        "unexpected explicit tensor data for input tensor 'INPUT0' for model 'identity', binary data was already supplied.",
    ),
    "D41-no classes": (
        classes(int64_param=0),
        INVALID,
        "invalid value for 'classification' parameter, expected >= 0",
    ),
    "D41-fewer classes than none": (
        classes(int64_param=-1),
        INVALID,
        "invalid value for 'classification' parameter, expected >= 0",
    ),
    "D41-a word for a number of classes": (
        classes(string_param="3"),
        INVALID,
        "invalid value type for 'classification' parameter, expected int64_param",
    ),
    "D42-classes into shared memory": (
        classes(shared=True, int64_param=2),
        INVALID,
        "output can't set both 'shared_memory_region' and 'classification'",
    ),
}


@pytest.fixture
def stub(client: triton.InferenceServerClient) -> service_pb2_grpc.GRPCInferenceServiceStub:
    """The protocol's own stub, for requests that no client would write."""
    return client._client_stub


@pytest.mark.parametrize(("request_", "status", "text"), CASES.values(), ids=CASES.keys())
def test_a_wrong_request_is_refused(
    stub: service_pb2_grpc.GRPCInferenceServiceStub, request_: Any, status: StatusCode, text: str
) -> None:
    """It gets the status and the text that tritonserver gives, over ModelInfer and in a stream, and the server goes on."""
    with refused(status, text):
        stub.ModelInfer(request_, timeout=10)
    (answer,) = stub.ModelStreamInfer(iter([request_]), timeout=10)
    assert answer.error_message.startswith(text.removesuffix("..."))
    assert stub.ServerReady(pb.ServerReadyRequest(), timeout=10).ready


@pytest.mark.parametrize("shape", [(0,), (2, 0)])
def test_d25_tensors_without_elements_work(
    stub: service_pb2_grpc.GRPCInferenceServiceStub, shape: tuple[int, ...]
) -> None:
    """A dimension of zero is a dimension: the tensor comes back, without a byte."""
    model, datatype = ("any_size", "FP32") if len(shape) == 1 else ("any_bytes", "INT8")
    response = stub.ModelInfer(raw_request(model, datatype, shape, b""), timeout=10)
    assert (list(response.outputs[0].shape), response.raw_output_contents[0]) == (list(shape), b"")


def test_d35_d36_raw_contents_are_counted(stub: service_pb2_grpc.GRPCInferenceServiceStub) -> None:
    """Fewer than the inputs name the input that has none; more are passed over."""
    request = several("two_inputs", ROW_INPUT, ("INPUT1", "INT32", (1, 4), bytes(16)))
    request.raw_input_contents.append(b"left over")
    assert len(stub.ModelInfer(request, timeout=10).raw_output_contents) == 2
    del request.raw_input_contents[1:]
    with refused(INVALID, "unable to find data for input tensor 'INPUT1' for model 'two_inputs' in request."):
        stub.ModelInfer(request, timeout=10)


@pytest.mark.parametrize("name", ["BYTES", "FP16", "FP32", "FP64", "BF16"])
def test_d37_d38_what_is_no_text_and_no_number_survives(
    stub: service_pb2_grpc.GRPCInferenceServiceStub, name: str
) -> None:
    """NUL bytes and what is no UTF-8, infinities and NaN come back bit for bit."""
    request = pb.ModelInferRequest(model_name="datatypes")
    for each, text in GOLDEN_BYTES.items():
        request.inputs.add(name=f"INPUT_{each}", datatype=each, shape=[3])
        request.raw_input_contents.append(bytes.fromhex(text))
    request.outputs.add(name=f"OUTPUT_{name}")
    (raw,) = stub.ModelInfer(request, timeout=10).raw_output_contents
    assert raw == bytes.fromhex(GOLDEN_BYTES[name])


def test_d41_classes_need_an_order(stub: service_pb2_grpc.GRPCInferenceServiceStub) -> None:
    """There is none of BYTES, and more than a million values of a row are not sorted. More classes than there are is all of them."""
    request = texts(elements(16))
    request.outputs.add(name="OUTPUT0").parameters["classification"].int64_param = 1
    with refused(INVALID, "class result not available for output due to unsupported type 'BYTES'"):
        stub.ModelInfer(request, timeout=10)
    large = raw_request("any_size", shape=(1_000_001,), raw=bytes(4_000_004))
    large.outputs.add(name="OUTPUT0").parameters["classification"].int64_param = 1
    with refused(INVALID, "classification output tensor too large"):
        stub.ModelInfer(large, timeout=10)
    assert list(stub.ModelInfer(classes(int64_param=2**40), timeout=10).outputs[0].shape) == [1, 16]


def test_several_faults_are_told_in_their_order(stub: service_pb2_grpc.GRPCInferenceServiceStub) -> None:
    """The name before the batch, the batch before the datatype, that before the shape, and the data last."""
    request = raw_request(datatype="INT8", shape=(9, 4), raw=b"1")
    request.inputs[0].name = "NOPE"
    for change, text in (
        (lambda tensor: None, "unexpected inference input 'NOPE' for model 'identity'"),
        (lambda tensor: setattr(tensor, "name", "INPUT0"), f"{ID}inference request batch-size must be <= 8..."),
        (lambda tensor: tensor.shape.__setitem__(0, 1), f"{ID}inference input 'INPUT0' data-type is 'INT8'..."),
        (lambda tensor: setattr(tensor, "datatype", "FP32"), wrong_shape("identity", "[-1,16]", "[1,4]")),
        (lambda tensor: tensor.shape.__setitem__(1, 16), f"{ID}input byte size mismatch for input 'INPUT0'..."),
    ):
        change(request.inputs[0])
        with refused(INVALID, text):
            stub.ModelInfer(request, timeout=10)
