"""How to reach a server and how long to wait for it: one frozen record, checked when it is made."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from aisle_client.errors import InvalidInputError

DEFAULT_PORT: Final = 8001
INT32_MAX: Final = 2**31 - 1
_GRPC_SCHEMES: Final = ("dns:", "unix:", "unix-abstract:", "ipv4:", "ipv6:")
_HOST_AND_PORT: Final = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[^\s:/\[\]]+)(:(?P<port>\d{1,5}))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often a call is made again after UNAVAILABLE, the only status that says "later".

    Attributes:
        max_attempts: Calls in all, the first one included; 1 never asks again.
        initial_backoff_s: Longest wait before the second attempt.
        max_backoff_s: Longest wait before any attempt.
        multiplier: Growth of the wait from one attempt to the next.
    """

    max_attempts: int = 3
    initial_backoff_s: float = 0.1
    max_backoff_s: float = 2.0
    multiplier: float = 2.0

    def __post_init__(self) -> None:
        if self.max_attempts < 1:
            raise InvalidInputError(f"max_attempts is {self.max_attempts}; expected 1 or more")
        if not 0 < self.initial_backoff_s <= self.max_backoff_s or self.multiplier < 1:
            raise InvalidInputError(f"{self!r} does not describe a growing wait")

    def backoff_s(self, failures: int, jitter: float) -> float:
        """Return the wait after a failure, spread so that callers who failed together do not return together.

        Args:
            failures: Attempts that have failed, 1 or more.
            jitter: A draw from [0, 1).

        Returns:
            Seconds, between half and the whole of the step's backoff.
        """
        # The exponent is capped: a catalogue's long wait counts failures for minutes, and 2.0 ** 1024 overflows.
        step = min(self.max_backoff_s, self.initial_backoff_s * self.multiplier ** min(failures - 1, 64))
        return step * (0.5 + jitter / 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class TLS:
    """Transport security; each file is PEM.

    Attributes:
        root_certificates: Who signed the server's certificate; None for the authorities that gRPC ships.
        private_key: The client's key, for mutual TLS.
        certificate_chain: The client's certificate, for mutual TLS.
    """

    root_certificates: Path | None = None
    private_key: Path | None = None
    certificate_chain: Path | None = None

    def __post_init__(self) -> None:
        if (self.private_key is None) != (self.certificate_chain is None):
            raise InvalidInputError("mutual TLS needs both private_key and certificate_chain; one was given")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientOptions:
    """How to reach a server.

    Attributes:
        address: `host:port`, `host` (the port is then 8001), `[ipv6]:port`, or a gRPC target such as `unix:/run/aisle.sock`.
        timeout_s: Deadline of a call, attempts and waits included, unless the call names its own.
        tls: None for plain text.
        retry: How often UNAVAILABLE is asked again.
        headers: Sent with every call as gRPC metadata; names in lower case.
        max_message_bytes: Largest message, each way. gRPC's own 4 MiB would refuse a batch of pictures.
        keepalive_time_s: Ping an idle connection this often during calls. None never does: gRPC servers hang up
            on clients who ping more than they allow, so agree on it with yours.
        keepalive_timeout_s: How long a ping may stay unanswered.
    """

    address: str = f"127.0.0.1:{DEFAULT_PORT}"
    timeout_s: float = 10.0
    tls: TLS | None = None
    retry: RetryPolicy = RetryPolicy()
    headers: Mapping[str, str] = field(default_factory=dict)
    max_message_bytes: int = INT32_MAX
    keepalive_time_s: float | None = None
    keepalive_timeout_s: float = 20.0

    def __post_init__(self) -> None:
        if not self.address.startswith(_GRPC_SCHEMES) and not _HOST_AND_PORT.fullmatch(self.address):
            raise InvalidInputError(f"address is {self.address!r}; expected host:port, without a scheme")
        if not self.timeout_s > 0:
            raise InvalidInputError(f"timeout_s is {self.timeout_s}; expected a positive number of seconds")
        if not 0 < self.max_message_bytes <= INT32_MAX:
            raise InvalidInputError(f"max_message_bytes is {self.max_message_bytes}; expected 1 to {INT32_MAX}")
        for name in self.headers:
            if name != name.lower() or not name.isascii():
                raise InvalidInputError(f"header {name!r} is not lower-case ASCII")

    @property
    def target(self) -> str:
        """The address as gRPC reads it, its port filled in."""
        found = _HOST_AND_PORT.fullmatch(self.address)
        return f"{found['host']}:{found['port'] or DEFAULT_PORT}" if found else self.address

    @property
    def is_loopback(self) -> bool:
        """Does the address lead to this machine? Then no proxy stands between."""
        found = _HOST_AND_PORT.fullmatch(self.address)
        if found is None:
            return self.address.startswith("unix")
        if found["host"] == "localhost":
            return True
        try:
            return ipaddress.ip_address(found["host"].strip("[]")).is_loopback
        except ValueError:
            return False
