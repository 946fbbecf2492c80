"""The states of a model version, and what the repository index says of them.

    LOADING -> READY -> UNLOADING -> UNAVAILABLE "unloaded"
          `--> UNAVAILABLE, and why

Source: Triton, "Model Repository Extension".
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from aisle_server import errors


class ModelState(StrEnum):
    """Where a model version stands. The values are the protocol's."""

    UNKNOWN = ""
    LOADING = "LOADING"
    READY = "READY"
    UNLOADING = "UNLOADING"
    UNAVAILABLE = "UNAVAILABLE"


@dataclass(frozen=True, slots=True)
class ModelIndex:
    """A line of the repository index.

    Attributes:
        name: Of the model.
        version: Its number; None when nothing of the model was ever loaded.
        state: UNKNOWN for a model that nobody asked to load.
        reason: Why it is not ready; empty when it is.
    """

    name: str
    version: int | None
    state: ModelState
    reason: str = ""


_CODES: Final = {
    errors.InvalidArgumentError: "Invalid argument",
    errors.NotFoundError: "Not found",
    errors.AlreadyExistsError: "Already exists",
    errors.UnavailableError: "Unavailable",
    errors.UnsupportedError: "Unsupported",
    errors.CancelledError: "Cancelled",
    errors.InternalError: "Internal",
}


def reason_of(error: errors.InferenceServerError) -> str:
    """Return why a model is not served, as Triton writes it: `Invalid argument: <message>`."""
    code = next((word for kind, word in _CODES.items() if isinstance(error, kind)), "Unknown")
    return f"{code}: {error.message}"
