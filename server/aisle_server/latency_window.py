"""Quantiles of durations over the last minute, from a sketch: how many durations fell between powers of a base close to one.

All durations count, none is kept: a quantile is wrong by at most RELATIVE_ERROR of its value, and a window takes the same memory after
a thousand requests as after a million.

Source: Masson, Rim and Lee, "DDSketch: A Fast and Fully-Mergeable Quantile Sketch with Relative-Error Guarantees", 2019. Window and
slots are those of Triton's summaries.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

RELATIVE_ERROR: Final = 0.01
WINDOW_MS: Final = 60_000
_SLOTS: Final = 5
_SLOT_MS: Final = WINDOW_MS // _SLOTS
_BASE: Final = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
_LOG_BASE: Final = math.log(_BASE)


class LatencySketch:
    """How durations are spread, as far as it is known."""

    def __init__(self, counts: Mapping[int, int]) -> None:
        """Take over counts by exponent of the base."""
        self._counts = dict(sorted(counts.items()))
        self._count = sum(counts.values())

    def quantile(self, quantile: float) -> float:
        """Return the duration that so large a part of them did not exceed, in nanoseconds; NaN when there are none.

        Args:
            quantile: Above 0, below 1.
        """
        rank = int(quantile * (self._count - 1))
        for exponent, count in self._counts.items():
            if rank < count:
                return 2 * _BASE**exponent / (_BASE + 1)
            rank -= count
        return math.nan


class LatencyWindow:
    """Durations of the last minute. A slot of twelve seconds is dropped when it has passed out of it."""

    __slots__ = ("_slots",)

    def __init__(self) -> None:
        self._slots: dict[int, dict[int, int]] = {}

    def add(self, ns: int, now_ms: int) -> None:
        """Count a duration.

        Args:
            ns: In nanoseconds; less than one counts as one.
            now_ms: Milliseconds since the epoch.
        """
        counts = self._slots.get(now_ms // _SLOT_MS)
        if counts is None:
            self._drop_old(now_ms)
            counts = self._slots[now_ms // _SLOT_MS] = {}
        exponent = math.ceil(math.log(max(1, ns)) / _LOG_BASE)
        counts[exponent] = counts.get(exponent, 0) + 1

    def sketch(self, now_ms: int) -> LatencySketch:
        """Return what was counted in the minute before a moment."""
        self._drop_old(now_ms)
        total: dict[int, int] = {}
        for counts in self._slots.values():
            for exponent, count in counts.items():
                total[exponent] = total.get(exponent, 0) + count
        return LatencySketch(total)

    def _drop_old(self, now_ms: int) -> None:
        oldest = now_ms // _SLOT_MS - _SLOTS + 1
        # Also what lies ahead: a clock that was set back would else keep it for ever.
        for slot in [slot for slot in self._slots if not oldest <= slot < oldest + _SLOTS]:
            del self._slots[slot]
