"""How the gRPC endpoint is set up, and when it falls silent."""

from __future__ import annotations

import asyncio
import time

from aisle_server.frontends.address import address_text
from aisle_server.frontends.grpc.arrivals import Arrivals
from aisle_server.frontends.grpc.server import channel_arguments
from aisle_server.options import GrpcOptions, KeepaliveOptions


def test_limits_have_the_names_of_grpc_core() -> None:
    """Every option of keepalive, size and compression reaches gRPC core under its own name."""
    keepalive = KeepaliveOptions(11, 12, True, 13, 14, 15, 16, 17)
    options = GrpcOptions(infer_response_compression_level="medium", max_message_bytes=4096, keepalive=keepalive)
    assert dict(channel_arguments(options)) == {
        "grpc.so_reuseport": 0,
        "grpc.max_receive_message_length": 4096,
        "grpc.max_send_message_length": 4096,
        "grpc.keepalive_time_ms": 11,
        "grpc.keepalive_timeout_ms": 12,
        "grpc.keepalive_permit_without_calls": 1,
        "grpc.http2.max_pings_without_data": 13,
        "grpc.http2.min_ping_interval_without_data_ms": 14,
        "grpc.http2.max_ping_strikes": 15,
        "grpc.max_connection_age_ms": 16,
        "grpc.max_connection_age_grace_ms": 17,
        "grpc.default_compression_level": 2,
    }


def test_what_is_off_is_not_mentioned() -> None:
    """Without compression and connection age gRPC core keeps its own ways."""
    names = dict(channel_arguments(GrpcOptions())).keys()
    assert not {"grpc.default_compression_level", "grpc.max_connection_age_ms"} & names


def test_an_address_is_written_as_callers_type_it() -> None:
    """An IPv6 address stands in brackets."""
    assert address_text("127.0.0.1", 8001) == "127.0.0.1:8001"
    assert address_text("::1", 8001) == "[::1]:8001"


async def test_silence_is_waited_for() -> None:
    """The endpoint waits until no call has come for a while, and each call that comes makes it wait anew."""
    arrivals = Arrivals()
    started = time.monotonic()
    waiting = asyncio.create_task(arrivals.quiet(for_s=0.03, within_s=10))
    for _ in range(4):
        await asyncio.sleep(0.01)
        arrivals.note()
    await waiting
    assert time.monotonic() - started >= 0.07


async def test_silence_is_not_waited_for_for_ever() -> None:
    """Callers who do not stop calling do not keep the server from stopping."""
    arrivals = Arrivals()
    started = time.monotonic()
    waiting = asyncio.create_task(arrivals.quiet(for_s=10, within_s=0.02))
    await waiting
    assert 0.02 <= time.monotonic() - started < 5
