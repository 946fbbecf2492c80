"""The HTTP routes, without a socket."""

from __future__ import annotations

import pytest

from aisle_server.backends.metric_families import MetricFamilies
from aisle_server.errors import UnavailableError
from aisle_server.frontends.http.routes import health_app, metrics_app
from tests.support.asgi import ask
from tests.support.fake_inference_server import FakeInferenceServer


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v2/health/live", 200),
        ("/v2/health/ready", 400),
        ("/v2/models/identity/ready", 200),
        ("/v2/models/identity/versions/3/ready", 200),
        ("/v2/models/identity/versions/4/ready", 400),
        ("/v2/models/nope/ready", 400),
        ("/v2/nope", 404),
        ("/metrics", 404),
    ],
)
async def test_yes_is_200_and_no_is_400(path: str, status: int) -> None:
    """Health is told by the status alone, as probes read it."""
    answer = await ask(health_app(FakeInferenceServer(ready=False)), path)
    assert answer.status == status
    assert status == 404 or answer.body == b""


async def test_a_wrong_version_is_told_as_json() -> None:
    """An error has its HTTP status, and its text as JSON."""
    answer = await ask(health_app(FakeInferenceServer()), "/v2/models/identity/versions/x/ready")
    assert answer.status == 400
    assert answer.body.startswith(b'{"error":"failed to get model version from specified version string \'x\'')


async def test_an_exiting_server_is_not_live() -> None:
    """A server that refuses to say whether it lives is 503."""

    class Exiting(FakeInferenceServer):
        def is_live(self) -> bool:
            raise UnavailableError("Server exiting")

    answer = await ask(health_app(Exiting()), "/v2/health/live")
    assert (answer.status, answer.body) == (503, b'{"error":"Server exiting"}')


async def test_health_only_answers_gets() -> None:
    """Another method than GET or HEAD is refused."""
    assert (await ask(health_app(FakeInferenceServer()), "/v2/health/live", "POST")).status == 405


async def test_metrics_are_prometheus_text() -> None:
    """The metrics port gives the metrics, in Prometheus' text format."""
    answer = await ask(metrics_app(FakeInferenceServer(), MetricFamilies()), "/metrics")
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert b'nv_inference_count{model="identity",version="3"} 0\n' in answer.body
