"""Both doors of a server: an exchange through one of them becomes an outcome, or a finding."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import time
from typing import Final

import grpc
import h11

from aisle_protocol.generated import grpc_service_pb2 as pb
from tests.fuzz.grpc_calls import SERVICE, GrpcCall
from tests.fuzz.http_exchanges import HttpExchange

# Texts with which Triton itself answers INTERNAL to what a caller did wrong.
_TRITONS_INTERNAL: Final = re.compile(
    r"failed to load '.*', failed to poll from model repository"
    r"|files without a 'config' came with the load; expected both"
    r"|Unable to open shared memory region: '.*'"
    r"|shared memory size specified with the request for output '.*' \(\d+ bytes\) should be at least \d+ bytes .*",
    re.DOTALL,
)
_INSIDES: Final = re.compile(r"Traceback|File \"|\.py\b.*line|<.* object at 0x")
# How long an exchange that nobody need answer is listened to.
_LISTEN_S: Final = 0.02


class FindingError(AssertionError):
    """The server did what it never should."""


def _check(status: str, text: str) -> None:
    if status in ("INTERNAL", "UNKNOWN", "500") and not _TRITONS_INTERNAL.fullmatch(text):
        raise FindingError(f"{status}: {text}")
    if _INSIDES.search(text):
        raise FindingError(f"{status} tells of the server's insides: {text}")


class GrpcDoor:
    """The gRPC port.

    Attributes:
        slowest_s: Of all answers.
    """

    name = "gRPC"

    def __init__(self, address: str, answer_within_s: float) -> None:
        """Connect; an answer that takes longer is a finding."""
        self._answer_within_s = answer_within_s
        self._channel = grpc.insecure_channel(address, options=[("grpc.max_receive_message_length", -1)])
        self._unary = {
            each.name: self._channel.unary_unary(f"/{SERVICE.full_name}/{each.name}") for each in SERVICE.methods
        }
        self._stream = self._channel.stream_stream(f"/{SERVICE.full_name}/ModelStreamInfer")
        self.slowest_s = 0.0

    def exchange(self, call: GrpcCall) -> str:
        """Make a call, and return the name of its status.

        Raises:
            FindingError: INTERNAL or UNKNOWN, no answer in time, or a text that tells too much.
        """
        started = time.perf_counter()
        status = self._status(call)
        self.slowest_s = max(self.slowest_s, time.perf_counter() - started)
        return status

    def close(self) -> None:
        """Disconnect."""
        self._channel.close()

    def _status(self, call: GrpcCall) -> str:
        compression = grpc.Compression.Gzip if call.is_compressed else grpc.Compression.NoCompression
        timeout_s = call.deadline_s or self._answer_within_s
        try:
            if call.rpc == "ModelStreamInfer":
                answers = self._stream(
                    iter(call.messages), timeout=timeout_s, metadata=call.metadata, compression=compression
                )
                return self._stream_status([pb.ModelStreamInferResponse.FromString(each) for each in answers])
            self._unary[call.rpc](call.messages[0], timeout=timeout_s, metadata=call.metadata, compression=compression)
        except grpc.RpcError as error:
            status, text = error.code().name, error.details() or ""  # type: ignore[attr-defined]
            if status == "DEADLINE_EXCEEDED" and call.deadline_s is None:
                raise FindingError(f"no answer within {self._answer_within_s} s") from None
            if status == "UNAVAILABLE" and re.search(r"[Ss]ocket|connect", text):
                raise FindingError(f"the server is gone: {text}") from None
            _check(status, text)
            return status
        return "OK"

    def _stream_status(self, answers: list[pb.ModelStreamInferResponse]) -> str:
        texts = [each.error_message for each in answers if each.error_message]
        for text in texts:
            if text == "internal error; the server's log tells more":
                raise FindingError(f"within a stream: {text}")
            _check("OK", text)
        return "OK with errors in the stream" if texts else "OK"


class HttpDoor:
    """The HTTP port.

    Attributes:
        slowest_s: Of all answers.
    """

    name = "HTTP"

    def __init__(self, address: str, answer_within_s: float) -> None:
        """Remember where it is; each exchange has a connection of its own."""
        host, _, port = address.rpartition(":")
        self._address = (host, int(port))
        self._answer_within_s = answer_within_s
        self.slowest_s = 0.0

    def exchange(self, exchange: HttpExchange) -> str:
        """Send what is to be sent, and return the last status that came.

        Raises:
            FindingError: 500, no answer where one is due, or in time, an answer that is no HTTP, or one that tells too much.
        """
        started = time.perf_counter()
        try:
            with socket.create_connection(self._address, timeout=self._answer_within_s) as connection:
                status = self._status(connection, exchange)
        except ConnectionRefusedError:
            raise FindingError("the server is gone") from None
        self.slowest_s = max(self.slowest_s, time.perf_counter() - started)
        return status

    def close(self) -> None:
        """Nothing is open."""

    def _status(self, connection: socket.socket, exchange: HttpExchange) -> str:
        # Refused before the end of it was sent: what was answered can still be read, or is lost.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(exchange.sent)
        if not exchange.is_framed:
            connection.settimeout(_LISTEN_S)
        last = "closed"
        reader = h11.Connection(h11.CLIENT)
        for index, method in enumerate(exchange.methods):
            try:
                response, body = _read_response(connection, reader, method)
            except TimeoutError:
                if exchange.is_framed:
                    raise FindingError(f"no answer within {self._answer_within_s} s") from None
                return "unfinished"
            except h11.RemoteProtocolError as error:
                if exchange.is_framed:
                    raise FindingError(f"the answer is no HTTP: {error}") from None
                return last
            except ConnectionResetError:
                return last
            if response is None:
                if index == 0 and exchange.is_framed:
                    raise FindingError("closed without an answer")
                return last
            last = str(response.status_code)
            _check(last, _told(body))
            if reader.their_state is not h11.DONE or reader.our_state is not h11.DONE:
                return last
            reader.start_next_cycle()
        return last


def _read_response(connection: socket.socket, reader: h11.Connection, method: str) -> tuple[h11.Response | None, bytes]:
    """Read an answer to a request of which the reader only need know the method; None when the connection ends before it."""
    reader.send(h11.Request(method=method, target="/", headers=[("Host", "aisle")]))
    reader.send(h11.EndOfMessage())
    response, pieces = None, []
    while True:
        event = reader.next_event()
        if event is h11.NEED_DATA:
            reader.receive_data(data := connection.recv(65536))
            if not data and response is None:
                return None, b""
        elif isinstance(event, h11.Response):
            response = event
        elif isinstance(event, h11.Data):
            pieces.append(bytes(event.data))
        elif isinstance(event, h11.EndOfMessage):
            return response, b"".join(pieces)
        elif isinstance(event, h11.ConnectionClosed):
            return None, b""


def _told(body: bytes) -> str:
    """The text of an error's JSON, without decoding what else may be there."""
    if not body.startswith(b'{"error":'):
        return ""
    return str(json.loads(body)["error"])
