"""The standard health service, without a transport."""

from __future__ import annotations

import asyncio

from grpc_health.v1 import health_pb2

from aisle_server.frontends.grpc.health import HealthServicer
from tests.support.fake_call import FakeCall
from tests.support.fake_inference_server import FakeInferenceServer

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


async def test_check_says_whether_the_server_is_ready() -> None:
    """Check is SERVING while the server is ready, whatever service is named, and NOT_SERVING once it stops."""
    server = FakeInferenceServer()
    servicer = HealthServicer(server)

    async def status(service: str = "") -> int:
        answer = await servicer.check(health_pb2.HealthCheckRequest(service=service), FakeCall())
        return int(answer.status)

    assert await status() == await status("inference.GRPCInferenceService") == SERVING
    server.ready = False
    assert await status() == NOT_SERVING
    server.ready = True
    servicer.stop_accepting()
    assert await status() == NOT_SERVING


async def test_watch_tells_changes_and_nothing_else() -> None:
    """Watch tells the state at once, then each change once, and ends when the server stops."""
    server, call = FakeInferenceServer(ready=False), FakeCall()
    servicer = HealthServicer(server, watch_interval_s=0)
    watch = asyncio.create_task(servicer.watch(health_pb2.HealthCheckRequest(), call))
    for ready in (False, True, True):
        server.ready = ready
        for _ in range(20):
            await asyncio.sleep(0)
    servicer.stop_accepting()
    await watch
    assert [message.status for message in call.sent] == [NOT_SERVING, SERVING, NOT_SERVING]
