"""The one table: what each error of the server is called over gRPC and over HTTP.

A test walks the error tree: every class has its row.

Source: Triton Inference Server, gRPC and HTTP status of its error codes.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import NamedTuple

from grpc import StatusCode

from aisle_server import errors


class Status(NamedTuple):
    """An error's name in both transports."""

    grpc: StatusCode
    http: HTTPStatus


STATUSES: dict[type[errors.InferenceServerError], Status] = {
    errors.InvalidArgumentError: Status(StatusCode.INVALID_ARGUMENT, HTTPStatus.BAD_REQUEST),
    errors.NotFoundError: Status(StatusCode.NOT_FOUND, HTTPStatus.NOT_FOUND),
    errors.AlreadyExistsError: Status(StatusCode.ALREADY_EXISTS, HTTPStatus.BAD_REQUEST),
    errors.UnavailableError: Status(StatusCode.UNAVAILABLE, HTTPStatus.SERVICE_UNAVAILABLE),
    errors.QueueFullError: Status(StatusCode.UNAVAILABLE, HTTPStatus.SERVICE_UNAVAILABLE),
    errors.QueueTimeoutError: Status(StatusCode.UNAVAILABLE, HTTPStatus.SERVICE_UNAVAILABLE),
    # UNAVAILABLE, as Triton has it, and not PERMISSION_DENIED: its clients compare.
    errors.RestrictedError: Status(StatusCode.UNAVAILABLE, HTTPStatus.FORBIDDEN),
    errors.UnsupportedError: Status(StatusCode.UNIMPLEMENTED, HTTPStatus.NOT_IMPLEMENTED),
    errors.CancelledError: Status(StatusCode.CANCELLED, HTTPStatus.BAD_REQUEST),
    errors.DeadlineExceededError: Status(StatusCode.DEADLINE_EXCEEDED, HTTPStatus.GATEWAY_TIMEOUT),
    errors.UnknownError: Status(StatusCode.UNKNOWN, HTTPStatus.BAD_REQUEST),
    errors.InternalError: Status(StatusCode.INTERNAL, HTTPStatus.INTERNAL_SERVER_ERROR),
}

# What a caller reads when the fault is one that nobody foresaw; the trace stands in the server's log.
UNEXPECTED_ERROR = "internal error; the server's log tells more"


def told(error: Exception) -> tuple[Status, str]:
    """Return an error's status and the text for the caller.

    Args:
        error: Anything. One that is not of the server's tree is told as an internal error, without its own words.
    """
    row = next((STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES), None)
    if row is None or not isinstance(error, errors.InferenceServerError):
        return STATUSES[errors.InternalError], UNEXPECTED_ERROR
    return row, error.message
