"""The composition root: build the server and its endpoints, start them, wait to be told, stop them in reverse.

Endpoints listen before models are loaded, so that a probe can tell a server that is loading (live, not ready) from one that is gone.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Sequence
from typing import Final, NoReturn, Protocol

from aisle_server.frontends.grpc.health import HealthServicer
from aisle_server.frontends.grpc.server import GrpcEndpoint
from aisle_server.frontends.grpc.servicer import InferenceServicer
from aisle_server.frontends.http.routes import health_app, metrics_app
from aisle_server.frontends.http.server import HttpEndpoint
from aisle_server.inference_server import InferenceServer
from aisle_server.options import ServerOptions
from aisle_server.repository.model_repository import ModelRepository

_log = logging.getLogger(__name__)
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class Endpoint(Protocol):
    """Something that listens."""

    async def start(self) -> str:
        """Listen, and return the address."""
        ...

    async def stop(self, grace_s: float) -> None:
        """Refuse what is new, and answer what was accepted, for so long at most."""
        ...


async def serve(options: ServerOptions) -> int:
    """Run the server until it is told to stop.

    The first SIGTERM or SIGINT stops it gracefully: what is new is refused, what was accepted is answered, within
    `exit_timeout_secs`. The second exits at once.

    Returns:
        The exit status: 0 after a graceful stop, 1 when the server could not start.
    """
    configure_logging(options)
    told_to_stop = _listen_to_signals()
    server = _build_server(options)
    started: list[Endpoint] = []
    try:
        for name, endpoint in _build_endpoints(server, options):
            address = await endpoint.start()
            started.append(endpoint)
            _log.info("Started %s at %s", name, address)
        return await _run(server, told_to_stop, options)
    except OSError as error:
        _log.error("%s", error.strerror or error)
        return 1
    finally:
        try:
            async with asyncio.timeout(options.exit_timeout_secs):
                await _stop(server, started, options.exit_timeout_secs)
        except TimeoutError:
            _exit_at_once("Exit timeout expired. Exiting immediately.")
        _log.info("Stopped")


def _build_server(options: ServerOptions) -> InferenceServer:
    raise NotImplementedError


def _build_endpoints(server: InferenceServer, options: ServerOptions) -> Sequence[tuple[str, Endpoint]]:
    """Return the endpoints that are allowed, in the order of their start."""
    endpoints: list[tuple[str, Endpoint]] = []
    if options.http is not None:
        endpoints.append(("HTTPService", HttpEndpoint(health_app(server), options.http)))
    if options.metrics is not None:
        endpoints.append(("Metrics Service", HttpEndpoint(metrics_app(server), options.metrics)))
    if options.grpc is not None:
        grpc_endpoint = GrpcEndpoint(InferenceServicer(server), HealthServicer(server), options.grpc)
        endpoints.append(("GRPCInferenceService", grpc_endpoint))
    return endpoints


async def _run(server: InferenceServer, told_to_stop: asyncio.Event, options: ServerOptions) -> int:
    """Load the models, then wait for the signal, which may come while they load."""
    loading = asyncio.create_task(server.start())
    stopping = asyncio.create_task(told_to_stop.wait())
    try:
        await asyncio.wait([loading, stopping], return_when=asyncio.FIRST_COMPLETED)
        if not loading.done():
            return 0
        await loading
        await stopping
        return 0
    finally:
        for task in (loading, stopping):
            task.cancel()
        await asyncio.gather(loading, stopping, return_exceptions=True)


async def _stop(server: InferenceServer, started: Sequence[Endpoint], grace_s: float) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + grace_s
    for endpoint in reversed(started):
        await endpoint.stop(max(0.0, deadline - loop.time()))
    await server.stop(max(0.0, deadline - loop.time()))


def _listen_to_signals() -> asyncio.Event:
    told_to_stop = asyncio.Event()

    def tell(number: signal.Signals) -> None:
        if told_to_stop.is_set():
            _exit_at_once(f"{number.name} again. Exiting immediately.")
        _log.info("%s: stopping", number.name)
        told_to_stop.set()

    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, tell, number)
    return told_to_stop


def _exit_at_once(reason: str) -> NoReturn:
    # An instance's thread may be deep in a model that does not return, and a plain exit would wait for it.
    _log.error("%s", reason)
    logging.shutdown()
    os._exit(1)


def configure_logging(options: ServerOptions) -> None:
    """Send the log to standard error, one line an event."""
    sink = logging.StreamHandler(sys.stderr)
    sink.setFormatter(LineFormatter(is_iso8601=options.log_format == "ISO8601"))
    logging.basicConfig(handlers=[sink], level=logging.DEBUG if options.log_verbose else logging.INFO, force=True)
    # What uvicorn says about its own life, the endpoints say in our words; asyncio's debug lines are about itself.
    for name in ("uvicorn", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)


class LineFormatter(logging.Formatter):
    """Triton's lines: `I1121 09:30:00.123456 7 app.py:91] text`, or with an ISO 8601 time in front.

    A line break within the text is written as `\\n`: callers choose parts of it, and must not be able to forge a line.
    """

    converter = time.gmtime

    def __init__(self, *, is_iso8601: bool) -> None:
        super().__init__()
        self._is_iso8601 = is_iso8601

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the line of an event, without a trace."""
        text = record.message.replace("\r", "\\r").replace("\n", "\\n")
        origin = f"{record.process} {record.filename}:{record.lineno}] "
        micros = int(record.created % 1 * 1e6)
        if self._is_iso8601:
            return f"{self.formatTime(record, '%Y-%m-%dT%H:%M:%S')}.{micros:06d}Z {record.levelname[0]} {origin}{text}"
        return f"{record.levelname[0]}{self.formatTime(record, '%m%d %H:%M:%S')}.{micros:06d} {origin}{text}"
