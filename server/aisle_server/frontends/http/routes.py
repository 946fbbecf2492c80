"""The HTTP port: Triton's inference protocol in JSON and binary; and the metrics port.

Requests become the messages of gRPC, and the functions behind gRPC answer them.

Source: Triton inference protocol over HTTP; Prometheus text format.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from aisle_server import messages
from aisle_server.errors import InferenceServerError, UnsupportedError
from aisle_server.frontends.access import Access
from aisle_server.frontends.grpc.binding import function_name
from aisle_server.frontends.grpc.servicer import InferenceServicer
from aisle_server.frontends.http.body import accepted_coding, encoded, read_body
from aisle_server.frontends.http.call import HttpCall, while_connected
from aisle_server.frontends.http.convert import HEADER_LENGTH, decode_infer, encode_infer
from aisle_server.frontends.http.generate import generate, generate_stream
from aisle_server.frontends.http.json_text import parse_json_object, write_json
from aisle_server.frontends.http.rpcs import HTTP_RPCS, HttpRpc
from aisle_server.frontends.inflight_bytes import InflightBytes
from aisle_server.frontends.metrics import CONTENT_TYPE
from aisle_server.frontends.model_version import parse_model_version
from aisle_server.frontends.status import told
from aisle_server.inference_server import InferenceServer
from aisle_server.options import HttpOptions

_log = logging.getLogger(__name__)
_JSON: Final = "application/json"
_MODEL_PATHS: Final = ("/v2/models/{model}", "/v2/models/{model}/versions/{version}")

Endpoint = Callable[[Request], Awaitable[Response]]


def inference_app(
    server: InferenceServer,
    servicer: InferenceServicer,
    options: HttpOptions,
    inflight_bytes: InflightBytes | None = None,
) -> Starlette:
    """Return the application of the HTTP port.

    Args:
        server: Whose health is told, and whose models are asked.
        servicer: Its functions answer.
        options: Limits.
        inflight_bytes: Is charged the bodies; None for no bound on all of them together.
    """
    access = Access(options.restrictions)
    inflight = inflight_bytes or InflightBytes()

    async def live(_request: Request) -> Response:
        return _yes_or_no(server.is_live())

    async def ready(_request: Request) -> Response:
        return _yes_or_no(server.is_ready())

    async def model_ready(request: Request) -> Response:
        version = parse_model_version(request.path_params.get("version", ""))
        if not server.is_model_ready(request.path_params["model"], version):
            return _error(400, messages.MODEL_VERSION_NOT_READY)
        return _yes_or_no(True)

    async def infer(request: Request) -> Response:
        version = request.path_params.get("version", "")
        config = server.model_config_for_inference(request.path_params["model"], parse_model_version(version))
        if config.decoupled:
            raise UnsupportedError(messages.DECOUPLED_OVER_HTTP)
        call = HttpCall(request)
        with inflight.lease() as lease:
            body = await read_body(request, options.max_input_size, lease)
            message, binary = decode_infer(body, request.headers.get(HEADER_LENGTH), config, version)
            del body  # the message has its own
            try:
                answer = await while_connected(request, servicer.model_infer(message, call))
                response = await _inference_response(request, *encode_infer(answer, binary))
            except BaseException:
                await call.note_sent()
                raise
        response.background = BackgroundTask(call.note_sent)
        return response

    return _application(
        [
            Route("/v2/health/live", _guarded(live, "ServerLive", access)),
            Route("/v2/health/ready", _guarded(ready, "ServerReady", access)),
            *(Route(f"{path}/ready", _guarded(model_ready, "ModelReady", access)) for path in _MODEL_PATHS),
            *(Route(f"{path}/infer", _guarded(infer, "ModelInfer", access), methods=["POST"]) for path in _MODEL_PATHS),
            *(
                Route(
                    f"{path}/{verb}",
                    _guarded(partial(answer, servicer, options, inflight), "ModelInfer", access),
                    methods=["POST"],
                )
                for path in _MODEL_PATHS
                for verb, answer in (("generate", generate), ("generate_stream", generate_stream))
            ),
            *(
                Route(
                    path, _guarded(_endpoint(rpc, servicer, options, inflight), rpc.rpc, access), methods=[rpc.method]
                )
                for rpc in HTTP_RPCS
                for path in rpc.paths
            ),
        ]
    )


def metrics_app(sources: Sequence[Callable[[], str]]) -> Starlette:
    """Return the application of the metrics port.

    Args:
        sources: Each gives Prometheus text; no two give metrics of one name.
    """

    async def metrics(_request: Request) -> Response:
        return PlainTextResponse("".join(source() for source in sources), media_type=CONTENT_TYPE)

    return _application([Route("/metrics", metrics)])


def _guarded(endpoint: Endpoint, rpc: str, access: Access) -> Endpoint:
    guard = access.guard(rpc)
    if guard is None:
        return endpoint

    async def answer(request: Request) -> Response:
        guard(dict(request.headers.items()))
        return await endpoint(request)

    return answer


def _endpoint(rpc: HttpRpc, servicer: InferenceServicer, options: HttpOptions, inflight: InflightBytes) -> Endpoint:
    function = getattr(servicer, function_name(rpc.rpc))

    async def answer(request: Request) -> Response:
        with inflight.lease() as lease:
            body = await read_body(request, options.max_input_size, lease) if rpc.method == "POST" else b""
            message = rpc.read(request.path_params, parse_json_object(body))
            # Not while the caller is connected: what has been begun here, such as a load, is to be finished.
            value = rpc.write(await function(message, HttpCall(request)))
        return Response(status_code=200) if value is None else Response(write_json(value), media_type=_JSON)

    return answer


async def _inference_response(request: Request, body: bytes, header_length: int | None) -> Response:
    headers: dict[str, str] = {}
    if header_length is not None:
        headers[HEADER_LENGTH] = str(header_length)
    body, coding = await encoded(body, accepted_coding(request.headers.get("accept-encoding", "")))
    if coding != "identity":
        headers["Content-Encoding"] = coding
    return Response(body, headers=headers, media_type=_JSON if header_length is None else "application/octet-stream")


def _application(routes: list[Route]) -> Starlette:
    tellers: dict[Any, Any] = {
        InferenceServerError: _tell,
        HTTPException: _tell_http,
        ClientDisconnect: _tell_nobody,
        Exception: _tell,
    }
    application = Starlette(routes=routes, exception_handlers=tellers)
    application.router.redirect_slashes = False  # no route has one at its end, and Triton answers 404
    return application


async def _tell(request: Request, error: Exception) -> Response:
    status, text = told(error)
    if isinstance(error, InferenceServerError):
        _log.debug("%s %s: %d %s", request.method, request.url.path, status.http, text)
    return _error(status.http, text)


async def _tell_http(_request: Request, error: HTTPException) -> Response:
    response = _error(error.status_code, error.detail)
    response.headers.update(error.headers or {})
    return response


async def _tell_nobody(_request: Request, _error: ClientDisconnect) -> Response:
    return Response(status_code=499)


def _error(status: int, text: str) -> Response:
    return Response(write_json({"error": text}), status_code=status, media_type=_JSON)


def _yes_or_no(answer: bool) -> Response:
    return Response(status_code=200 if answer else 400)
