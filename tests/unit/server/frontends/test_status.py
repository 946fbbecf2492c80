"""Every error of the server has its status, and nothing else is told."""

from __future__ import annotations

from http import HTTPStatus

import pytest
from grpc import StatusCode

from aisle_server import errors
from aisle_server.frontends.status import STATUSES, UNEXPECTED_ERROR, told


def _tree(root: type[errors.InferenceServerError]) -> list[type[errors.InferenceServerError]]:
    own = [each for each in root.__subclasses__() if each.__module__ == errors.__name__]
    return own + [below for each in own for below in _tree(each)]


def test_every_error_has_a_row() -> None:
    """Each class of the error tree has a row of its own, and each row a class."""
    assert set(_tree(errors.InferenceServerError)) == set(STATUSES)


@pytest.mark.parametrize(
    ("error", "grpc_status", "http_status"),
    [
        (errors.InvalidArgumentError, StatusCode.INVALID_ARGUMENT, 400),
        (errors.NotFoundError, StatusCode.NOT_FOUND, 404),
        (errors.AlreadyExistsError, StatusCode.ALREADY_EXISTS, 400),
        (errors.UnavailableError, StatusCode.UNAVAILABLE, 503),
        (errors.QueueFullError, StatusCode.UNAVAILABLE, 503),
        (errors.QueueTimeoutError, StatusCode.UNAVAILABLE, 503),
        (errors.RestrictedError, StatusCode.UNAVAILABLE, 403),
        (errors.UnsupportedError, StatusCode.UNIMPLEMENTED, 501),
        (errors.CancelledError, StatusCode.CANCELLED, 400),
        (errors.DeadlineExceededError, StatusCode.DEADLINE_EXCEEDED, 504),
        (errors.UnknownError, StatusCode.UNKNOWN, 400),
        (errors.InternalError, StatusCode.INTERNAL, 500),
    ],
)
def test_statuses_are_tritons(
    error: type[errors.InferenceServerError], grpc_status: StatusCode, http_status: int
) -> None:
    """An error is told with the status that Triton gives it, and with its own text."""
    status, text = told(error("what was wrong"))
    assert (status.grpc, status.http, text) == (grpc_status, HTTPStatus(http_status), "what was wrong")


def test_a_row_holds_for_what_stands_below_it() -> None:
    """An error that a backend derives from one of the tree is told as that one."""

    class OutOfInkError(errors.UnavailableError):
        pass

    assert told(OutOfInkError("no ink"))[0].grpc is StatusCode.UNAVAILABLE


def test_nothing_is_told_of_an_unexpected_error() -> None:
    """A fault that nobody foresaw is an internal error, and its own words stay inside."""
    status, text = told(KeyError("/secret/path"))
    assert (status.grpc, text) == (StatusCode.INTERNAL, UNEXPECTED_ERROR)
