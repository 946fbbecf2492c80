"""Words for why a model is not served."""

from __future__ import annotations

import pytest

from aisle_server import errors
from aisle_server.repository.states import reason_of


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (errors.InvalidArgumentError("x"), "Invalid argument: x"),
        (errors.NotFoundError("x"), "Not found: x"),
        (errors.AlreadyExistsError("x"), "Already exists: x"),
        (errors.UnavailableError("x"), "Unavailable: x"),
        (errors.QueueFullError("x"), "Unavailable: x"),
        (errors.UnsupportedError("x"), "Unsupported: x"),
        (errors.CancelledError("x"), "Cancelled: x"),
        (errors.InternalError("x"), "Internal: x"),
        (errors.UnknownError("x"), "Unknown: x"),
    ],
)
def test_a_reason_begins_with_triton_s_word_for_the_code(error: errors.InferenceServerError, reason: str) -> None:
    """Tools look for `Invalid argument: ` and the like in the repository index."""
    assert reason_of(error) == reason
