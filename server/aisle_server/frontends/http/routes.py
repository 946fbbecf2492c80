"""What is asked over HTTP: is the server up, is it ready, is a model ready, and its metrics.

Source: Triton inference protocol, "Health" over HTTP; Prometheus text format.
"""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from aisle_server.backends.metric_families import MetricFamilies
from aisle_server.errors import InferenceServerError
from aisle_server.frontends.metrics import CONTENT_TYPE, render_metrics
from aisle_server.frontends.model_metrics import render_model_metrics
from aisle_server.frontends.model_version import parse_model_version
from aisle_server.frontends.status import told
from aisle_server.inference_server import InferenceServer


def health_app(server: InferenceServer) -> Starlette:
    """Return the application of the HTTP port. Yes is 200 and no is 400, both without a body."""

    async def live(_request: Request) -> Response:
        return _yes_or_no(server.is_live())

    async def ready(_request: Request) -> Response:
        return _yes_or_no(server.is_ready())

    async def model_ready(request: Request) -> Response:
        version = parse_model_version(request.path_params.get("version", ""))
        return _yes_or_no(server.is_model_ready(request.path_params["model"], version))

    return _application(
        [
            Route("/v2/health/live", live),
            Route("/v2/health/ready", ready),
            Route("/v2/models/{model}/ready", model_ready),
            Route("/v2/models/{model}/versions/{version}/ready", model_ready),
        ]
    )


def metrics_app(server: InferenceServer, model_metrics: MetricFamilies) -> Starlette:
    """Return the application of the metrics port: the server's metrics, then those that models have defined."""

    async def metrics(_request: Request) -> Response:
        return PlainTextResponse(render_metrics(server) + render_model_metrics(model_metrics), media_type=CONTENT_TYPE)

    return _application([Route("/metrics", metrics)])


def _application(routes: list[Route]) -> Starlette:
    return Starlette(routes=routes, exception_handlers={InferenceServerError: _tell, Exception: _tell})


async def _tell(_request: Request, error: Exception) -> Response:
    status, text = told(error)
    return JSONResponse({"error": text}, status_code=status.http)


def _yes_or_no(answer: bool) -> Response:
    return Response(status_code=200 if answer else 400)
