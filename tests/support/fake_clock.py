"""A clock that stands still until a test moves it."""

from __future__ import annotations

from collections.abc import Callable


class FakeTimer:
    """A timer of a `FakeClock`."""

    def __init__(self, when_ns: int, callback: Callable[[], None]) -> None:
        self.when_ns = when_ns
        self.callback = callback
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


class FakeClock:
    """Monotonic time from 0; `advance` rings the timers that become due, each at its own time."""

    def __init__(self) -> None:
        self.now_ns = 0
        self._timers: list[FakeTimer] = []

    def monotonic_ns(self) -> int:
        return self.now_ns

    def epoch_ms(self) -> int:
        return 1_700_000_000_000 + self.now_ns // 1_000_000

    def call_at(self, when_ns: int, callback: Callable[[], None]) -> FakeTimer:
        timer = FakeTimer(when_ns, callback)
        self._timers.append(timer)
        return timer

    def advance(self, *, us: int = 0, ms: int = 0) -> None:
        target_ns = self.now_ns + us * 1_000 + ms * 1_000_000
        while due := [timer for timer in self._timers if not timer.is_cancelled and timer.when_ns <= target_ns]:
            timer = min(due, key=lambda each: each.when_ns)
            self._timers.remove(timer)
            self.now_ns = max(self.now_ns, timer.when_ns)
            timer.callback()
        self.now_ns = target_ns

    @property
    def timer_count(self) -> int:
        return sum(not timer.is_cancelled for timer in self._timers)
