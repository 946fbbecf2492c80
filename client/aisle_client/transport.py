"""Bytes to a server and back over gRPC, and the one table from gRPC status to error."""

from __future__ import annotations

from typing import Any, Final, Protocol

import grpc
import grpc.aio

from aisle_client.codec import Call
from aisle_client.errors import (
    AccessDeniedError,
    CallCancelledError,
    DeadlineExceededError,
    InvalidArgumentError,
    MessageTooLargeError,
    NotFoundError,
    PictureRefusedError,
    RequestError,
    ResourceExhaustedError,
    ServerError,
    ServerUnreachableError,
    UnavailableError,
    UnsupportedError,
)
from aisle_client.options import ClientOptions

_SERVICE: Final = "inference.GRPCInferenceService"

ERRORS: Final[dict[grpc.StatusCode, type[RequestError]]] = {
    grpc.StatusCode.CANCELLED: CallCancelledError,
    grpc.StatusCode.UNKNOWN: ServerError,
    grpc.StatusCode.INVALID_ARGUMENT: InvalidArgumentError,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceededError,
    grpc.StatusCode.NOT_FOUND: NotFoundError,
    grpc.StatusCode.ALREADY_EXISTS: InvalidArgumentError,
    grpc.StatusCode.PERMISSION_DENIED: AccessDeniedError,
    grpc.StatusCode.RESOURCE_EXHAUSTED: ResourceExhaustedError,
    grpc.StatusCode.FAILED_PRECONDITION: InvalidArgumentError,
    grpc.StatusCode.ABORTED: ServerError,
    grpc.StatusCode.OUT_OF_RANGE: InvalidArgumentError,
    grpc.StatusCode.UNIMPLEMENTED: UnsupportedError,
    grpc.StatusCode.INTERNAL: ServerError,
    grpc.StatusCode.UNAVAILABLE: UnavailableError,
    grpc.StatusCode.DATA_LOSS: ServerError,
    grpc.StatusCode.UNAUTHENTICATED: AccessDeniedError,
}

# gRPC's own statuses look like a server's; only their texts, which are stable for years, tell them apart.
# It says UNAVAILABLE both for a server that answers "not now" and for one that does not answer.
_UNREACHABLE: Final = (
    "failed to connect",
    "dns resolution failed",
    "connection refused",
    "connection reset",
    "socket closed",
)

# What the picture models that Aisle exports say of a picture; other servers' words stay an InvalidArgumentError.
_PICTURE: Final = "the picture cannot be read"


class Transport(Protocol):
    """Carries calls to a server."""

    def send(self, call: Call[Any], timeout_s: float) -> bytes:
        """Send a call and wait for its answer.

        Args:
            call: Its method and body are sent.
            timeout_s: Deadline, which the server is told.

        Returns:
            The response message's bytes.

        Raises:
            RequestError: The call ended in a status other than OK; the leaf of the tree that stands for it.
            RuntimeError: The transport is closed.
        """

    def close(self) -> None:
        """Give the connection back; calls under way end as cancelled."""


class AsyncTransport(Protocol):
    """Carries calls to a server without blocking the event loop."""

    async def send(self, call: Call[Any], timeout_s: float) -> bytes:
        """Send a call and wait for its answer; the contract is `Transport.send`'s."""

    async def close(self) -> None:
        """Give the connection back; calls under way end as cancelled."""


class GrpcTransport:
    """A `Transport` over a gRPC channel, which connects at the first call and again when the connection is lost."""

    def __init__(self, options: ClientOptions) -> None:
        credentials = _credentials(options)
        arguments = channel_arguments(options)
        self._channel = (
            grpc.secure_channel(options.target, credentials, arguments)
            if credentials
            else grpc.insecure_channel(options.target, arguments)
        )
        self._options = options
        self._is_closed = False

    def send(self, call: Call[Any], timeout_s: float) -> bytes:
        """Send a call and wait for its answer; see `Transport.send`."""
        if self._is_closed:
            raise RuntimeError("this client is closed")
        method = self._channel.unary_unary(f"/{_SERVICE}/{call.method}", _unchanged, _unchanged)
        try:
            body: bytes = method(call.body, timeout=timeout_s, metadata=tuple(self._options.headers.items()))
        except grpc.RpcError as error:
            raise _error(error, call, self._options) from error
        return body

    def close(self) -> None:
        """Give the connection back."""
        self._is_closed = True
        self._channel.close()


class GrpcAsyncTransport:
    """An `AsyncTransport` over a gRPC channel, made at the first call because a channel belongs to a running event loop."""

    def __init__(self, options: ClientOptions) -> None:
        self._options = options
        self._channel: grpc.aio.Channel | None = None
        self._is_closed = False

    async def send(self, call: Call[Any], timeout_s: float) -> bytes:
        """Send a call and wait for its answer; see `Transport.send`."""
        if self._is_closed:
            raise RuntimeError("this client is closed")
        if self._channel is None:
            credentials = _credentials(self._options)
            arguments = channel_arguments(self._options)
            self._channel = (
                grpc.aio.secure_channel(self._options.target, credentials, arguments)
                if credentials
                else grpc.aio.insecure_channel(self._options.target, arguments)
            )
        method = self._channel.unary_unary(f"/{_SERVICE}/{call.method}", _unchanged, _unchanged)
        try:
            body: bytes = await method(call.body, timeout=timeout_s, metadata=tuple(self._options.headers.items()))
        except grpc.aio.AioRpcError as error:
            raise _error(error, call, self._options) from error
        return body

    async def close(self) -> None:
        """Give the connection back."""
        self._is_closed = True
        if self._channel is not None:
            await self._channel.close(grace=None)


def channel_arguments(options: ClientOptions) -> list[tuple[str, int]]:
    """Return the options as gRPC channel arguments."""
    arguments = [
        ("grpc.max_send_message_length", options.max_message_bytes),
        ("grpc.max_receive_message_length", options.max_message_bytes),
        # Retries are ours: gRPC's give up on requests over 256 KiB, which a picture easily is.
        ("grpc.enable_retries", 0),
        # A server that was away comes back within a retry's wait, not within gRPC's two minutes.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 2000),
    ]
    if options.is_loopback:
        arguments.append(("grpc.enable_http_proxy", 0))
    if options.keepalive_time_s is not None:
        arguments += [
            ("grpc.keepalive_time_ms", round(options.keepalive_time_s * 1000)),
            ("grpc.keepalive_timeout_ms", round(options.keepalive_timeout_s * 1000)),
        ]
    return arguments


def error_for(code: grpc.StatusCode, text: str, call: Call[Any], options: ClientOptions) -> RequestError:
    """Return the error that stands for a status.

    Args:
        code: Any status but OK.
        text: The status's details.
        call: The call it ended.
        options: Where the call went.
    """
    if code is grpc.StatusCode.UNAVAILABLE and any(sign in text.lower() for sign in _UNREACHABLE):
        return ServerUnreachableError(f"no server answers at {options.target}: {text}", request_id=call.request_id)
    if code is grpc.StatusCode.INVALID_ARGUMENT and _PICTURE in text:
        return PictureRefusedError(text, request_id=call.request_id)
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and "larger than max" in text:
        return MessageTooLargeError(text, request_id=call.request_id)
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        text = f"{call.method} at {options.target} was not answered in time"
    return ERRORS[code](text or code.name, request_id=call.request_id)


def _error(error: grpc.RpcError, call: Call[Any], options: ClientOptions) -> RequestError:
    # Every RpcError of a channel is also a grpc.Call; the stubs do not know.
    status: Any = error
    return error_for(status.code(), status.details() or "", call, options)


def _credentials(options: ClientOptions) -> grpc.ChannelCredentials | None:
    if options.tls is None:
        return None
    files = (options.tls.root_certificates, options.tls.private_key, options.tls.certificate_chain)
    return grpc.ssl_channel_credentials(*(file.read_bytes() if file else None for file in files))


def _unchanged(body: bytes) -> bytes:
    # The channel would write and read messages for us; ours arrive as bytes, so that generated types stop in the codec.
    return body
