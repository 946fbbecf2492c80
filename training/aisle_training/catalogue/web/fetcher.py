"""Fetch one file over HTTP, within bounds of size and time, and ask again when that may help.

Built on httpcore, the transport under httpx. httpx itself would follow redirects and decode bodies for us, which are
just the two things that must happen under our own rules here, and it has no public place for `PublicNetwork`; of it
only the address parser is used. The standard library would have to be taught pooling, IDNA and read timeouts.
A proxy named by the environment is not used.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, TypeVar

import httpcore
import httpx

from aisle_training.catalogue.web.addresses import PublicNetwork, describe, parse_address, redirected
from aisle_training.catalogue.web.deadlines import DeadlineNetwork
from aisle_training.catalogue.web.errors import FetchError
from aisle_training.catalogue.web.pace import Pace
from aisle_training.catalogue.web.retries import RetryPolicy, is_transient_status, parse_retry_after

USER_AGENT: Final = "Aisle-catalogue/0.1"
_MAX_REDIRECTS: Final = 3

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class FetchOptions:
    """How files are fetched.

    Attributes:
        requests_per_second: The most that one host is asked, 0 for no limit.
        connect_timeout_s: Longest wait for a connection.
        read_timeout_s: Longest silence of a server.
        total_timeout_s: Longest time for one answer, head and body, however steadily it drips.
        retries: How often and how patiently to ask again.
        allow_private: Whether addresses in private networks may be asked, for a shop of one's own.
    """

    requests_per_second: float = 2.0
    connect_timeout_s: float = 10.0
    read_timeout_s: float = 20.0
    total_timeout_s: float = 120.0
    retries: RetryPolicy = field(default_factory=RetryPolicy)
    allow_private: bool = False


class Fetcher:
    """Fetches files; may be shared by threads. Used as a context manager, which closes its connections."""

    def __init__(
        self,
        options: FetchOptions,
        *,
        network: httpcore.NetworkBackend | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        generator: random.Random | None = None,
    ) -> None:
        """Begin.

        Args:
            options: How files are fetched.
            network: What connects; None for what `options` say.
            clock: Monotonic time, in seconds.
            sleep: Waits so many seconds.
            generator: Where jitter is drawn from.
        """
        self._options = options
        self._clock = clock
        self._sleep = sleep
        self._generator = generator or random.Random()
        rate = options.requests_per_second
        self._pace = Pace(1 / rate if rate > 0 else 0.0)
        if network is None:
            network = httpcore.SyncBackend() if options.allow_private else PublicNetwork()
        self._network = DeadlineNetwork(network, clock)
        self._pool = httpcore.ConnectionPool(
            max_connections=16, max_keepalive_connections=8, keepalive_expiry=30.0, network_backend=self._network
        )

    def __enter__(self) -> Fetcher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.close()

    def slow_down(self, host: str, interval_s: float) -> None:
        """Ask one host at longer intervals than the options say."""
        self._pace.slow_down(host, interval_s)

    def fetch(self, address: str, maximum_bytes: int) -> bytes:
        """Fetch a file.

        Args:
            address: An http or https address, from wherever.
            maximum_bytes: The most that the file may have; of a longer one no more than this is read.

        Returns:
            The body of an answer with status 200.

        Raises:
            FetchError: The address may not be asked, or each try failed; the error is the last try's.
        """
        return self.fetch_as(address, maximum_bytes, bytes)

    def fetch_as(self, address: str, maximum_bytes: int, parse: Callable[[bytes], T]) -> T:
        """Fetch a file and read it, both again when that may help: what came may have been cut off on its way.

        Args:
            address: As for `fetch`.
            maximum_bytes: As for `fetch`.
            parse: Reads a body; a `FetchError` of its own counts as one of the try's.

        Returns:
            What `parse` returned.
        """
        url = parse_address(address)
        attempt = 0
        while True:
            try:
                return parse(self._follow(url, maximum_bytes))
            except FetchError as error:
                attempt += 1
                delay_s = None
                if error.is_transient:
                    delay_s = self._options.retries.delay_s(attempt, error.retry_after_s, self._generator)
                if delay_s is None:
                    raise
                self._sleep(delay_s)

    def _follow(self, url: httpx.URL, maximum_bytes: int) -> bytes:
        for _ in range(_MAX_REDIRECTS + 1):
            self._sleep(self._pace.reserve(url.host, self._clock()))
            answer = self._ask(url, maximum_bytes)
            if isinstance(answer, bytes):
                return answer
            url = answer
        raise FetchError(f"{describe(url)} redirects more than {_MAX_REDIRECTS} times")

    def _ask(self, url: httpx.URL, maximum_bytes: int) -> bytes | httpx.URL:
        """Ask once: the body, or where a redirect leads."""
        options = self._options
        self._network.set_deadline(self._clock() + options.total_timeout_s)
        timeouts = {
            "connect": options.connect_timeout_s,
            "pool": options.total_timeout_s,
            "read": options.read_timeout_s,
            "write": options.read_timeout_s,
        }
        headers = [
            (b"Host", url.netloc),
            (b"User-Agent", USER_AGENT.encode()),
            # A compressed body could be a thousand times what it was on the wire, so none is asked for or taken.
            (b"Accept-Encoding", b"identity"),
        ]
        target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        try:
            with self._pool.stream("GET", target, headers=headers, extensions={"timeout": timeouts}) as response:
                answered = {name.lower(): value.decode("latin-1") for name, value in response.headers}
                if response.status in (301, 302, 303, 307, 308) and b"location" in answered:
                    return redirected(url, answered[b"location"])
                if response.status != 200:
                    raise _status_error(url, response.status, answered)
                if answered.get(b"content-encoding", "identity").lower() != "identity":
                    raise FetchError(f"{describe(url)} came compressed, expected it as it is")
                return self._read(response, url, maximum_bytes, answered.get(b"content-length"))
        except httpcore.TimeoutException as error:
            raise FetchError(f"{describe(url)} did not answer in time", is_transient=True) from error
        except (httpcore.NetworkError, httpcore.ProtocolError) as error:
            raise FetchError(f"{describe(url)} could not be read: {error}", is_transient=True) from error

    def _read(self, response: httpcore.Response, url: httpx.URL, maximum_bytes: int, announced: str | None) -> bytes:
        too_large = FetchError(f"{describe(url)} has more than {maximum_bytes:,} bytes")
        if announced is not None and announced.isdigit() and int(announced[:20]) > maximum_bytes:
            raise too_large
        body = bytearray()
        for chunk in response.iter_stream():
            body += chunk
            if len(body) > maximum_bytes:
                raise too_large
        return bytes(body)


def _status_error(url: httpx.URL, status: int, headers: dict[bytes, str]) -> FetchError:
    return FetchError(
        f"{describe(url)} answered with status {status}, expected 200",
        is_transient=is_transient_status(status),
        retry_after_s=parse_retry_after(headers.get(b"retry-after"), datetime.now(UTC)),
        status=status,
    )
