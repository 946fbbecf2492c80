"""Responses to one request of a decoupled model, on their way from the model's threads to the event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from threading import Condition
from typing import Final, TypeAlias

from aisle_server.errors import InferenceServerError
from aisle_server.inference import InferenceResponse, StreamedResponse

Result: TypeAlias = InferenceResponse | InferenceServerError | None

# Responses that may wait for their caller; then `send` waits, and the model with it.
CAPACITY: Final = 64


class ResponseStream:
    """A bounded queue with a thread at one end and the event loop at the other.

    Attributes:
        last_sent_ns: Monotonic time of the response before, of the start of the execution before the first; for the books.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, on_arrival: Callable[[StreamedResponse, int], None] | None = None
    ) -> None:
        """Make a stream that nothing has been sent into.

        Args:
            loop: Where the responses are read.
            on_arrival: Called on the loop with each response and the monotonic time when it was sent, before it can be read.
        """
        self.last_sent_ns = 0
        self._loop = loop
        self._on_arrival = on_arrival
        self._arrived: asyncio.Queue[StreamedResponse] = asyncio.Queue()
        self._changed = Condition()
        self._unread = 0
        self._is_closed = False

    def mark_started(self) -> None:
        """Note that the execution starts now. Called by the instance's thread."""
        self.last_sent_ns = time.monotonic_ns()

    def send(self, result: Result, *, is_final: bool) -> None:
        """Pass a response on, from any thread; see `ResponseSender.send`."""
        with self._changed:
            while self._unread >= CAPACITY and not self._is_closed:
                self._changed.wait()
            if self._is_closed:
                return
            self._is_closed = is_final
            self._unread += 1
            try:
                # Within the lock, so that responses of several threads arrive in the order in which they were let in.
                self._loop.call_soon_threadsafe(self._arrive, StreamedResponse(result, is_final), time.monotonic_ns())
            except RuntimeError:  # the loop is closed: the process is going, and nobody reads
                self._is_closed = True

    async def receive(self) -> StreamedResponse:
        """Return the next response. Not to be called after the final one."""
        response = await self._arrived.get()
        with self._changed:
            self._unread -= 1
            self._changed.notify()
        return response

    def abandon(self) -> None:
        """Drop what has not been read and what is still to come; nobody waits in `send` any more."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def _arrive(self, response: StreamedResponse, sent_ns: int) -> None:
        if self._on_arrival is not None:
            self._on_arrival(response, sent_ns)
        self.last_sent_ns = sent_ns
        self._arrived.put_nowait(response)


class WarmupResponses:
    """The responses to a warm-up request, which nobody is told."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._results: list[Result] = []
        self._is_closed = False

    def send(self, result: Result, *, is_final: bool) -> None:
        """Keep an error, drop anything else; see `ResponseSender.send`."""
        with self._changed:
            if self._is_closed:
                return
            if isinstance(result, InferenceServerError):
                self._results.append(result)
            self._is_closed = is_final
            self._changed.notify()

    def wait(self) -> list[Result]:
        """Return the errors, when the final response has come."""
        with self._changed:
            while not self._is_closed:
                self._changed.wait()
            return self._results
