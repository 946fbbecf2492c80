"""A call that comes from nowhere and keeps what is sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class FakeCall:
    """What an RPC knows of its caller, set by the test."""

    sent_metadata: Mapping[str, str] = field(default_factory=dict)
    deadline: int | None = None
    left: bool = False
    sent: list[Any] = field(default_factory=list)
    arrived_ns: int = 0
    trace_events: tuple[str, str] = ("GRPC_WAITREAD", "GRPC_SEND")

    def metadata(self) -> Mapping[str, str]:
        return self.sent_metadata

    def deadline_ns(self) -> int | None:
        return self.deadline

    def has_left(self) -> bool:
        return self.left

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    def when_sent(self, callback: Callable[[], None]) -> None:
        callback()
