"""What an RPC may know of the call that it answers. No gRPC library is named here, so that another transport can host the same RPCs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from google.protobuf.message import Message


class Call(Protocol):
    """One call. A caller who leaves cancels the task that answers."""

    @property
    def arrived_ns(self) -> int:
        """Monotonic time when the call came, before anything of it was read."""
        ...

    @property
    def trace_events(self) -> tuple[str, str]:
        """How traces call the reading of a request and the sending of an answer."""
        ...

    def metadata(self) -> Mapping[str, str]:
        """Return what the caller sent beside the message; names are in lower case, binary entries are left out."""
        ...

    def deadline_ns(self) -> int | None:
        """Return the monotonic time after which nobody waits for the answer, None for never."""
        ...

    def has_left(self) -> bool:
        """Whether the caller no longer waits."""
        ...

    async def send(self, message: Message) -> Any:
        """Send one message of a stream, and wait while the caller is slower than we are."""
        ...

    def when_sent(self, callback: Callable[[], None]) -> None:
        """Have something done on the event loop when the answer of a call that is no stream has been sent, or never will be."""
        ...
