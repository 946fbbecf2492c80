"""A time limit for a whole answer, over the time limits that a transport has for each read.

A server that sends a byte now and then is never silent for long, in its headers no more than in its body; without a
limit over both it could hold a crawl for days.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterable
from typing import Any

import httpcore


class DeadlineNetwork(httpcore.NetworkBackend):
    """Connections whose every step ends at the deadline of the thread that takes it."""

    def __init__(self, inner: httpcore.NetworkBackend, clock: Callable[[], float]) -> None:
        """Begin.

        Args:
            inner: What connects.
            clock: Monotonic time, in seconds.
        """
        self._inner = inner
        self._clock = clock
        self._deadlines = threading.local()

    def set_deadline(self, deadline_s: float) -> None:
        """Set the deadline of this thread's next request, by the clock."""
        self._deadlines.at_s = deadline_s

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect, before the deadline."""
        timeout = self.bounded(timeout)
        return _DeadlineStream(self._inner.connect_tcp(host, port, timeout, local_address, socket_options), self)

    def bounded(self, timeout: float | None) -> float:
        """Shorten a timeout to what is left, in seconds.

        Raises:
            httpcore.ReadTimeout: Nothing is left.
        """
        left_s: float = self._deadlines.at_s - self._clock()
        if left_s <= 0:
            raise httpcore.ReadTimeout("the time limit for the whole answer has passed")
        return left_s if timeout is None else min(timeout, left_s)


class _DeadlineStream(httpcore.NetworkStream):
    """A connection; what it does not do itself, the one inside does."""

    def __init__(self, inner: httpcore.NetworkStream, network: DeadlineNetwork) -> None:
        self._inner = inner
        self._network = network

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, self._network.bounded(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, self._network.bounded(timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        stream = self._inner.start_tls(ssl_context, server_hostname, self._network.bounded(timeout))
        return _DeadlineStream(stream, self._network)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
