"""Calls under way, and when the last one came: what an endpoint has to know before it stops listening.

gRPC core takes calls one by one, and drops those that stand in line when it stops: their callers would read CANCELLED, and not try
again elsewhere. So a stopping endpoint goes on taking calls, which the servicer refuses with UNAVAILABLE, until those that it had
accepted are answered and no more come.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

_LOOK_EVERY_S: Final = 0.02


class Calls:
    """Calls that came in one period of an endpoint's life.

    Attributes:
        under_way: How many of them have not been answered yet.
    """

    __slots__ = ("under_way",)

    def __init__(self) -> None:
        self.under_way = 0


class Traffic:
    """Counts calls as they come and go."""

    def __init__(
        self,
        now_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Take the clock, and the way to wait on it."""
        self._now_s = now_s
        self._sleep = sleep
        self._last_s = now_s()
        self._calls = Calls()

    def enter(self) -> Calls:
        """Count a call that came. Whoever called this takes one off `under_way` when the call is answered."""
        self._last_s = self._now_s()
        calls = self._calls
        calls.under_way += 1
        return calls

    async def drained(self, grace_s: float, quiet_s: float, patience_s: float) -> None:
        """Return when the calls that are under way now are answered, and no new ones have come for a while.

        Args:
            grace_s: The longest that this may take.
            quiet_s: How long there must be silence, at the end.
            patience_s: The longest to wait for that silence.
        """
        end_s = self._now_s() + grace_s
        accepted, self._calls = self._calls, Calls()
        while accepted.under_way and self._now_s() < end_s:
            await self._sleep(_LOOK_EVERY_S)
        # From now on: callers who have just been answered may be about to ask again.
        self._last_s = self._now_s()
        end_s = min(end_s, self._now_s() + patience_s)
        while (now_s := self._now_s()) < (due_s := min(self._last_s + quiet_s, end_s)):
            await self._sleep(due_s - now_s)
