"""A bound on the bytes of requests under way, whichever door they came through.

The bound on requests says nothing of their size, and the bound on one message nothing of their number: 256 connections over HTTP may
each bring 64 MiB. So what a request brings is charged from its arrival until it is answered, and what would exceed the bound is refused
at once, with UNAVAILABLE, which clients try again.

Requests of at most FREE_BYTES are not charged: probes, and titles, get through while large ones fill the server, and their number has
a bound of its own.
"""

from __future__ import annotations

from types import TracebackType
from typing import Final

from aisle_server import messages
from aisle_server.errors import InvalidArgumentError, UnavailableError

FREE_BYTES: Final = 16 * 1024


class InflightBytes:
    """Counts bytes. Touched on the event loop alone.

    Attributes:
        limit: As many as there may be; 0 for no bound.
        under_way: As many as there are.
    """

    __slots__ = ("limit", "under_way")

    def __init__(self, limit: int = 0) -> None:
        self.limit = limit
        self.under_way = 0

    def lease(self, byte_size: int = 0) -> Lease:
        """Return the charge of one request; `with` it stands.

        Args:
            byte_size: What has arrived of it.

        Raises:
            UnavailableError: There is no room for it now.
            InvalidArgumentError: There never is.
        """
        lease = Lease(self)
        lease.grow(byte_size)
        return lease


class Lease:
    """What one request is charged. An error leaves it as it was."""

    __slots__ = ("_byte_size", "_charged", "_inflight")

    def __init__(self, inflight: InflightBytes) -> None:
        self._inflight = inflight
        self._byte_size = 0
        self._charged = 0

    def announce(self, byte_size: int) -> None:
        """Refuse what is to come if there is no room for it; charge nothing, since it may never come.

        Raises:
            UnavailableError: There is no room for it now.
            InvalidArgumentError: There never is.
        """
        whole, limit = self._byte_size + byte_size, self._inflight.limit
        if not limit or whole <= FREE_BYTES:
            return
        if whole > limit:
            raise InvalidArgumentError(messages.request_over_inflight_bytes(whole, limit))
        if self._inflight.under_way - self._charged + whole > limit:
            raise UnavailableError(messages.inflight_bytes_full(limit))

    def grow(self, byte_size: int) -> None:
        """Charge what has come.

        Raises:
            UnavailableError: There is no room for it now.
            InvalidArgumentError: There never is.
        """
        self.announce(byte_size)
        self._resize(self._byte_size + byte_size)

    def shrink(self, byte_size: int) -> None:
        """Give back what is gone."""
        self._resize(self._byte_size - byte_size)

    def __enter__(self) -> Lease:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._resize(0)

    def _resize(self, byte_size: int) -> None:
        charged = byte_size if byte_size > FREE_BYTES else 0
        self._inflight.under_way += charged - self._charged
        self._byte_size, self._charged = byte_size, charged
