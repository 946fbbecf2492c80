"""Large requests that come together: what they may bring is bounded, and what comes beyond is refused at once."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as triton
from grpc import StatusCode
from tritonclient.utils import InferenceServerException

from tests.support.model_repositories import write_identity_model
from tests.support.server_process import ServerProcess, running_server
from tests.support.triton_requests import infer_input, refused

LIMIT = 40_000_000
BODY = 16_000_000
FULL = f"the server has no room for a request of this size among the {LIMIT} bytes that it takes at a time; try again"


@pytest.fixture
def bounded(tmp_path: Path) -> Iterator[ServerProcess]:
    """A server that takes 40 MB of requests at a time."""
    write_identity_model(tmp_path, "any_size", [("0", "FP32", (-1,))], max_batch_size=0)
    with running_server(tmp_path, f"--max-inflight-bytes={LIMIT}") as process:
        yield process


def _tensor(byte_size: int) -> list[triton.InferInput]:
    return [infer_input("INPUT0", np.zeros(byte_size // 4, np.float32))]


@contextlib.contextmanager
def _half_sent(server: ServerProcess, announced: int, sent: int) -> Iterator[socket.socket]:
    """A caller over HTTP who has announced so much, and sent so much of it."""
    host, _, port = server.http.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        head = f"POST /v2/models/any_size/infer HTTP/1.1\r\nHost: x\r\nContent-Length: {announced}\r\n\r\n"
        connection.sendall(head.encode() + bytes(sent))
        yield connection


def _is_refused_at_once(server: ServerProcess) -> bool:
    """Whether a caller who has sent nothing of a large body hears 503."""
    with _half_sent(server, BODY, 0) as caller:
        caller.settimeout(0.5)
        try:
            return caller.recv(100).startswith(b"HTTP/1.1 503 ")
        except TimeoutError:
            return False


def _is_answered(client: triton.InferenceServerClient, byte_size: int) -> bool:
    try:
        return client.infer("any_size", _tensor(byte_size)) is not None
    except InferenceServerException as error:
        if error.message() != FULL:
            raise
        return False


def _eventually(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _resident_bytes(server: ServerProcess) -> int:
    return int(Path(f"/proc/{server.pid}/statm").read_text().split()[1]) * 4096


def test_bodies_and_messages_share_the_bound(bounded: ServerProcess) -> None:
    """While two bodies arrive a third is refused before any of it came, and so is a large message over gRPC; small ones pass."""
    with triton.InferenceServerClient(bounded.grpc) as client, contextlib.ExitStack() as callers:
        before = _resident_bytes(bounded)
        for _ in range(2):
            callers.enter_context(_half_sent(bounded, BODY + 1, BODY))
        _eventually(lambda: _is_refused_at_once(bounded))  # when what was sent has been read
        with refused(StatusCode.UNAVAILABLE, FULL):
            client.infer("any_size", _tensor(BODY))
        assert client.infer("any_size", _tensor(4000)) is not None
        assert bounded.get("/v2/health/live")[0] == 200
        assert _resident_bytes(bounded) - before < 3 * LIMIT
        callers.close()
        _eventually(lambda: _is_answered(client, BODY))


def test_many_large_bodies_take_no_more_than_the_bound(bounded: ServerProcess) -> None:
    """Of 40 callers who each bring 16 MB, 640 MB in all, two are read; the others hear 503 at once."""
    with contextlib.ExitStack() as callers:
        before = _resident_bytes(bounded)
        statuses = []
        for _ in range(40):
            caller = callers.enter_context(_half_sent(bounded, BODY + 1, 0))
            with contextlib.suppress(OSError):  # a caller who was refused is hung up on
                caller.sendall(bytes(BODY))
            caller.settimeout(0.3)
            try:
                statuses.append(caller.recv(12))
            except TimeoutError:
                statuses.append(b"")
            except OSError:
                statuses.append(b"reset")
        assert statuses.count(b"") == 2
        assert _resident_bytes(bounded) - before < 3 * LIMIT


def test_a_request_that_never_has_room_is_told_so(bounded: ServerProcess) -> None:
    """It is the caller's fault, and the text names the flag."""
    with _half_sent(bounded, LIMIT + 1, 0) as caller:
        answer = b""
        while not answer.endswith(b"}"):
            more = caller.recv(1000)
            assert more, answer
            answer += more
    assert answer.startswith(b"HTTP/1.1 400 ")
    told = json.loads(answer.partition(b"\r\n\r\n")[2])["error"]
    assert told.endswith("Use --max-inflight-bytes to increase the limit.")
    with (
        triton.InferenceServerClient(bounded.grpc) as client,
        refused(StatusCode.INVALID_ARGUMENT, "the request has ..."),
    ):
        client.infer("any_size", _tensor(LIMIT + 4))
