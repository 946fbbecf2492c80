"""How to reach a server: what an address may be, and how waits grow."""

import pytest

from aisle_client import TLS, ClientOptions, InvalidInputError, RetryPolicy


@pytest.mark.parametrize(
    ("address", "target", "is_loopback"),
    [
        ("127.0.0.1:8001", "127.0.0.1:8001", True),
        ("localhost", "localhost:8001", True),
        ("models.shop.example:443", "models.shop.example:443", False),
        ("models.shop.example", "models.shop.example:8001", False),
        ("[::1]:9000", "[::1]:9000", True),
        ("[2001:db8::1]", "[2001:db8::1]:8001", False),
        ("unix:/run/aisle.sock", "unix:/run/aisle.sock", True),
        ("dns:///models.shop.example:8001", "dns:///models.shop.example:8001", False),
    ],
)
def test_addresses(address, target, is_loopback):
    """An address may leave the port out, be IPv6 in brackets, or be a gRPC target."""
    options = ClientOptions(address=address)
    assert (options.target, options.is_loopback) == (target, is_loopback)


@pytest.mark.parametrize("address", ["", " ", "http://127.0.0.1:8000", "grpc://host:1", "::1", "host:port", "host:1:2"])
def test_no_addresses(address):
    """An address with a scheme or an unreadable port is refused when it is given, not when it is first used."""
    with pytest.raises(InvalidInputError, match="expected host:port"):
        ClientOptions(address=address)


@pytest.mark.parametrize(
    "settings",
    [
        {"timeout_s": 0},
        {"timeout_s": float("nan")},
        {"max_message_bytes": 0},
        {"max_message_bytes": 2**31},
        {"headers": {"X-Token": "a"}},
    ],
)
def test_settings_that_cannot_be(settings):
    """A deadline of nothing, a message limit that gRPC does not know and a header it refuses are errors at once."""
    with pytest.raises(InvalidInputError):
        ClientOptions(**settings)


def test_half_of_mutual_tls(tmp_path):
    """A client's key without its certificate is an error."""
    with pytest.raises(InvalidInputError, match="both"):
        TLS(private_key=tmp_path / "key.pem")


def test_waits_grow_to_their_bound():
    """Each wait is at most twice the one before, never above the bound, and spread over its upper half."""
    policy = RetryPolicy(initial_backoff_s=0.1, max_backoff_s=1.0, multiplier=2.0)
    longest = [policy.backoff_s(failures, jitter=1.0) for failures in (1, 2, 3, 4, 5, 5000)]
    assert longest == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.0, 1.0])
    assert policy.backoff_s(3, jitter=0.0) == pytest.approx(0.2)


@pytest.mark.parametrize("settings", [{"max_attempts": 0}, {"initial_backoff_s": 0}, {"multiplier": 0.5}])
def test_policies_that_cannot_be(settings):
    """A policy that never asks, does not wait or shrinks its waits is refused."""
    with pytest.raises(InvalidInputError):
        RetryPolicy(**settings)
