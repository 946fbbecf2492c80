"""What can go wrong, free of any transport.

    InferenceServerError
    ├── InvalidArgumentError     the request is wrong, and would be wrong again
    ├── NotFoundError            no such model, version or region
    ├── AlreadyExistsError       the name is taken
    ├── UnavailableError         not now: not ready, queue full, waited too long, stopping
    │   ├── QueueFullError           the request never entered the queue
    │   └── QueueTimeoutError        the request waited longer than its queue policy allows
    ├── RestrictedError          the caller lacks the header that this kind of request needs
    ├── UnsupportedError         understood, and not offered
    ├── CancelledError           the caller has left
    ├── DeadlineExceededError    the caller's deadline has passed
    ├── UnknownError             a model raised with a code that has no better name
    └── InternalError            ours to mend; the text tells nothing of our insides

`frontends/status.py` gives each leaf its gRPC and HTTP status: the one table.
A message says what was wrong, what came and what was expected; it is what the caller reads.
"""

from __future__ import annotations


class InferenceServerError(Exception):
    """Base of all errors a caller may be told.

    Attributes:
        message: The text for the caller.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InvalidArgumentError(InferenceServerError):
    """The request is wrong, and would be wrong again."""


class NotFoundError(InferenceServerError):
    """No such model, version or shared-memory region."""


class AlreadyExistsError(InferenceServerError):
    """The name is taken."""


class UnavailableError(InferenceServerError):
    """Not now; the same request may succeed later."""


class QueueFullError(UnavailableError):
    """The queue was full, so the request never entered it."""


class QueueTimeoutError(UnavailableError):
    """The request waited longer than its queue policy allows."""


class RestrictedError(InferenceServerError):
    """The caller lacks the header that this kind of request needs."""


class UnsupportedError(InferenceServerError):
    """The request is understood, and not offered by this server or this model."""


class CancelledError(InferenceServerError):
    """The caller has left before its request was executed."""


class DeadlineExceededError(InferenceServerError):
    """The caller's deadline passed before its request was executed."""


class UnknownError(InferenceServerError):
    """A model raised with a code that has no better name."""


class InternalError(InferenceServerError):
    """Ours to mend. The trace goes to the log, never into the message."""
