"""Bind plain functions to grpc.aio: bytes to messages, errors to statuses, a caller's leaving to a cancelled task.

The RPCs are read off the service's descriptor, so none can be forgotten: one that has no function answers UNIMPLEMENTED.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Final, NoReturn

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, EncodeError, Message
from google.protobuf.message_factory import GetMessageClass

from aisle_server.errors import InferenceServerError, InvalidArgumentError, UnsupportedError
from aisle_server.frontends.access import Access, Guard
from aisle_server.frontends.grpc.traffic import Traffic
from aisle_server.frontends.inflight_bytes import InflightBytes
from aisle_server.frontends.status import told

_log = logging.getLogger(__name__)
_LISTEN_S: Final = 1.0
_CAPITAL: Final = re.compile(r"(?<!^)(?=[A-Z])")

Context = Any  # grpc.aio.ServicerContext; its types differ from release to release


def function_name(rpc: str) -> str:
    """Return the name of the method that answers an RPC: `model_infer` for `ModelInfer`."""
    return _CAPITAL.sub("_", rpc).lower()


def bind(
    service: ServiceDescriptor,
    servicer: object,
    not_offered: Mapping[str, str],
    traffic: Traffic,
    access: Access | None = None,
    inflight_bytes: InflightBytes | None = None,
) -> grpc.GenericRpcHandler[Any, Any]:
    """Return a service's RPCs as grpc.aio takes them.

    Args:
        service: Says which RPCs there are.
        servicer: Its methods answer them: `(message, call) -> message`; `(message, call)` or `(messages, call)`, which send for
            themselves, when the answer is a stream.
        not_offered: What an RPC that has no method tells instead.
        traffic: Where each call is counted.
        access: Which RPCs are guarded; None for none of them.
        inflight_bytes: Is charged each request that is no stream, before it is parsed; None for no bound on all of them together.
    """
    inflight = inflight_bytes or InflightBytes()
    handlers = {
        method.name: _handler(method, servicer, not_offered, traffic, access or Access(), inflight)
        for method in service.methods
    }
    return grpc.method_handlers_generic_handler(service.full_name, handlers)


def _handler(
    method: MethodDescriptor,
    servicer: object,
    not_offered: Mapping[str, str],
    traffic: Traffic,
    access: Access,
    inflight: InflightBytes,
) -> grpc.RpcMethodHandler[Any, Any]:
    function = getattr(servicer, function_name(method.name), None)
    if function is None:
        function = _refusal(not_offered.get(method.name, f"{method.name} is not offered"))
    if (guard := access.guard(method.name)) is not None:
        function = _guarded_stream(function, guard) if method.client_streaming else _guarded(function, guard)
    parse = GetMessageClass(method.input_type).FromString
    name = method.full_name
    # Bytes pass through grpc untouched, so that a message which cannot be read gets a status and a text of ours.
    if method.client_streaming:
        return grpc.stream_stream_rpc_method_handler(_stream_stream(name, function, parse, traffic))
    if method.server_streaming:
        return grpc.unary_stream_rpc_method_handler(_unary_stream(name, function, parse, traffic, inflight))
    return grpc.unary_unary_rpc_method_handler(_unary_unary(name, function, parse, traffic, inflight))


def _guarded(function: Any, guard: Guard) -> Any:
    async def answer(message: Any, call: Any) -> Any:
        guard(call.metadata())
        return await function(message, call)

    return answer


def _guarded_stream(function: Any, guard: Guard) -> Any:
    async def answer(messages: AsyncIterator[Message], call: Any) -> Any:
        try:
            guard(call.metadata())
        except InferenceServerError:
            # A grpc.aio client that is writing when its call ends is told INTERNAL by its own library; so what it came to say is heard.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LISTEN_S):
                    await anext(messages, None)
            raise
        return await function(messages, call)

    return answer


def _refusal(reason: str) -> Callable[[Any, Any], Awaitable[NoReturn]]:
    async def refuse(_message: Any, _call: Any) -> NoReturn:
        raise UnsupportedError(reason)

    return refuse


def _unary_unary(
    name: str, function: Any, parse: Callable[[bytes], Message], traffic: Traffic, inflight: InflightBytes
) -> Any:
    async def answer(raw: bytes, context: Context) -> bytes:
        calls = traffic.enter()
        try:
            call = AioCall(context)
            with inflight.lease(len(raw)):
                response: Message = await function(_read(raw, parse, name), call)
            return _written(response)
        except Exception as error:
            return await _abort(error, name, context)
        finally:
            calls.under_way -= 1

    return answer


def _unary_stream(
    name: str, function: Any, parse: Callable[[bytes], Message], traffic: Traffic, inflight: InflightBytes
) -> Any:
    async def answer(raw: bytes, context: Context) -> None:
        calls = traffic.enter()
        try:
            with inflight.lease(len(raw)):
                await function(_read(raw, parse, name), AioCall(context))
        except Exception as error:
            await _abort(error, name, context)
        finally:
            calls.under_way -= 1

    return answer


def _stream_stream(name: str, function: Any, parse: Callable[[bytes], Message], traffic: Traffic) -> Any:
    async def answer(raws: AsyncIterator[bytes], context: Context) -> None:
        async def messages() -> AsyncIterator[Message]:
            async for raw in raws:
                yield _read(raw, parse, name)

        calls = traffic.enter()
        try:
            await function(messages(), AioCall(context))
        except Exception as error:
            await _abort(error, name, context)
        finally:
            calls.under_way -= 1

    return answer


def _read(raw: bytes, parse: Callable[[bytes], Message], name: str) -> Message:
    try:
        return parse(raw)
    except DecodeError:
        raise InvalidArgumentError(f"the {len(raw)} bytes that came are not a request of {name}") from None


def _written(response: Message) -> bytes:
    try:
        return response.SerializeToString()
    except EncodeError:
        raise InvalidArgumentError("the response does not fit into one gRPC message") from None


async def _abort(error: Exception, name: str, context: Context) -> NoReturn:
    status, text = told(error)
    if isinstance(error, InferenceServerError):
        _log.debug("%s: %s %s", name, status.grpc.name, text)
    else:
        _log.error("%s failed", name, exc_info=error)
    await context.abort(status.grpc, text)
    raise AssertionError("grpc.aio's abort always raises")


class AioCall:
    """A call as grpc.aio knows it. Nothing is looked up before it is asked for: most RPCs ask for little."""

    __slots__ = ("_context", "arrived_ns")

    trace_events = ("GRPC_WAITREAD", "GRPC_SEND")

    def __init__(self, context: Context) -> None:
        self._context = context
        self.arrived_ns = time.monotonic_ns()

    def metadata(self) -> Mapping[str, str]:
        """Return what the caller sent beside the message; binary entries are left out."""
        return {key: value for key, value in self._context.invocation_metadata() if isinstance(value, str)}

    def deadline_ns(self) -> int | None:
        """Return the monotonic time after which nobody waits for the answer, None for never."""
        remaining_s = self._context.time_remaining()
        return None if remaining_s is None else time.monotonic_ns() + int(remaining_s * 1e9)

    def has_left(self) -> bool:
        """Whether the caller no longer waits."""
        return bool(self._context.cancelled())

    def when_sent(self, callback: Callable[[], None]) -> None:
        """Have something done when the call is over."""
        self._context.add_done_callback(lambda _context: callback())

    async def send(self, message: Message) -> None:
        """Send one message of a stream, and wait while the caller is slower than we are.

        Who is cancelled meanwhile still waits until the message is written: grpc.aio forgets a write that is given up, but its call
        takes no status before that write is over, so an abort would fail and leave the caller waiting for ever.
        """
        writing = asyncio.ensure_future(self._context.write(_written(message)))
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            await asyncio.gather(writing, return_exceptions=True)
            raise
