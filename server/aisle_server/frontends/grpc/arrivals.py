"""When the last call came: what an endpoint has to know before it stops listening."""

from __future__ import annotations

import asyncio
import time


class Arrivals:
    """Notes each call as it comes."""

    def __init__(self) -> None:
        self._last_s = time.monotonic()

    def note(self) -> None:
        """Note that a call came now."""
        self._last_s = time.monotonic()

    async def quiet(self, for_s: float, within_s: float) -> None:
        """Return when no call has come for a while, or when waiting for that has taken too long.

        Args:
            for_s: How long there must be silence, from now on.
            within_s: The longest that this may take.
        """
        self.note()
        end_s = self._last_s + within_s
        while (now_s := time.monotonic()) < (due_s := min(self._last_s + for_s, end_s)):
            await asyncio.sleep(due_s - now_s)
