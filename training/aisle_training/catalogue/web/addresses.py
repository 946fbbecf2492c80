"""Which addresses may be asked.

Addresses come from a shop's table or from a server's answer, so a stranger chooses them. Only http and https are
spoken, and no name may lead into our own network: the check is made on the very IP address that is connected to, not
on a name that could be resolved anew a moment later.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import httpcore
import httpx

from aisle_training.catalogue.web.errors import FetchError

MAX_ADDRESS_CHARACTERS: Final = 4096


def parse_address(text: str) -> httpx.URL:
    """Read an address, and bring it to the one form in which it is asked for and compared.

    Args:
        text: As a stranger wrote it.

    Returns:
        An http or https address with a host, without a fragment; whatever is not ASCII is percent-encoded or IDNA.

    Raises:
        FetchError: It is anything else, or carries a user name, which a link has no business to.
    """
    if len(text) > MAX_ADDRESS_CHARACTERS:
        raise FetchError(f"its address has {len(text)} characters, expected at most {MAX_ADDRESS_CHARACTERS}")
    try:
        url = httpx.URL(text.strip())
        if url.scheme in ("http", "https") and url.host and not url.userinfo and (url.port or 0) < 1 << 16:
            return url.copy_with(fragment=None)
    except (httpx.InvalidURL, UnicodeError, ValueError):
        pass
    raise FetchError(f"its address {text[:80]!r} is not http://host/... or https://host/...")


def redirected(url: httpx.URL, location: str) -> httpx.URL:
    """Follow a redirect, if it stays with the host that was asked.

    Args:
        url: What was asked for.
        location: The answer's `Location`.

    Raises:
        FetchError: It leads to another host or port, from https to http, or is no address.
    """
    try:
        target = parse_address(str(url.join(location[:MAX_ADDRESS_CHARACTERS])))
    except (httpx.InvalidURL, UnicodeError, ValueError):
        raise FetchError(f"{describe(url)} redirects to what is no http or https address") from None
    except FetchError as error:
        raise FetchError(f"{describe(url)} redirects, but {error}") from None
    is_upgrade = url.scheme == "http" and target.scheme == "https" and url.port is None and target.port is None
    if target.host != url.host or not (is_upgrade or origin(target) == origin(url)):
        raise FetchError(f"{describe(url)} redirects to {origin(target)}, expected to stay with {origin(url)}")
    return target


def origin(url: httpx.URL) -> str:
    """Scheme, host and port of an address: what robots.txt and a connection belong to."""
    return f"{url.scheme}://{url.netloc.decode('ascii')}"


def describe(url: httpx.URL) -> str:
    """An address for people: without its query, where keys travel."""
    return f"{origin(url)}{url.path}"[:200]


class PublicNetwork(httpcore.NetworkBackend):
    """Connections to public IP addresses alone."""

    def __init__(
        self,
        inner: httpcore.NetworkBackend | None = None,
        resolve: Callable[[str, int], Sequence[str]] | None = None,
    ) -> None:
        """Begin.

        Args:
            inner: What connects once an address was found public; None for the operating system's sockets.
            resolve: Gives the IP addresses of a host and port, or raises OSError; None for the operating system's.
        """
        self._inner = inner or httpcore.SyncBackend()
        self._resolve = resolve or _resolve

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to a host, by an address that was checked.

        Raises:
            FetchError: Any of the host's addresses is private: a name that has both is a trap, not a shop.
        """
        try:
            addresses = self._resolve(host, port)
        except OSError as error:
            raise httpcore.ConnectError(f"the name {host} cannot be resolved") from error
        for address in addresses:
            if not is_public(address):
                raise FetchError(f"{host} has the address {address}, which is not public")
        for address in addresses[:-1]:
            try:
                return self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return self._inner.connect_tcp(addresses[-1], port, timeout, local_address, socket_options)


def _resolve(host: str, port: int) -> list[str]:
    infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(info[4][0]) for info in infos))


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet: neither private, loopback, link-local nor multicast."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        ip = ip.ipv4_mapped or ip.sixtofour or ip
    return ip.is_global and not ip.is_multicast
