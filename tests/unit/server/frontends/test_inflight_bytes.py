"""Bytes of requests under way, and what happens when there is no room for more."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np
import pytest

from aisle_protocol.generated import grpc_service_pb2 as pb
from aisle_server.errors import InvalidArgumentError, UnavailableError
from aisle_server.frontends.grpc.binding import bind
from aisle_server.frontends.grpc.servicer import InferenceServicer
from aisle_server.frontends.grpc.traffic import Traffic
from aisle_server.frontends.http.routes import inference_app
from aisle_server.frontends.inflight_bytes import FREE_BYTES, InflightBytes
from aisle_server.inference import InferenceRequest, InferenceResponse
from aisle_server.options import HttpOptions
from tests.support.asgi import Answer, ask
from tests.support.fake_call import FakeCall
from tests.support.fake_inference_server import FakeInferenceServer

LIMIT = 200_000
FULL = "the server has no room for a request of this size among the 200000 bytes that it takes at a time; try again"


def test_what_has_come_is_charged_until_it_is_answered() -> None:
    """A lease grows with what arrives and gives all of it back, whatever happens in between."""
    inflight = InflightBytes(LIMIT)
    with inflight.lease(100_000) as first:
        first.grow(50_000)
        first.shrink(10_000)
        assert inflight.under_way == 140_000
        with pytest.raises(ZeroDivisionError), inflight.lease(60_000):
            raise ZeroDivisionError(inflight.under_way)
        assert inflight.under_way == 140_000
    assert inflight.under_way == 0


def test_what_has_no_room_is_refused_and_not_charged() -> None:
    """The lease that could not grow keeps what it had."""
    inflight = InflightBytes(LIMIT)
    with inflight.lease(150_000), inflight.lease(40_000) as second:
        for refused in (second.grow, second.announce, inflight.lease):
            with pytest.raises(UnavailableError, match=FULL):
                refused(60_000)
        assert inflight.under_way == 190_000
    assert inflight.under_way == 0


def test_what_never_has_room_is_told_so() -> None:
    """Nobody is told to try again with a request that is larger than all together may be."""
    with pytest.raises(InvalidArgumentError, match="has 200001 bytes or more, .* Use --max-inflight-bytes to increase"):
        InflightBytes(LIMIT).lease(LIMIT + 1)


def test_what_is_announced_is_not_charged() -> None:
    """A caller who announces much and sends nothing takes nobody's room."""
    inflight = InflightBytes(LIMIT)
    with inflight.lease() as lease:
        lease.announce(LIMIT)
        assert inflight.under_way == 0


def test_small_requests_pass_a_full_server() -> None:
    """Probes and titles are not charged, however many large requests are under way."""
    inflight = InflightBytes(LIMIT)
    with inflight.lease(LIMIT), inflight.lease(FREE_BYTES) as small:
        assert inflight.under_way == LIMIT
        with pytest.raises(UnavailableError):
            small.grow(1)
    assert inflight.under_way == 0


def test_zero_is_no_bound_on_bytes() -> None:
    """0 admits whatever comes."""
    with InflightBytes(0).lease(2**40) as lease:
        lease.grow(2**40)


class _Slow:
    """A server whose model answers when it is let."""

    def __init__(self) -> None:
        self.inflight = InflightBytes(LIMIT)
        self.proceed = asyncio.Event()
        self.server: Any = FakeInferenceServer(on_infer=self._infer)
        self.servicer = InferenceServicer(self.server, inflight_bytes=self.inflight)

    async def _infer(self, request: InferenceRequest) -> InferenceResponse:
        await self.proceed.wait()
        return InferenceResponse(request.model_name, 3, request.id, ())

    async def post(self, rows: int, *, compressed: bool = False) -> Answer:
        """Send rows of 64 bytes over HTTP."""
        tensor = {
            "name": "INPUT0",
            "datatype": "FP32",
            "shape": [rows, 16],
            "parameters": {"binary_data_size": rows * 64},
        }
        header = json.dumps({"inputs": [tensor]}).encode()
        body, headers = header + bytes(rows * 64), {"Inference-Header-Content-Length": str(len(header))}
        if compressed:
            body, headers = gzip.compress(body), {**headers, "Content-Encoding": "gzip"}
        app = inference_app(self.server, self.servicer, HttpOptions(), self.inflight)
        return await ask(app, "/v2/models/identity/infer", "POST", body, headers)


def _message(rows: int, request_id: str = "") -> pb.ModelInferRequest:
    message = pb.ModelInferRequest(model_name="identity", id=request_id)
    message.inputs.add(name="INPUT0", datatype="FP32", shape=[rows, 16])
    message.raw_input_contents.append(np.zeros((rows, 16), np.float32).tobytes())
    return message


async def _settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def _until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not is_so():
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("compressed", [False, True])
async def test_bodies_are_charged_until_they_are_answered(compressed: bool) -> None:
    """A second large body is refused with 503 while the first is under way, a small one passes, and later there is room again.

    Compressed bodies are charged what they are decompressed.
    """
    slow = _Slow()
    first = asyncio.create_task(slow.post(2000, compressed=compressed))
    await _until(lambda: slow.inflight.under_way > 128_000)
    refused = await slow.post(2000)
    assert (refused.status, json.loads(refused.body)) == (503, {"error": FULL})
    small = asyncio.create_task(slow.post(10))
    slow.proceed.set()
    assert (await first).status == 200
    assert (await small).status == 200
    assert slow.inflight.under_way == 0
    assert (await slow.post(2000)).status == 200


async def test_a_bomb_stops_where_there_is_no_room() -> None:
    """A body whose decompressed size would exceed the bound is refused on the way, and nothing stays charged."""
    slow = _Slow()
    assert (await slow.post(4000, compressed=True)).status == 400
    assert slow.inflight.under_way == 0


async def test_messages_are_charged_before_they_are_parsed() -> None:
    """Over gRPC the bytes alone decide, so that garbage is not parsed either."""
    slow = _Slow()
    service = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"]
    bound = bind(service, slow.servicer, {}, Traffic(), inflight_bytes=slow.inflight)
    details: Any = type(
        "Details", (), {"method": "/inference.GRPCInferenceService/ModelInfer", "invocation_metadata": ()}
    )()
    handler: Any = bound.service(details)
    statuses: list[str] = []

    class Context:
        async def abort(self, code: Any, text: str) -> None:
            statuses.append(f"{code.name}: {text}")
            raise asyncio.CancelledError

        def time_remaining(self) -> None:
            return None

    first = asyncio.create_task(handler.unary_unary(_message(2000).SerializeToString(), Context()))
    await _settled()
    with pytest.raises(asyncio.CancelledError):
        await handler.unary_unary(b"\xff" * 100_000, Context())
    assert statuses == [f"UNAVAILABLE: {FULL}"]
    slow.proceed.set()
    assert await first
    assert slow.inflight.under_way == 0


async def test_requests_of_a_stream_are_refused_one_by_one() -> None:
    """The second large request of a stream is told so in its turn, and the stream goes on."""
    slow = _Slow()
    call = FakeCall()

    async def requests() -> AsyncIterator[pb.ModelInferRequest]:
        for request_id, rows in (("large", 2000), ("second", 2000), ("small", 10)):
            yield _message(rows, request_id)
            await _settled()
        slow.proceed.set()

    await slow.servicer.model_stream_infer(requests(), call)
    told = {each.infer_response.id: each.error_message for each in call.sent}
    assert told == {"large": "", "second": FULL, "small": ""}
    assert slow.inflight.under_way == 0
