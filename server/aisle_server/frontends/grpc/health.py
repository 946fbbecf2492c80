"""The standard health service, for load balancers and Kubernetes: serving means that the server is ready.

As on Triton the name of a service in the request is passed over. Watch, which Triton lacks, is here too.

Source: gRPC Health Checking Protocol, `grpc.health.v1`.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from grpc_health.v1 import health_pb2

from aisle_server.errors import UnavailableError
from aisle_server.frontends.grpc.call import Call
from aisle_server.inference_server import InferenceServer

WATCH_INTERVAL_S: Final = 0.5


class HealthServicer:
    """Answers the RPCs of the health service out of an inference server."""

    def __init__(self, server: InferenceServer, watch_interval_s: float = WATCH_INTERVAL_S) -> None:
        self._server = server
        self._watch_interval_s = watch_interval_s
        self._stopping = asyncio.Event()

    def stop_accepting(self) -> None:
        """Say from now on that the server does not serve, and end every watch with that."""
        self._stopping.set()

    async def check(self, message: Any, call: Call) -> Any:
        """Tell whether the server serves now."""
        return health_pb2.HealthCheckResponse(status=self._status())

    async def watch(self, message: Any, call: Call) -> None:
        """Tell whether the server serves now, and again whenever that changes, until the caller leaves or the server stops."""
        told = None
        while True:
            is_last = self._stopping.is_set()
            if (status := self._status()) != told:
                told = status
                await call.send(health_pb2.HealthCheckResponse(status=status))
            if is_last:
                return
            try:
                async with asyncio.timeout(self._watch_interval_s):
                    await self._stopping.wait()
            except TimeoutError:
                continue

    def _status(self) -> Any:
        kinds = health_pb2.HealthCheckResponse
        try:
            serves = not self._stopping.is_set() and self._server.is_ready()
        except UnavailableError:
            serves = False
        return kinds.SERVING if serves else kinds.NOT_SERVING
