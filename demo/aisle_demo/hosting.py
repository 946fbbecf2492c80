"""The page on a socket, until it is told to stop."""

from __future__ import annotations

import asyncio
import socket

import uvicorn

from aisle_client import Categorizer
from aisle_demo.app import build_page, create_application


class HostedPage:
    """Hosts the page of one server.

    Gradio's own `launch` is not used: it asks itself over HTTP whether it is up, through a proxy where the environment
    names one, and keeps the signals from whoever started it.

    Args:
        categorizer: Asks the server; stays open as long as the page.
        listener: Listens already, so that nobody takes its port while the page is built.
    """

    def __init__(self, categorizer: Categorizer, listener: socket.socket) -> None:
        self._categorizer = categorizer
        self._listener = listener
        self._host: uvicorn.Server | None = None
        self._is_stopped = False

    @property
    def url(self) -> str:
        """Where the page is."""
        address, port = self._listener.getsockname()
        return f"http://{address}:{port}/"

    @property
    def is_up(self) -> bool:
        """Is the page being served?"""
        return self._host is not None and self._host.started

    def run(self) -> None:
        """Serve until `stop`; in the main thread also until SIGINT or SIGTERM, which is raised again afterwards."""
        asyncio.run(self._serve())

    def stop(self) -> None:
        """End `run`, from any thread, before it or while it runs."""
        self._is_stopped = True
        if self._host is not None:
            self._host.should_exit = True

    async def _serve(self) -> None:
        # Built inside the loop: where none runs Gradio makes loops of its own and never closes them.
        application = create_application(build_page(self._categorizer))
        # A page that is open in a browser keeps a stream open; it is not waited for.
        settings = uvicorn.Config(application, log_level="warning", timeout_graceful_shutdown=1)
        self._host = uvicorn.Server(settings)
        self._host.should_exit = self._is_stopped
        await self._host.serve(sockets=[self._listener])
