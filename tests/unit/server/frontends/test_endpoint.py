"""How the gRPC endpoint is set up, and when it may stop listening."""

from __future__ import annotations

import pytest

from aisle_server.frontends.address import address_text
from aisle_server.frontends.grpc.server import channel_arguments
from aisle_server.frontends.grpc.traffic import Traffic
from aisle_server.options import GrpcOptions, KeepaliveOptions


def test_limits_have_the_names_of_grpc_core() -> None:
    """Every option of keepalive, size and compression reaches gRPC core under its own name."""
    keepalive = KeepaliveOptions(11, 12, True, 13, 14, 15, 16, 17)
    options = GrpcOptions(infer_response_compression_level="medium", max_message_bytes=4096, keepalive=keepalive)
    assert dict(channel_arguments(options)) == {
        "grpc.so_reuseport": 0,
        "grpc.server.max_pending_requests": 16_384,
        "grpc.server.max_pending_requests_hard_limit": 16_384,
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
    """A clock that moves when somebody waits; things happen at set times."""

    def __init__(self, happenings: dict[float, str]) -> None:
        self.now_s = 0.0
        self._happenings = sorted(happenings.items())
        self.traffic = Traffic(lambda: self.now_s, self._sleep)
        self._accepted = [self.traffic.enter()]

    async def _sleep(self, delay_s: float) -> None:
        until_s = self.now_s + delay_s
        while self._happenings and self._happenings[0][0] <= until_s:
            self.now_s, what = self._happenings.pop(0)
            if what == "comes":
                self._accepted.append(self.traffic.enter())
            else:
                self._accepted.pop(0).under_way -= 1
        self.now_s = until_s


async def test_accepted_calls_are_waited_for() -> None:
    """The endpoint waits until what it had accepted is answered, whatever else comes and goes, and then for silence."""
    time = _Time({1.0: "comes", 5.0: "goes", 5.5: "comes"})
    await time.traffic.drained(grace_s=60, quiet_s=1, patience_s=10)
    assert time.now_s == pytest.approx(6.5)


async def test_silence_is_waited_for() -> None:
    """Each call that comes makes the endpoint wait anew."""
    time = _Time({0.01: "goes", 0.5: "comes", 1.25: "comes", 2.0: "comes", 9.0: "comes"})
    await time.traffic.drained(grace_s=60, quiet_s=1, patience_s=10)
    assert time.now_s == pytest.approx(3)


async def test_silence_is_not_waited_for_for_ever() -> None:
    """Callers who do not stop calling do not keep the server from stopping."""
    time = _Time({0.01: "goes"} | {0.5 * number: "comes" for number in range(1, 1000)})
    await time.traffic.drained(grace_s=60, quiet_s=1, patience_s=10)
    assert time.now_s == pytest.approx(10, abs=0.1)


async def test_a_call_without_end_is_not_waited_for_for_ever() -> None:
    """A call that is never answered does not keep the server beyond its grace."""
    time = _Time({})
    await time.traffic.drained(grace_s=3, quiet_s=1, patience_s=10)
    assert time.now_s == pytest.approx(3, abs=0.1)
