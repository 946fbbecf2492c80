"""Statuses to errors: the one table, and the texts that gRPC shares with servers."""

import grpc
import pytest

from aisle_client import (
    ClientOptions,
    DeadlineExceededError,
    InvalidArgumentError,
    MessageTooLargeError,
    RequestError,
    ServerUnreachableError,
    UnavailableError,
    codec,
)
from aisle_client.transport import ERRORS, channel_arguments, error_for

CALL = codec.model_infer("m", {}, request_id="r1")


def test_every_status_has_its_error():
    """Each gRPC status but OK has a row in the table."""
    assert set(ERRORS) == set(grpc.StatusCode) - {grpc.StatusCode.OK}


def test_every_leaf_is_reached():
    """Each leaf below RequestError is raised for some status."""

    def leaves(of):
        return set().union(*(leaves(kind) for kind in of.__subclasses__())) if of.__subclasses__() else {of}

    texts = (
        "",
        "failed to connect to all addresses",
        "message larger than max (5 vs. 4)",
        "the picture cannot be read: it is cut short",
    )
    raised = {type(error_for(code, text, CALL, ClientOptions())) for code in ERRORS for text in texts}
    assert leaves(RequestError) <= raised


def test_an_error_carries_what_it_is_about():
    """An error has the server's text and the request's id, and shows both."""
    error = error_for(grpc.StatusCode.INVALID_ARGUMENT, "unexpected shape", CALL, ClientOptions())
    assert type(error) is InvalidArgumentError
    assert (error.server_text, error.request_id, str(error)) == (
        "unexpected shape",
        "r1",
        "unexpected shape (request r1)",
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("in ensemble 'product_categorizer', row 0: the file is empty", "the file is empty"),
        ("row 12: the title is not UTF-8: row 1: it says", "the title is not UTF-8: row 1: it says"),
        ("unexpected shape", "unexpected shape"),
    ],
)
def test_a_reason_has_no_row(text, reason):
    """The reason is the text without the row, which a caller with one product never counted."""
    assert InvalidArgumentError(text).reason == reason


def test_away_and_busy_are_told_apart():
    """A server that nobody can reach is unreachable; one that says "not now" is unavailable and no more."""
    away = error_for(
        grpc.StatusCode.UNAVAILABLE, "failed to connect to all addresses; last error: ...", CALL, ClientOptions()
    )
    busy = error_for(grpc.StatusCode.UNAVAILABLE, "Exceeds maximum queue size", CALL, ClientOptions())
    assert type(away) is ServerUnreachableError
    assert "127.0.0.1:8001" in str(away)
    assert type(busy) is UnavailableError


def test_too_large_is_told_apart():
    """A message over the limit is its own error, which a smaller batch mends; a used-up quota is not."""
    large = error_for(
        grpc.StatusCode.RESOURCE_EXHAUSTED, "Sent message larger than max (9 vs. 4)", CALL, ClientOptions()
    )
    quota = error_for(grpc.StatusCode.RESOURCE_EXHAUSTED, "quota", CALL, ClientOptions())
    assert type(large) is MessageTooLargeError
    assert type(quota) is not MessageTooLargeError


def test_a_deadline_says_whose():
    """A passed deadline names the call and the server, for gRPC's own text says neither."""
    error = error_for(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded", CALL, ClientOptions())
    assert type(error) is DeadlineExceededError
    assert "ModelInfer at 127.0.0.1:8001" in str(error)


def test_messages_are_as_large_as_triton_takes():
    """Both directions take 2 GiB messages by default; gRPC's own 4 MiB would refuse a batch of pictures."""
    arguments = dict(channel_arguments(ClientOptions()))
    assert arguments["grpc.max_send_message_length"] == arguments["grpc.max_receive_message_length"] == 2**31 - 1


def test_no_proxy_to_this_machine():
    """A proxy in the environment is passed over on the way to a loopback address, and only there."""
    assert dict(channel_arguments(ClientOptions()))["grpc.enable_http_proxy"] == 0
    assert "grpc.enable_http_proxy" not in dict(channel_arguments(ClientOptions(address="models.example:8001")))


def test_keepalive_is_off_unless_asked_for():
    """Connections are not pinged unless the options say how often."""
    assert "grpc.keepalive_time_ms" not in dict(channel_arguments(ClientOptions()))
    assert dict(channel_arguments(ClientOptions(keepalive_time_s=30)))["grpc.keepalive_time_ms"] == 30_000
