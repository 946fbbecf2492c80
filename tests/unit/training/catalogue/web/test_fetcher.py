"""Fetching one file from a server that may answer anything."""

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import repeat

import httpcore
import pytest

from aisle_training.catalogue.web.errors import FetchError
from aisle_training.catalogue.web.fetcher import Fetcher, FetchOptions
from aisle_training.catalogue.web.retries import RetryPolicy
from aisle_training.catalogue.web.robots import Robots
from tests.support.scripted_network import ScriptedNetwork, answer

ADDRESS = "http://shop.example/api?pid=secret"


@dataclass
class FakeTime:
    """A clock that only sleeping moves on, and each look a little."""

    now_s: float = 0.0
    look_s: float = 0.0
    slept: list[float] = field(default_factory=list)

    def clock(self) -> float:
        self.now_s += self.look_s
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds
        if seconds:
            self.slept.append(seconds)


def fetch(
    *script: bytes | Iterable[bytes] | Exception, maximum_bytes: int = 1000, look_s: float = 0.0, rate: float = 0.0
) -> tuple[bytes | FetchError, ScriptedNetwork, list[float]]:
    """Fetch with three tries; return what came, the network, and the waits."""
    network, time = ScriptedNetwork(list(script)), FakeTime(look_s=look_s)
    options = FetchOptions(requests_per_second=rate, retries=RetryPolicy(attempts=3))
    with Fetcher(options, network=network, clock=time.clock, sleep=time.sleep, generator=random.Random(0)) as fetcher:
        try:
            came: bytes | FetchError = fetcher.fetch(ADDRESS, maximum_bytes)
        except FetchError as error:
            came = error
    return came, network, time.slept


def test_body() -> None:
    """The body comes as it was sent; the request says who asks, and asks for no compression."""
    came, network, _ = fetch(answer(b"mug"))
    assert came == b"mug"
    assert network.asked == ["GET /api?pid=secret HTTP/1.1"]
    assert b"User-Agent: Aisle-catalogue/0.1\r\nAccept-Encoding: identity" in network.heads[0]


@pytest.mark.parametrize(
    "failure",
    [
        answer(status=500),
        answer(status=503),
        answer(b"cut short", Content_Length="100"),
        b"no HTTP at all\r\n\r\n",
        b"",
        httpcore.ConnectTimeout("slow"),
        httpcore.ConnectError("refused"),
    ],
    ids=["500", "503", "truncated", "garbage", "closed", "timeout", "refused"],
)
def test_failures_that_pass(failure: bytes | Exception) -> None:
    """A failure that may pass is tried again after a wait, and the third try is the last."""
    came, network, slept = fetch(failure, answer(b"mug"))
    assert (came, len(network.connected), len(slept)) == (b"mug", 2, 1)
    came, network, slept = fetch(failure, failure, failure, answer(b"mug"))
    assert isinstance(came, FetchError)
    assert came.is_transient
    assert "secret" not in str(came)
    assert (len(network.connected), len(slept)) == (3, 2)


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        (answer(status=404), "answered with status 404, expected 200"),
        (answer(status=204), "answered with status 204, expected 200"),
        (answer(b"x" * 1001), "has more than 1,000 bytes"),
        (answer(b"x", Content_Encoding="gzip"), "came compressed"),
        (answer(status=302, Location="http://other.example/"), "redirects to http://other.example, expected to stay"),
        (answer(status=302, Location="file:///etc/passwd"), "redirects, but its address"),
        (answer(status=302), "answered with status 302"),
    ],
    ids=["404", "204", "announced", "gzip", "host", "file", "nowhere"],
)
def test_failures_that_stay(reply: bytes, text: str) -> None:
    """A failure that would come again is not tried again."""
    came, network, slept = fetch(reply)
    assert isinstance(came, FetchError)
    assert text in str(came)
    assert not came.is_transient
    assert (len(network.connected), slept) == (1, [])


def test_endless_body() -> None:
    """Of a body without an end no more is read than may be kept."""
    read: list[int] = []

    def body() -> Iterable[bytes]:
        yield b"HTTP/1.1 200 OK\r\n\r\n"
        for _ in repeat(None):
            read.append(100)
            yield b"x" * 100

    came, _, _ = fetch(body())
    assert isinstance(came, FetchError)
    assert str(came) == "http://shop.example/api has more than 1,000 bytes"
    assert sum(read) <= 1200


@pytest.mark.parametrize(
    "dripping",
    [[b"HTTP/1.1 200 OK\r\n\r\n", *[b"x"] * 900], [b"HTTP/1.1 200 OK\r\nX: ", *[b"x"] * 900]],
    ids=["body", "head"],
)
def test_dripping_answer(dripping: list[bytes]) -> None:
    """An answer that drips on without a pause is left when its time is up, be it body or head."""
    came, network, _ = fetch(dripping, dripping, dripping, look_s=1.0)
    assert isinstance(came, FetchError)
    assert str(came) == "http://shop.example/api did not answer in time"
    assert came.is_transient
    assert len(network.connected) == 3


def test_retry_after() -> None:
    """A server that says when to come back is asked then and not before; one that says much later is left."""
    came, _, slept = fetch(answer(status=429, Retry_After="7"), answer(b"mug"))
    assert (came, slept) == (b"mug", [7.0])
    came, network, slept = fetch(answer(status=429, Retry_After="3600"), answer(b"mug"))
    assert isinstance(came, FetchError)
    assert (came.is_transient, came.status, len(network.connected), slept) == (True, 429, 1, [])


def test_redirects() -> None:
    """A redirect on the host is followed, and a circle of them ends."""
    came, network, _ = fetch(answer(status=301, Location="/b"), answer(b"mug"))
    assert (came, network.asked[1]) == (b"mug", "GET /b HTTP/1.1")
    came, network, _ = fetch(*[answer(status=302, Location="/b")] * 9)
    assert isinstance(came, FetchError)
    assert "redirects more than 3 times" in str(came)
    assert len(network.connected) == 4


def test_pace() -> None:
    """Retries and redirects keep the pace too."""
    _, _, slept = fetch(answer(status=301, Location="/b"), answer(b"mug"), rate=2.0)
    assert slept == [0.5]


@pytest.mark.parametrize(
    ("robots", "allowed"),
    [
        (answer(status=404), True),
        (answer(status=403), True),
        (answer(b""), True),
        (answer(b"\xff\xfe\0garbage"), True),
        (answer(b"User-agent: *\nDisallow: /private/\n"), True),
        (answer(b"User-agent: *\nDisallow: /\n"), False),
        (answer(b"User-agent: *\nAllow: /\n\nUser-agent: Aisle-catalogue\nDisallow: /api\n"), False),
        (answer(b"x" * 600_000), False),
        (answer(status=302, Location="http://other.example/robots.txt"), False),
    ],
)
def test_robots(robots: bytes, allowed: bool) -> None:
    """What robots.txt forbids is not fetched; it is read once; without one, all is allowed."""
    network, time = ScriptedNetwork([robots]), FakeTime()
    with Fetcher(FetchOptions(requests_per_second=0), network=network, clock=time.clock, sleep=time.sleep) as fetcher:
        rules = Robots(fetcher)
        for _ in range(2):
            if allowed:
                rules.check(ADDRESS)
            else:
                with pytest.raises(FetchError):
                    rules.check(ADDRESS)
    assert network.asked == ["GET /robots.txt HTTP/1.1"]


def test_robots_that_cannot_be_had() -> None:
    """While robots.txt answers with a server's fault, nothing is allowed, and it may be another day."""
    network, time = ScriptedNetwork([answer(status=500)] * 5), FakeTime()
    with (
        Fetcher(FetchOptions(), network=network, clock=time.clock, sleep=time.sleep) as fetcher,
        pytest.raises(FetchError, match=r"what http://shop\.example allows is not known") as caught,
    ):
        Robots(fetcher).check(ADDRESS)
    assert caught.value.is_transient


def test_crawl_delay() -> None:
    """A site that asks for a delay between requests gets it."""
    robots = answer(b"User-agent: *\nCrawl-delay: 9\n")
    network, time = ScriptedNetwork([robots, answer(b"1"), answer(b"2")]), FakeTime()
    with Fetcher(FetchOptions(), network=network, clock=time.clock, sleep=time.sleep) as fetcher:
        Robots(fetcher).check(ADDRESS)
        for _ in range(2):
            fetcher.fetch(ADDRESS, 10)
    assert time.slept == [0.5, 9.0]
