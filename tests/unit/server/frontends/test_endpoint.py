"""How the gRPC endpoint is set up, and when it falls silent."""

from __future__ import annotations

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


class _Time:
    """A clock that moves when somebody waits; calls come at set times."""

    def __init__(self, *calls_s: float) -> None:
        self.now_s = 100.0
        self._calls_s = [100.0 + each for each in calls_s]
        self.arrivals = Arrivals(lambda: self.now_s, self._sleep)

    async def _sleep(self, delay_s: float) -> None:
        until_s = self.now_s + delay_s
        while self._calls_s and self._calls_s[0] <= until_s:
            self.now_s = self._calls_s.pop(0)
            self.arrivals.note()
        self.now_s = until_s


async def test_silence_is_waited_for() -> None:
    """The endpoint waits until no call has come for a while; each call that comes makes it wait anew."""
    time = _Time(0.5, 1.25, 2.0, 9.0)
    await time.arrivals.quiet(for_s=1, within_s=60)
    assert time.now_s == 103


async def test_silence_is_not_waited_for_for_ever() -> None:
    """Callers who do not stop calling do not keep the server from stopping."""
    time = _Time(*(0.5 * number for number in range(1000)))
    await time.arrivals.quiet(for_s=1, within_s=60)
    assert time.now_s == 160
