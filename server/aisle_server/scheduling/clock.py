"""Time as the schedulers see it: a monotonic clock, timers on it, and the time of day for the books."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol


class Timer(Protocol):
    """A callback that is due at some time."""

    def cancel(self) -> None:
        """Forget the callback. Harmless once it has been called."""
        ...


class Clock(Protocol):
    """What a scheduler knows about time."""

    def monotonic_ns(self) -> int:
        """Return nanoseconds on the clock that `InferenceRequest.deadline_ns` is measured on."""
        ...

    def epoch_ms(self) -> int:
        """Return milliseconds since the epoch."""
        ...

    def call_at(self, when_ns: int, callback: Callable[[], None]) -> Timer:
        """Have a function called on the event loop, not before a monotonic time."""
        ...


class SystemClock:
    """The machine's clock, and the running event loop's timers.

    On Linux those ring up to a millisecond late, for `epoll` counts in milliseconds: a queue delay of 100 us may become 1.1 ms.
    """

    def monotonic_ns(self) -> int:
        """Return nanoseconds on the clock that `InferenceRequest.deadline_ns` is measured on."""
        return time.monotonic_ns()

    def epoch_ms(self) -> int:
        """Return milliseconds since the epoch."""
        return time.time_ns() // 1_000_000

    def call_at(self, when_ns: int, callback: Callable[[], None]) -> Timer:
        """Have a function called on the event loop, not before a monotonic time."""
        delay_s = (when_ns - time.monotonic_ns()) / 1e9
        return asyncio.get_running_loop().call_later(delay_s, callback)
