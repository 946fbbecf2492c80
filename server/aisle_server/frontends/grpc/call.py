"""What an RPC may know of the call that it answers. No gRPC library is named here, so that another transport can host the same RPCs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from google.protobuf.message import Message


class Call(Protocol):
    """One call. A caller who leaves cancels the task that answers."""

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
