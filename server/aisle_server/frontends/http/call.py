"""A call as HTTP knows it, for the functions that answer gRPC's calls as well."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NoReturn, TypeVar

from starlette.requests import ClientDisconnect, Request

from aisle_server.errors import UnsupportedError

Result = TypeVar("Result")


class HttpCall:
    """One request. HTTP has no deadline, and one answer."""

    __slots__ = ("_request", "_when_sent", "arrived_ns")

    trace_events = ("HTTP_RECV", "HTTP_SEND")

    def __init__(self, request: Request) -> None:
        self._request = request
        self._when_sent: list[Callable[[], None]] = []
        self.arrived_ns = time.monotonic_ns()

    def metadata(self) -> Mapping[str, str]:
        """Return the headers, by names in lower case; of one that came twice the last."""
        return dict(self._request.headers.items())

    def deadline_ns(self) -> int | None:
        """Return None: the caller says by leaving that it no longer waits."""
        return None

    def has_left(self) -> bool:
        """Return False: a caller who leaves cancels the task that answers."""
        return False

    def when_sent(self, callback: Callable[[], None]) -> None:
        """Have something done by `note_sent`."""
        self._when_sent.append(callback)

    async def note_sent(self) -> None:
        """Say that the answer has been sent, or that there is none. A coroutine: a background task that is none runs in a thread."""
        for callback in self._when_sent:
            callback()

    async def send(self, message: Any) -> NoReturn:
        """Refuse to stream."""
        raise UnsupportedError("streams are not offered over HTTP")


async def while_connected(request: Request, answering: Awaitable[Result]) -> Result:
    """Await an answer for as long as its caller does.

    Args:
        request: Whose body has been read.
        answering: Is cancelled when the caller leaves.

    Raises:
        ClientDisconnect: The caller has left.
    """

    async def leave() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    task = asyncio.ensure_future(answering)
    leaving = asyncio.create_task(leave())
    try:
        await asyncio.wait((task, leaving), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ClientDisconnect
    finally:
        for each in (task, leaving):
            each.cancel()
        await asyncio.gather(task, leaving, return_exceptions=True)
