"""Quantiles of the last minute."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from aisle_server.latency_window import RELATIVE_ERROR, WINDOW_MS, LatencyWindow


@settings(deadline=None)
@given(st.lists(st.integers(1, 10**13), min_size=1, max_size=300), st.floats(0.01, 0.999))
def test_a_quantile_is_right_to_a_hundredth(durations: list[int], quantile: float) -> None:
    """Whatever the durations, it is the one of that rank, but for one per cent of its value."""
    window = LatencyWindow()
    for ns in durations:
        window.add(ns, 0)
    exact = sorted(durations)[int(quantile * (len(durations) - 1))]
    assert abs(window.sketch(0).quantile(quantile) - exact) <= exact * RELATIVE_ERROR * 1.0001


def test_what_is_older_than_a_minute_no_longer_counts() -> None:
    """Slot by slot; and a clock that is set back does not keep what lay ahead of it."""
    window = LatencyWindow()
    window.add(1_000, 0)
    window.add(1_000_000, WINDOW_MS // 2)
    assert window.sketch(WINDOW_MS // 2).quantile(0.01) < 1_100
    assert window.sketch(WINDOW_MS).quantile(0.01) > 900_000
    assert math.isnan(window.sketch(2 * WINDOW_MS).quantile(0.5))
    window.add(1_000, 10 * WINDOW_MS)
    assert math.isnan(window.sketch(WINDOW_MS).quantile(0.5))


def test_no_time_at_all_is_the_least_time() -> None:
    """A request that never waited is told as one nanosecond."""
    window = LatencyWindow()
    window.add(0, 0)
    assert round(window.sketch(0).quantile(0.5)) == 1
