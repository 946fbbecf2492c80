"""How fast a host is asked: one request each interval, however many threads ask."""

from __future__ import annotations

import threading


class Pace:
    """The turns of requests, by host."""

    def __init__(self, interval_s: float) -> None:
        """Begin.

        Args:
            interval_s: Seconds from one request to the next of the same host, 0 for as fast as can be.
        """
        self._interval_s = interval_s
        self._slower: dict[str, float] = {}
        self._next_s: dict[str, float] = {}
        self._lock = threading.Lock()

    def slow_down(self, host: str, interval_s: float) -> None:
        """Ask one host at longer intervals, because it says so; a shorter interval changes nothing."""
        with self._lock:
            self._slower[host] = interval_s

    def reserve(self, host: str, now_s: float) -> float:
        """Take the next turn at a host.

        Args:
            host: Whom to ask.
            now_s: Monotonic time, in seconds.

        Returns:
            Seconds to wait before asking.
        """
        with self._lock:
            turn_s = max(now_s, self._next_s.get(host, now_s))
            self._next_s[host] = turn_s + max(self._interval_s, self._slower.get(host, 0.0))
            return turn_s - now_s
