"""Functions as grpc.aio calls them, on a context that is no network."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any, NoReturn

import grpc
import pytest

from aisle_protocol.generated import grpc_service_pb2 as pb
from aisle_server.errors import NotFoundError
from aisle_server.frontends.grpc.binding import AioCall, bind, function_name
from aisle_server.frontends.grpc.traffic import Traffic
from aisle_server.frontends.status import UNEXPECTED_ERROR

SERVICE = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"]


class _Aborted(Exception):
    """What grpc.aio raises from `abort`."""


class _Context:
    def __init__(self, remaining_s: float | None = None, metadata: tuple[tuple[str, Any], ...] = ()) -> None:
        self._remaining_s = remaining_s
        self._metadata = metadata
        self.status: tuple[grpc.StatusCode, str] | None = None
        self.written: list[bytes] = []

    async def abort(self, code: grpc.StatusCode, details: str) -> NoReturn:
        self.status = (code, details)
        raise _Aborted

    async def write(self, message: bytes) -> None:
        self.written.append(message)

    def time_remaining(self) -> float | None:
        return self._remaining_s

    def invocation_metadata(self) -> tuple[tuple[str, Any], ...]:
        return self._metadata

    def cancelled(self) -> bool:
        return False


class _Servicer:
    async def server_live(self, message: pb.ServerLiveRequest, call: Any) -> pb.ServerLiveResponse:
        return pb.ServerLiveResponse(live=True)

    async def model_ready(self, message: pb.ModelReadyRequest, call: Any) -> pb.ModelReadyResponse:
        raise NotFoundError(f"no '{message.name}'")

    async def model_config(self, message: pb.ModelConfigRequest, call: Any) -> pb.ModelConfigResponse:
        raise RuntimeError("secret")

    async def model_infer(self, message: pb.ModelInferRequest, call: Any) -> pb.ModelInferResponse:
        raise asyncio.CancelledError

    async def model_stream_infer(self, messages: AsyncIterator[pb.ModelInferRequest], call: Any) -> None:
        async for message in messages:
            await call.send(pb.ModelStreamInferResponse(error_message=message.id))


def _method(rpc: str, traffic: Traffic | None = None) -> Any:
    handler = bind(SERVICE, _Servicer(), {"LogSettings": "logs are private"}, traffic or Traffic())
    details = type("Details", (), {"method": f"/inference.GRPCInferenceService/{rpc}", "invocation_metadata": ()})()
    return handler.service(details)


async def _failed(rpc: str, raw: bytes = b"") -> tuple[grpc.StatusCode, str] | None:
    context = _Context()
    with pytest.raises(_Aborted):
        await _method(rpc).unary_unary(raw, context)
    return context.status


def test_names_of_functions_follow_the_rpcs() -> None:
    """An RPC's function is its name in Python's spelling."""
    assert function_name("SystemSharedMemoryStatus") == "system_shared_memory_status"


def test_every_rpc_of_the_service_is_bound() -> None:
    """Each RPC that the descriptor names is there, of the kind that it declares."""
    for method in SERVICE.methods:
        handler = _method(method.name)
        assert (handler.request_streaming, handler.response_streaming) == (
            method.client_streaming,
            method.server_streaming,
        )
    assert _method("NoSuchRpc") is None


async def test_an_answer_goes_out_as_bytes() -> None:
    """A function gets the decoded message, and its message goes out encoded."""
    raw = await _method("ServerLive").unary_unary(b"", _Context())
    assert pb.ServerLiveResponse.FromString(raw).live


async def test_an_error_goes_out_with_its_status() -> None:
    """An error of the server is told with its status and text."""
    raw = pb.ModelReadyRequest(name="x").SerializeToString()
    assert await _failed("ModelReady", raw) == (grpc.StatusCode.NOT_FOUND, "no 'x'")


async def test_an_unexpected_error_is_logged_not_told(caplog: pytest.LogCaptureFixture) -> None:
    """A fault that nobody foresaw is INTERNAL with a plain text, and its trace goes to the log."""
    assert await _failed("ModelConfig") == (grpc.StatusCode.INTERNAL, UNEXPECTED_ERROR)
    assert "RuntimeError: secret" in caplog.text


async def test_bytes_that_are_no_message_are_refused() -> None:
    """Bytes that cannot be read as the RPC's request are INVALID_ARGUMENT, and the function is not called."""
    assert await _failed("ServerLive", b"\xff\xff\xff") == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "the 3 bytes that came are not a request of inference.GRPCInferenceService.ServerLive",
    )


async def test_what_is_not_offered_says_why() -> None:
    """An RPC without a function is UNIMPLEMENTED with its reason, or with its name when it has none."""
    assert await _failed("LogSettings") == (grpc.StatusCode.UNIMPLEMENTED, "logs are private")
    assert await _failed("TraceSetting") == (grpc.StatusCode.UNIMPLEMENTED, "TraceSetting is not offered")


async def test_cancellation_is_no_error() -> None:
    """A cancelled call stays cancelled: it gets no status of ours."""
    context = _Context()
    with pytest.raises(asyncio.CancelledError):
        await _method("ModelInfer").unary_unary(b"", context)
    assert context.status is None


@pytest.mark.parametrize("rpc", ["ServerLive", "ModelReady", "ModelConfig", "ModelInfer"])
async def test_every_call_is_counted_while_it_is_under_way(rpc: str) -> None:
    """A call counts from when it comes until it is answered, refused, broken or cancelled."""
    traffic = Traffic()
    with contextlib.suppress(_Aborted, asyncio.CancelledError):
        await _method(rpc, traffic).unary_unary(b"", _Context())
    assert traffic.enter().under_way == 1


async def test_a_stream_passes_messages_both_ways() -> None:
    """A stream's function gets decoded messages and sends its own."""

    async def raws() -> AsyncIterator[bytes]:
        for number in range(3):
            yield pb.ModelInferRequest(id=str(number)).SerializeToString()

    context = _Context()
    await _method("ModelStreamInfer").stream_stream(raws(), context)
    assert [pb.ModelStreamInferResponse.FromString(raw).error_message for raw in context.written] == ["0", "1", "2"]


async def test_a_broken_message_ends_a_stream() -> None:
    """Bytes in a stream that are no message end it with INVALID_ARGUMENT."""

    async def raws() -> AsyncIterator[bytes]:
        yield b"\xff\xff\xff"

    context = _Context()
    with pytest.raises(_Aborted):
        await _method("ModelStreamInfer").stream_stream(raws(), context)
    assert context.status is not None
    assert context.status[0] is grpc.StatusCode.INVALID_ARGUMENT


def test_a_call_tells_deadline_and_metadata() -> None:
    """The deadline is a monotonic time; no deadline is None. Binary metadata are left out."""
    now = time.monotonic_ns()
    deadline_ns = AioCall(_Context(remaining_s=2.0)).deadline_ns()
    assert deadline_ns is not None
    assert 2_000_000_000 <= deadline_ns - now < 3_000_000_000
    assert AioCall(_Context()).deadline_ns() is None
    metadata = (("triton_grpc_error", "true"), ("trace-bin", b"\x00"))
    assert AioCall(_Context(metadata=metadata)).metadata() == {"triton_grpc_error": "true"}
