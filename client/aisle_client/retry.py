"""The attempts of one call: how much of its deadline is left, and whether to ask again. Pure; the clients wait and send."""

from __future__ import annotations

from aisle_client.options import RetryPolicy


class Attempts:
    """Counts the failures of one call against its policy and its deadline.

    Args:
        policy: How often, and how long to wait between.
        timeout_s: Deadline of the whole call.
        now_s: Monotonic time.
    """

    def __init__(self, policy: RetryPolicy, timeout_s: float, now_s: float) -> None:
        self._policy = policy
        self._deadline_s = now_s + timeout_s
        self._failures = 0

    def remaining_s(self, now_s: float) -> float:
        """Return what is left for the next attempt; never below a millisecond, so that the transport reports the deadline."""
        return max(self._deadline_s - now_s, 0.001)

    def pause_s(self, now_s: float, jitter: float) -> float | None:
        """Book a failure and decide.

        Args:
            now_s: Monotonic time.
            jitter: A draw from [0, 1).

        Returns:
            How long to wait before the next attempt; None when this failure is the answer, because the attempts are
            used up or the deadline would pass while waiting.
        """
        self._failures += 1
        if self._failures >= self._policy.max_attempts:
            return None
        pause_s = self._policy.backoff_s(self._failures, jitter)
        return pause_s if now_s + pause_s < self._deadline_s else None
