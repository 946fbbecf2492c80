"""ModelInfer, asked with NVIDIA's client."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from grpc import StatusCode
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from tests.conformance.conftest import GOLDEN_BYTES, LABELS
from tests.support.server_process import ServerProcess
from tests.support.triton_requests import ROW, infer_input, raw_request, refused, row_input


@pytest.fixture
def stub(client: triton.InferenceServerClient) -> service_pb2_grpc.GRPCInferenceServiceStub:
    """The protocol's own stub, for requests that the client would not write."""
    return client._client_stub


def test_an_answer_is_whole(client: triton.InferenceServerClient) -> None:
    """Name, version that ran, id and outputs come back; the tensor is what went in."""
    answer = client.infer("versions", row_input(), request_id="7")
    response = answer.get_response()
    assert (response.model_name, response.model_version, response.id) == ("versions", "12", "7")
    np.testing.assert_array_equal(answer.as_numpy("OUTPUT0"), ROW)


def test_a_version_may_be_asked_for(client: triton.InferenceServerClient) -> None:
    """A request for a version is answered by that version."""
    assert client.infer("versions", row_input(), model_version="3").get_response().model_version == "3"


def test_outputs_may_be_chosen(client: triton.InferenceServerClient) -> None:
    """Only the requested outputs come, in the order in which they were asked."""
    inputs = [infer_input("INPUT0", ROW), infer_input("INPUT1", np.ones((1, 4), np.int32), "INT32")]

    def names(*outputs: str) -> list[str]:
        asked = [triton.InferRequestedOutput(name) for name in outputs] or None
        return [each.name for each in client.infer("two_inputs", inputs, outputs=asked).get_response().outputs]

    assert names() == ["OUTPUT0", "OUTPUT1"]
    assert names("OUTPUT1") == ["OUTPUT1"]
    assert names("OUTPUT1", "OUTPUT0") == ["OUTPUT1", "OUTPUT0"]


def test_every_datatype_is_golden(stub: service_pb2_grpc.GRPCInferenceServiceStub) -> None:
    """Raw contents of every datatype come back byte for byte: infinities, NaN, NUL bytes and broken UTF-8 among them."""
    request = pb.ModelInferRequest(model_name="datatypes")
    for name, text in GOLDEN_BYTES.items():
        request.inputs.add(name=f"INPUT_{name}", datatype=name, shape=[3])
        request.raw_input_contents.append(bytes.fromhex(text))
    response = stub.ModelInfer(request, timeout=10)
    told = {
        output.name: (output.datatype, list(output.shape), raw.hex())
        for output, raw in zip(response.outputs, response.raw_output_contents, strict=True)
    }
    assert told == {f"OUTPUT_{name}": (name, [3], bytes.fromhex(text).hex()) for name, text in GOLDEN_BYTES.items()}


def test_typed_contents_are_answered_raw(stub: service_pb2_grpc.GRPCInferenceServiceStub) -> None:
    """Typed contents mean the same as raw ones, and the answer is raw."""
    request = pb.ModelInferRequest(model_name="identity")
    request.inputs.add(name="INPUT0", datatype="FP32", shape=[1, 16]).contents.fp32_contents.extend(range(16))
    response = stub.ModelInfer(request, timeout=10)
    assert response.raw_output_contents[0] == ROW.tobytes()
    assert not response.outputs[0].HasField("contents")


def test_classes_have_labels(client: triton.InferenceServerClient) -> None:
    """Classes come highest first as value, index and label, for each row of the batch."""
    output = triton.InferRequestedOutput("OUTPUT0", class_count=2)
    rows = np.concatenate([ROW, ROW[:, ::-1]])
    classes = client.infer("identity", row_input(rows), outputs=[output]).as_numpy("OUTPUT0")
    assert classes.tolist() == [
        [f"15.000000:15:{LABELS[15]}".encode(), f"14.000000:14:{LABELS[14]}".encode()],
        [f"15.000000:0:{LABELS[0]}".encode(), f"14.000000:1:{LABELS[1]}".encode()],
    ]


def test_every_caller_gets_its_own_answer(server: ServerProcess) -> None:
    """Of many requests under way at once each is answered with its own rows and its own id."""

    async def ask_all() -> list[tuple[int, str, Any]]:
        async with triton_aio.InferenceServerClient(server.grpc) as client:

            async def ask(number: int) -> tuple[int, str, Any]:
                rows = np.full((1 + number % 3, 16), number, np.float32)
                answer = await client.infer("identity", row_input(rows), request_id=str(number))
                return number, answer.get_response().id, answer.as_numpy("OUTPUT0")

            return await asyncio.gather(*(ask(number) for number in range(300)))

    for number, request_id, rows in asyncio.run(ask_all()):
        assert request_id == str(number)
        np.testing.assert_array_equal(rows, np.full((1 + number % 3, 16), number, np.float32))


@pytest.mark.parametrize(
    ("request_", "status", "text"),
    [
        (raw_request("nope"), StatusCode.NOT_FOUND, "Request for unknown model: 'nope' is not found"),
        (raw_request(""), StatusCode.NOT_FOUND, "Request for unknown model: '' is not found"),
        (
            raw_request(shape=(9, 16), raw=bytes(9 * 64)),
            StatusCode.INVALID_ARGUMENT,
            "[request id: <id_unknown>] inference request batch-size must be <= 8 for 'identity'",
        ),
        (
            raw_request(shape=(4,), raw=bytes(16)),
            StatusCode.INVALID_ARGUMENT,
            "[request id: <id_unknown>] unexpected shape for input 'INPUT0' for model 'identity'. Expected [-1,16], got [4]. "
            "NOTE: Setting a non-zero max_batch_size in the model config requires a batch dimension...",
        ),
        (
            raw_request(shape=(1, 8), raw=bytes(32)),
            StatusCode.INVALID_ARGUMENT,
            "[request id: <id_unknown>] unexpected shape for input 'INPUT0' for model 'identity'. Expected [-1,16], got [1,8]...",
        ),
        (
            raw_request(datatype="INT32"),
            StatusCode.INVALID_ARGUMENT,
            "[request id: <id_unknown>] inference input 'INPUT0' data-type is 'INT32', but model 'identity' expects 'FP32'",
        ),
        (
            raw_request(datatype="FLOAT"),
            StatusCode.INVALID_ARGUMENT,
            "[request id: <id_unknown>] inference input 'INPUT0' data-type is 'FLOAT', but model 'identity' expects 'FP32'",
        ),
        (
            raw_request(raw=bytes(40)),
            StatusCode.INVALID_ARGUMENT,
            "[request id: <id_unknown>] input byte size mismatch for input 'INPUT0' for model 'identity'. Expected 64, got 40",
        ),
        (
            raw_request("two_inputs"),
            StatusCode.INVALID_ARGUMENT,
            "expected 2 inputs but got 1 inputs for model 'two_inputs'. Got input(s) ['INPUT0'], "
            "but missing required input(s) ['INPUT1']. Please provide all required input(s).",
        ),
        (
            pb.ModelInferRequest(model_name="identity"),
            StatusCode.INVALID_ARGUMENT,
            "expected 1 inputs but got 0 inputs for model 'identity'. Got input(s) [], "
            "but missing required input(s) ['INPUT0']. Please provide all required input(s).",
        ),
    ],
)
def test_wrong_requests_are_refused(
    stub: service_pb2_grpc.GRPCInferenceServiceStub, request_: Any, status: StatusCode, text: str
) -> None:
    """A wrong request gets the status and the text that Triton gives, and the server goes on."""
    with refused(status, text):
        stub.ModelInfer(request_, timeout=10)
    assert stub.ServerReady(pb.ServerReadyRequest(), timeout=10).ready


def test_wrong_names_are_refused(stub: service_pb2_grpc.GRPCInferenceServiceStub) -> None:
    """Unknown inputs and outputs are told by name."""
    request = raw_request()
    request.inputs[0].name = "NOPE"
    with refused(StatusCode.INVALID_ARGUMENT, "unexpected inference input 'NOPE' for model 'identity'"):
        stub.ModelInfer(request, timeout=10)
    request = raw_request()
    request.outputs.add(name="NOPE")
    with refused(StatusCode.INVALID_ARGUMENT, "unexpected inference output 'NOPE' for model 'identity'"):
        stub.ModelInfer(request, timeout=10)


@pytest.mark.parametrize(
    ("version", "status", "text"),
    [
        ("99", StatusCode.NOT_FOUND, "Request for unknown model: 'identity' version 99 is not found"),
        ("0", StatusCode.NOT_FOUND, "Request for unknown model: 'identity' version 0 is not found"),
        (
            "-2",
            StatusCode.INVALID_ARGUMENT,
            "invalid model version specified '-2' , version should be an integral value > 0",
        ),
        (
            "one",
            StatusCode.INVALID_ARGUMENT,
            "failed to get model version from specified version string 'one' (details: stol), "
            "version should be an integral value > 0",
        ),
    ],
)
def test_wrong_versions_are_refused(
    client: triton.InferenceServerClient, version: str, status: StatusCode, text: str
) -> None:
    """A version that is not there, or that is none, is refused in Triton's words."""
    with refused(status, text):
        client.infer("identity", row_input(), model_version=version)


def test_bytes_that_are_no_request_are_refused(server: ServerProcess, client: triton.InferenceServerClient) -> None:
    """Bytes that are no message at all are INVALID_ARGUMENT, and the server goes on."""
    call = client._channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
    with refused(StatusCode.INVALID_ARGUMENT, "the 4 bytes that came are not a request of..."):
        call(b"\xff\xff\xff\xff", timeout=10)
    assert client.is_server_ready()


def test_d48_b24_a_full_queue_refuses_at_once(server: ServerProcess) -> None:
    """Requests beyond the queue's size are UNAVAILABLE; those that it took are answered."""

    async def ask_all() -> list[Any]:
        async with triton_aio.InferenceServerClient(server.grpc) as client:
            first = asyncio.create_task(client.infer("short_queue", row_input()))
            await asyncio.sleep(0.1)
            rest = await asyncio.gather(
                *(client.infer("short_queue", row_input()) for _ in range(5)), return_exceptions=True
            )
            return [await first, *rest]

    outcomes = asyncio.run(ask_all())
    refusals = [each for each in outcomes if isinstance(each, Exception)]
    assert len(refusals) == 4
    assert {str(each.status()) for each in refusals} == {"StatusCode.UNAVAILABLE"}
    assert all(each.message().endswith("Exceeds maximum queue size") for each in refusals)


def test_d49_b23_a_request_that_waits_too_long_is_refused(server: ServerProcess) -> None:
    """A request that waits longer than its queue policy allows is UNAVAILABLE, in the very words that clients compare."""

    async def ask_two() -> list[Any]:
        async with triton_aio.InferenceServerClient(server.grpc) as client:
            first = asyncio.create_task(client.infer("impatient", row_input()))
            await asyncio.sleep(0.2)
            second = await asyncio.gather(client.infer("impatient", row_input()), return_exceptions=True)
            return [await first, *second]

    _, refusal = asyncio.run(ask_two())
    assert (refusal.status(), refusal.message()) == ("StatusCode.UNAVAILABLE", "Request timeout expired")
