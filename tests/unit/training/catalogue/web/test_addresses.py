"""Which addresses may be asked."""

import socket

import httpcore
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisle_training.catalogue.web.addresses import PublicNetwork, describe, is_public, parse_address, redirected
from aisle_training.catalogue.web.errors import FetchError
from tests.support.scripted_network import ScriptedNetwork, answer


@pytest.mark.parametrize(
    "text",
    [
        "file:///etc/passwd",
        "ftp://shop.example/1.jpg",
        "gopher://shop.example",
        "javascript:alert(1)",
        "//shop.example/1.jpg",
        "/1.jpg",
        "http://",
        "http:///1.jpg",
        "http://user:secret@shop.example/1.jpg",
        "http://shop.example:99999/",
        "http://[::1/",
        "http://shop.example/" + "a" * 5000,
        "",
        "\0",
    ],
)
def test_addresses_that_are_refused(text: str) -> None:
    """Nothing but http and https to a named host is an address."""
    with pytest.raises(FetchError) as caught:
        parse_address(text)
    assert not caught.value.is_transient


@given(st.text(max_size=40))
def test_address_is_its_own_form(path: str) -> None:
    """Whatever text is in a path, the address is ASCII and reads back as itself, and only its host is asked."""
    try:
        url = parse_address(f"https://shop.example/{path}")
    except FetchError:
        return
    assert str(url).isascii()
    assert url.host == "shop.example"
    assert parse_address(str(url)) == url


def test_what_is_told_of_an_address() -> None:
    """The query, where keys travel, is not told."""
    url = parse_address("https://shop.example/api/products?pid=secret&cat=mugs")
    assert describe(url) == "https://shop.example/api/products"


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/2.jpg", "http://shop.example/2.jpg"),
        ("2.jpg?x=1#y", "http://shop.example/a/2.jpg?x=1"),
        ("https://shop.example/2.jpg", "https://shop.example/2.jpg"),
    ],
)
def test_redirects_that_are_followed(location: str, target: str) -> None:
    """A redirect on the same host is followed, and so is one from http to https."""
    assert str(redirected(parse_address("http://shop.example/a/1.jpg"), location)) == target


@pytest.mark.parametrize(
    "location",
    [
        "http://other.example/1.jpg",
        "//other.example/1.jpg",
        "http://shop.example:8080/1.jpg",
        "http://shop.example.other.example/",
        "http://127.0.0.1/",
        "file:///etc/passwd",
        "https://user@shop.example/",
    ],
)
def test_redirects_that_are_refused(location: str) -> None:
    """A redirect to another host, another port or another scheme is refused."""
    with pytest.raises(FetchError, match=r"http://shop.example/1.jpg redirects"):
        redirected(parse_address("http://shop.example/1.jpg"), location)


def test_no_way_back_from_https() -> None:
    """A redirect from https to http is refused."""
    with pytest.raises(FetchError, match="redirects to http://shop.example, expected to stay"):
        redirected(parse_address("https://shop.example/1.jpg"), "http://shop.example/1.jpg")


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("192.168.0.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.251", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:8.8.8.8", True),
        ("2002:7f00:1::", False),
    ],
)
def test_public_addresses(address: str, expected: bool) -> None:
    """Loopback, private, link-local and multicast addresses are not public, however they are written."""
    assert is_public(address) is expected


def test_the_address_that_was_checked_is_asked() -> None:
    """The connection goes to an address that was checked, the second one where the first does not answer."""
    network = ScriptedNetwork([httpcore.ConnectError("refused"), answer()])
    PublicNetwork(network, lambda host, port: ["8.8.8.8", "8.8.4.4"]).connect_tcp("shop.example", 80)
    assert network.connected == [("8.8.8.8", 80), ("8.8.4.4", 80)]


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["8.8.8.8", "10.0.0.1"]])
def test_names_that_lead_inside(addresses: list[str]) -> None:
    """A name with a private address is refused before anything is connected."""
    network = ScriptedNetwork([])
    with pytest.raises(FetchError, match="which is not public"):
        PublicNetwork(network, lambda host, port: addresses).connect_tcp("shop.example", 80)
    assert network.connected == []


def test_unknown_name() -> None:
    """A name that nobody knows is a connection that failed."""

    def resolve(host: str, port: int) -> list[str]:
        raise socket.gaierror("unknown name")

    with pytest.raises(httpcore.ConnectError, match=r"shop\.example cannot be resolved"):
        PublicNetwork(ScriptedNetwork([]), resolve).connect_tcp("shop.example", 80)
