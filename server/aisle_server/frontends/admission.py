"""A bound on the inference requests under way, whichever door they came through.

One more than that is refused at once, with UNAVAILABLE and not RESOURCE_EXHAUSTED: it is what a full queue answers, and what clients
of Triton try again. Health, metadata and metrics are not counted, so a server that is full still says that it lives.
"""

from __future__ import annotations

from types import TracebackType

from aisle_server.errors import UnavailableError


class Admission:
    """Counts requests; `with` it stands one request. Entered and left on the event loop alone."""

    def __init__(self, limit: int = 0) -> None:
        """Bound the requests under way; 0 for no bound."""
        self._limit = limit
        self._under_way = 0

    def __enter__(self) -> None:
        """Count a request.

        Raises:
            UnavailableError: There are as many as may be.
        """
        if self._limit and self._under_way >= self._limit:
            raise UnavailableError(
                f"the server has {self._limit} requests under way, which is as many as it takes; try again"
            )
        self._under_way += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._under_way -= 1
