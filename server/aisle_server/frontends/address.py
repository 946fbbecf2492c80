"""Where an endpoint listens."""

from __future__ import annotations

import socket


def listening_socket(host: str, port: int) -> socket.socket:
    """Return a bound TCP socket. It shares its port with nobody.

    Args:
        host: A name or an address, of IPv4 or IPv6.
        port: 0 for any free one.

    Raises:
        OSError: The address is not ours, the port is taken or not allowed; the text says which.
    """
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        try:
            # A port whose last connections are still being forgotten is free; one that is listened to is not.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(place)
            listener.listen(128)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise OSError(error.errno, f"cannot listen on {address_text(host, port)}: {error.strerror}") from error
    return listener


def address_text(host: str, port: int) -> str:
    """Write an address as callers type it: `127.0.0.1:8001`, `[::1]:8001`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
