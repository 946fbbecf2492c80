"""When to ask again, and at what pace."""

import random
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisle_training.catalogue.web.pace import Pace
from aisle_training.catalogue.web.retries import RetryPolicy, is_transient_status, parse_retry_after

NOW = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("Wed, 01 May 2024 12:00:30 GMT", 30.0),
        ("Wed, 01 May 2024 11:00:00 GMT", 0.0),
        ("Wed, 01 May 2024 12:00:30 -0000", 30.0),
        ("-5", None),
        ("soon", None),
        ("", None),
        ("٥", None),
        (None, None),
    ],
)
def test_retry_after(text: str | None, seconds: float | None) -> None:
    """`Retry-After` is read as seconds or as a date, and as nothing when it is neither."""
    assert parse_retry_after(text, NOW) == seconds


@given(attempt=st.integers(1, 12), asked=st.none() | st.floats(0, 200), seed=st.integers(0, 99))
def test_delays(attempt: int, asked: float | None, seed: int) -> None:
    """Waits grow to a bound, are never shorter than asked for, and end after the attempts there are."""
    policy = RetryPolicy(attempts=8, first_delay_s=1.0, maximum_delay_s=60.0)
    delay_s = policy.delay_s(attempt, asked, random.Random(seed))
    if attempt >= 8 or (asked or 0) > 60:
        assert delay_s is None
    else:
        assert delay_s is not None
        assert (asked or 0) <= delay_s <= max(asked or 0, min(60.0, 2.0 ** (attempt - 1)))


def test_jitter() -> None:
    """Two clients that failed together wait differently."""
    policy = RetryPolicy()
    assert policy.delay_s(3, None, random.Random(1)) != policy.delay_s(3, None, random.Random(2))


def test_transient_statuses() -> None:
    """Asking too often, too slowly, and a server's own faults pass; what is missing or forbidden does not."""
    assert [status for status in (200, 400, 401, 403, 404, 408, 410, 425, 429, 500, 501, 502, 503, 504, 505, 599)
            if is_transient_status(status)] == [408, 425, 429, 500, 502, 503, 504, 599]  # fmt: skip


def test_pace_by_host() -> None:
    """Each host has turns of its own, at least the interval apart, and one that asks for it has longer ones."""
    pace = Pace(0.5)
    assert [pace.reserve("a", 10.0), pace.reserve("a", 10.0), pace.reserve("b", 10.0)] == [0.0, 0.5, 0.0]
    assert pace.reserve("a", 20.0) == 0.0
    pace.slow_down("a", 3.0)
    pace.slow_down("b", 0.1)
    assert [pace.reserve("a", 30.0), pace.reserve("a", 30.0)] == [0.0, 3.0]
    assert [pace.reserve("b", 30.0), pace.reserve("b", 30.0)] == [0.0, 0.5]
