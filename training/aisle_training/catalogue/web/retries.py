"""When to ask again, and how long to wait before: pure decisions, whose clock and dice come in as arguments."""

from __future__ import annotations

import email.utils
import random
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how patiently to ask again.

    Attributes:
        attempts: Tries in all.
        first_delay_s: The longest wait before the second try; each further one may be twice as long.
        maximum_delay_s: The longest wait at all. A server that asks for more is left alone until the next run.
    """

    attempts: int = 5
    first_delay_s: float = 1.0
    maximum_delay_s: float = 60.0

    def delay_s(self, attempt: int, retry_after_s: float | None, generator: random.Random) -> float | None:
        """Say how long to wait before the next try.

        Exponential backoff with full jitter: the wait is drawn from zero up to a bound that doubles, so that many
        clients who failed together do not come back together. What the server asks for is a floor under it.

        Args:
            attempt: Tries that failed so far, 1 or more.
            retry_after_s: What the server asked for, in seconds; None when it did not.
            generator: Where the jitter is drawn from.

        Returns:
            Seconds, or None when there is to be no further try.

        Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
        """
        if attempt >= self.attempts or (retry_after_s or 0) > self.maximum_delay_s:
            return None
        bound = min(self.maximum_delay_s, self.first_delay_s * 2.0 ** (attempt - 1))
        return max(retry_after_s or 0.0, generator.uniform(0, bound))


def is_transient_status(status: int) -> bool:
    """Whether a status tells of a moment's trouble: asked too often or too slowly, or the server's own fault."""
    return status in (408, 425, 429) or (500 <= status < 600 and status not in (501, 505))


def parse_retry_after(text: str | None, now: datetime) -> float | None:
    """Read a `Retry-After`: seconds, or a date.

    Args:
        text: The header's value; None when there is none.
        now: The time of the answer, with a time zone.

    Returns:
        Seconds from `now`, 0 or more; None when there is nothing to be read.

    Source: RFC 9110, 10.2.3.
    """
    if text is None:
        return None
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        date = email.utils.parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    if date.tzinfo is None:  # "-0000": the time is UTC, and says nothing of the place
        date = date.replace(tzinfo=UTC)
    return max(0.0, (date - now).total_seconds())
