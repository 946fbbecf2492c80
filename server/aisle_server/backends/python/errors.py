"""`pb_utils.TritonError` and `pb_utils.TritonModelException`: how a python model says that something is wrong.

Source: Triton's python backend, "Error Handling".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

from aisle_server.errors import (
    AlreadyExistsError,
    CancelledError,
    InferenceServerError,
    InternalError,
    InvalidArgumentError,
    NotFoundError,
    UnavailableError,
    UnknownError,
    UnsupportedError,
)


class TritonError:
    """What is wrong with one request; goes into its response."""

    UNKNOWN: ClassVar[int] = 0
    INTERNAL: ClassVar[int] = 1
    NOT_FOUND: ClassVar[int] = 2
    INVALID_ARG: ClassVar[int] = 3
    UNAVAILABLE: ClassVar[int] = 4
    UNSUPPORTED: ClassVar[int] = 5
    ALREADY_EXISTS: ClassVar[int] = 6
    CANCELLED: ClassVar[int] = 7

    __slots__ = ("_code", "_message")

    def __init__(self, message: str, code: int = INTERNAL) -> None:
        """Say what is wrong.

        Args:
            message: For the caller.
            code: One of this class's constants; decides the status that the caller sees.

        Raises:
            TritonModelException: There is no such code.
        """
        if code not in _ERRORS:
            raise TritonModelException(f"{code!r} is no error code; expected one of TritonError's constants")
        self._message = message
        self._code = code

    def message(self) -> str:
        """Return the text for the caller."""
        return self._message

    def code(self) -> int:
        """Return the code, one of this class's constants."""
        return self._code

    def __str__(self) -> str:
        return self._message

    def __repr__(self) -> str:
        return f"TritonError({self._message!r}, {self._code})"

    @classmethod
    def of_server(cls, error: InferenceServerError) -> TritonError:
        """Return what a model is told of an error of the server. Not of Triton's interface."""
        return cls(
            error.message, next((code for code, kind in _ERRORS.items() if isinstance(error, kind)), cls.UNKNOWN)
        )

    def as_server_error(self) -> InferenceServerError:
        """Return the error that the server tells the caller. Not of Triton's interface."""
        return _ERRORS[self._code](str(self._message))


class TritonModelException(Exception):
    """What is wrong with a whole call of a model. The text is for its callers; that of any other exception is not."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self._message = message

    def message(self) -> str:
        """Return the text for the callers."""
        return self._message


_ERRORS: Final[Mapping[int, type[InferenceServerError]]] = {
    TritonError.UNKNOWN: UnknownError,
    TritonError.INTERNAL: InternalError,
    TritonError.NOT_FOUND: NotFoundError,
    TritonError.INVALID_ARG: InvalidArgumentError,
    TritonError.UNAVAILABLE: UnavailableError,
    TritonError.UNSUPPORTED: UnsupportedError,
    TritonError.ALREADY_EXISTS: AlreadyExistsError,
    TritonError.CANCELLED: CancelledError,
}
