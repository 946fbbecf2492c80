"""What can go wrong when a file is fetched."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(eq=False)
class FetchError(Exception):
    """A file could not be had.

    Attributes:
        reason: What came and what was expected, fit to be shown. It names no query, for keys travel there.
        is_transient: Whether another try, now or tomorrow, may well succeed.
        retry_after_s: How long the server asks us to wait, in seconds; None when it does not say.
        status: The HTTP status that was answered; None when none was.
    """

    reason: str
    is_transient: bool = False
    retry_after_s: float | None = None
    status: int | None = None

    def __str__(self) -> str:
        return self.reason
