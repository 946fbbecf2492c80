"""`generate` and `generate_stream`: inference in plain JSON, the fields of an object for inputs and outputs.

Requests become those of ModelStreamInfer, so decoupled models answer too: as one JSON object, or as server-sent events.

Source: Triton, "Generate Extension"; answers and texts as tritonserver gives them.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from aisle_protocol.generated import grpc_service_pb2 as pb
from aisle_server.errors import InferenceServerError, InvalidArgumentError
from aisle_server.frontends.grpc.servicer import InferenceServicer
from aisle_server.frontends.http.body import read_body
from aisle_server.frontends.http.call import HttpCall, while_connected
from aisle_server.frontends.http.convert import parameter_values, set_parameter, taken
from aisle_server.frontends.http.json_text import parse_json_object, write_json
from aisle_server.frontends.http.tensor_json import flat_elements, to_json_elements, to_raw_contents
from aisle_server.frontends.model_version import parse_model_version
from aisle_server.frontends.status import told
from aisle_server.model_config.schema import ModelConfig, ModelInput
from aisle_server.options import HttpOptions

_log = logging.getLogger(__name__)
_FINAL_RESPONSE: Final = "triton_final_response"
_NOT_ONE_RESPONSE: Final = (
    "generate expects model to produce exactly 1 response, use generate stream for model that generates various number of"
    " responses"
)


async def generate(servicer: InferenceServicer, options: HttpOptions, request: Request) -> Response:
    """Answer with the one response of a model.

    Raises:
        InferenceServerError: The request is wrong, the model failed, or it did not give one response.
    """
    message = await _read(servicer, options, request)

    async def all_responses() -> list[bytes]:
        async with aclosing(_responses(servicer, message, request)) as responses:
            return [_json_of(each) async for each in responses]

    responses = await while_connected(request, all_responses())
    if len(responses) != 1:
        raise InvalidArgumentError(f"{_NOT_ONE_RESPONSE}, got {len(responses)}")
    return Response(responses[0], media_type="application/json")


async def generate_stream(servicer: InferenceServicer, options: HttpOptions, request: Request) -> Response:
    """Answer with an event for each response, as they come; an error behind the first of them is an event too.

    Raises:
        InferenceServerError: The request is wrong, or the model failed before it gave a response.
    """
    message = await _read(servicer, options, request)
    responses = _responses(servicer, message, request)
    try:
        first = await while_connected(request, anext(responses, None))
        begun = None if first is None else _json_of(first)
    except BaseException:
        await responses.aclose()
        raise

    async def events() -> AsyncIterator[bytes]:
        try:
            async with aclosing(responses):
                if begun is not None:
                    yield b"data: " + begun + b"\n\n"
                    async for each in responses:
                        yield b"data: " + _json_of(each) + b"\n\n"
        except Exception as error:
            if not isinstance(error, InferenceServerError):
                _log.error("generate_stream failed on a request for model '%s'", message.model_name, exc_info=error)
            yield b"data: " + write_json({"error": told(error)[1]}) + b"\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")


def decode_generate(fields: Mapping[str, Any], config: ModelConfig, version: str) -> pb.ModelInferRequest:
    """Return what a caller asks for.

    Args:
        fields: Of the JSON object: those that bear the names of inputs are tensors, `parameters` holds more of them, all others are
            parameters of the request.
        config: Of the model that the path names.
        version: As the path says; empty for the latest.

    Raises:
        InvalidArgumentError: A value is of another kind than it must be, or its elements do not make the input's shape.
    """
    message = pb.ModelInferRequest(model_name=config.name, model_version=version, id=taken(fields, "id", str, ""))
    nested = taken(fields, "parameters", dict, {})
    for name, value in {**nested, **fields}.items():
        tensor = config.input(name)
        if tensor is not None:
            shape = _shape(config, tensor, value)
            message.inputs.add(name=name, datatype=tensor.datatype, shape=shape)
            message.raw_input_contents.append(to_raw_contents(value, name, tensor.datatype, shape))
        elif name not in ("id", "parameters"):
            set_parameter(message.parameters[name], name, value)
    return message


def encode_generate(response: pb.ModelInferResponse) -> dict[str, Any]:
    """Return a response as the fields of a JSON object: an output of one element is that element, any other a flat list.

    Raises:
        InvalidArgumentError: An output cannot be JSON.
    """
    fields = parameter_values(response.parameters)
    fields.pop(_FINAL_RESPONSE, None)
    for output, raw in zip(response.outputs, response.raw_output_contents, strict=True):
        elements = to_json_elements(raw, output.name, output.datatype, output.shape)
        fields[output.name] = elements[0] if len(elements) == 1 else elements
    if response.id:
        fields["id"] = response.id
    return {**fields, "model_name": response.model_name, "model_version": response.model_version}


def _json_of(response: pb.ModelInferResponse) -> bytes:
    return write_json(encode_generate(response))


def _shape(config: ModelConfig, tensor: ModelInput, value: Any) -> tuple[int, ...]:
    """Return the shape that elements have: one dimension of any size, the batch among them, follows from their number."""
    dims = (-1, *tensor.dims) if config.is_batching else tensor.dims
    count = len(flat_elements(value, tensor.name))
    known = math.prod(dim for dim in dims if dim != -1)
    # Of a batch and another open dimension the elements are one row.
    dims = (1, *dims[1:]) if config.is_batching and dims.count(-1) > 1 else dims
    is_open = -1 in dims
    if dims.count(-1) > 1 or not count or (count % known if is_open else count != known):
        raise InvalidArgumentError(
            f"The schema can not convert input '{tensor.name}' to tensor with proper shape, got {count} elements for {list(dims)}"
        )
    return tuple(count // known if dim == -1 else dim for dim in dims)


async def _read(servicer: InferenceServicer, options: HttpOptions, request: Request) -> pb.ModelInferRequest:
    version = request.path_params.get("version", "")
    config = servicer.model_config_for_inference(request.path_params["model"], parse_model_version(version))
    body = await read_body(request, options.max_input_size)
    return decode_generate(parse_json_object(body), config, version)


class _StreamCall(HttpCall):
    """A call whose responses go into a queue, one at a time: a model does not run ahead of a slow reader."""

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        self.responses: asyncio.Queue[pb.ModelInferResponse] = asyncio.Queue(1)

    def metadata(self) -> Mapping[str, str]:
        """Return the headers, and that errors end the stream."""
        return {**super().metadata(), "triton_grpc_error": "true"}

    async def send(self, message: Any) -> None:  # type: ignore[override]
        """Hand on a response."""
        await self.responses.put(message.infer_response)


async def _responses(
    servicer: InferenceServicer, message: pb.ModelInferRequest, request: Request
) -> AsyncGenerator[pb.ModelInferResponse, None]:
    call = _StreamCall(request)

    async def one() -> AsyncIterator[pb.ModelInferRequest]:
        yield message

    answering = asyncio.ensure_future(servicer.model_stream_infer(one(), call))
    try:
        while not (answering.done() and call.responses.empty()):
            following = asyncio.ensure_future(call.responses.get())
            try:
                await asyncio.wait((answering, following), return_when=asyncio.FIRST_COMPLETED)
                if following.done() or not call.responses.empty():
                    yield await following
            finally:
                following.cancel()
        await answering
    finally:
        answering.cancel()
        await asyncio.gather(answering, return_exceptions=True)
