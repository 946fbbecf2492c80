"""An HTTP endpoint: uvicorn as a task of our own event loop, with signals left to the process and limits on what is read."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from aisle_server.frontends.address import address_text, listening_socket
from aisle_server.options import HttpOptions

MAX_HEADER_BYTES = 16 * 1024
MAX_CONNECTIONS = 256
IDLE_CONNECTION_S = 5


class HttpEndpoint:
    """An application on a port of its own."""

    def __init__(self, app: ASGIApp, options: HttpOptions) -> None:
        self._options = options
        self._server = _Server(
            uvicorn.Config(
                app,
                http=_protocol(options.header_timeout_secs),
                ws="none",
                lifespan="off",
                loop="none",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                h11_max_incomplete_event_size=MAX_HEADER_BYTES,
                limit_concurrency=MAX_CONNECTIONS,
                timeout_keep_alive=IDLE_CONNECTION_S,
            )
        )
        self._listener: socket.socket | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> str:
        """Listen.

        Returns:
            The address with the port that was taken.

        Raises:
            OSError: The port cannot be had.
        """
        self._listener = listening_socket(self._options.address, self._options.port)
        self._task = asyncio.create_task(self._server.serve(sockets=[self._listener]))
        while not self._server.started and not self._task.done():
            await asyncio.sleep(0.001)
        if self._task.done():
            self._task.result()
        return address_text(self._options.address, self._listener.getsockname()[1])

    async def stop(self, grace_s: float) -> None:
        """Refuse what is new, and answer what was accepted.

        Args:
            grace_s: When this has passed, requests under way are given up.
        """
        if self._task is None:
            return
        self._server.should_exit = True
        _, unfinished = await asyncio.wait([self._task], timeout=grace_s)
        for task in unfinished:
            task.cancel()
        if self._listener is not None:
            self._listener.close()


def _protocol(header_timeout_s: float) -> type[asyncio.Protocol]:
    """Return uvicorn's protocol for a connection, which closes one whose headers do not arrive in time.

    By itself uvicorn waits for the first request of a connection, and for the rest of one that has begun, for ever. And it refuses
    what is no HTTP even while an answer is under way, which h11 takes from neither of the two.
    """

    class Connection(H11Protocol):
        _closing: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._watch()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._watch()

        def connection_lost(self, exc: Exception | None) -> None:
            self._unwatch()
            super().connection_lost(exc)

        def send_400_response(self, msg: str) -> None:
            if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
                super().send_400_response(msg)
            else:
                self.transport.close()
            if self.cycle is not None:  # whoever works on an answer need not give it
                self.cycle.disconnected = True
                self.cycle.message_event.set()

        def _watch(self) -> None:
            if self.conn.their_state is not h11.IDLE:
                self._unwatch()
            elif self._closing is None:
                self._closing = self.loop.call_later(header_timeout_s, self.transport.close)

        def _unwatch(self) -> None:
            if self._closing is not None:
                self._closing.cancel()
                self._closing = None

    return Connection


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the process: it has other endpoints to stop as well."""
        yield
