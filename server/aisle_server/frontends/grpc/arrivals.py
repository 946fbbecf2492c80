"""When the last call came: what an endpoint has to know before it stops listening."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable


class Arrivals:
    """Notes each call as it comes."""

    def __init__(
        self,
        now_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Take the clock, and the way to wait on it."""
        self._now_s = now_s
        self._sleep = sleep
        self._last_s = now_s()

    def note(self) -> None:
        """Note that a call came now."""
        self._last_s = self._now_s()

    async def quiet(self, for_s: float, within_s: float) -> None:
        """Return when no call has come for a while, or when waiting for that has taken too long.

        Args:
            for_s: How long there must be silence, from now on.
            within_s: The longest that this may take.
        """
        self.note()
        end_s = self._last_s + within_s
        while (now_s := self._now_s()) < (due_s := min(self._last_s + for_s, end_s)):
            await self._sleep(due_s - now_s)
