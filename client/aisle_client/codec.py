"""Calls as bytes and answers as records: pure, shared by the sync and the async client. Generated types stop here.

Each function returns a `Call`: what to send, and how to read what comes back. Nothing here waits for anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

from aisle_client.errors import InvalidInputError, ProtocolError
from aisle_client.responses import (
    Duration,
    InferResult,
    ModelIndex,
    ModelMetadata,
    ModelStatistics,
    Parameter,
    RequestedOutput,
    ServerMetadata,
    TensorMetadata,
)
from aisle_protocol.datatypes import datatype_of, dtype_of
from aisle_protocol.generated import grpc_service_pb2 as pb
from aisle_protocol.raw_contents import from_raw, to_raw

Answer = TypeVar("Answer")
_ResponseT = TypeVar("_ResponseT", bound=Message)

# Typed contents by datatype, for servers that do not answer in raw contents. FP16 and BF16 travel raw only.
_CONTENTS = {
    "BOOL": "bool_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    "INT64": "int64_contents",
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}


@dataclass(frozen=True, slots=True)
class Call(Generic[Answer]):
    """One call of the inference service.

    Attributes:
        method: Name of the RPC.
        body: The request message's bytes.
        decode: Reads the response message's bytes; raises `ProtocolError`.
        request_id: For errors; empty when the RPC has no id.
        is_repeatable: May the call be made again when it is not known whether the server saw it?
    """

    method: str
    body: bytes = field(repr=False)
    decode: Callable[[bytes], Answer] = field(repr=False)
    request_id: str = ""
    is_repeatable: bool = True


def server_live() -> Call[bool]:
    """Ask whether the server runs."""
    return _call("ServerLive", pb.ServerLiveRequest(), pb.ServerLiveResponse, lambda response: response.live)


def server_ready() -> Call[bool]:
    """Ask whether the server answers inference requests."""
    return _call("ServerReady", pb.ServerReadyRequest(), pb.ServerReadyResponse, lambda response: response.ready)


def model_ready(model: str, version: str) -> Call[bool]:
    """Ask whether a model is ready; an empty version stands for the one that would serve."""
    request = pb.ModelReadyRequest(name=model, version=version)
    return _call("ModelReady", request, pb.ModelReadyResponse, lambda response: response.ready)


def server_metadata() -> Call[ServerMetadata]:
    """Ask who answers."""

    def read(response: pb.ServerMetadataResponse) -> ServerMetadata:
        return ServerMetadata(response.name, response.version, tuple(response.extensions))

    return _call("ServerMetadata", pb.ServerMetadataRequest(), pb.ServerMetadataResponse, read)


def model_metadata(model: str, version: str) -> Call[ModelMetadata]:
    """Ask what goes into a model and what comes out."""

    def tensors(of: Iterable[pb.ModelMetadataResponse.TensorMetadata]) -> tuple[TensorMetadata, ...]:
        return tuple(TensorMetadata(tensor.name, tensor.datatype, tuple(tensor.shape)) for tensor in of)

    def read(response: pb.ModelMetadataResponse) -> ModelMetadata:
        return ModelMetadata(
            name=response.name,
            versions=tuple(response.versions),
            platform=response.platform,
            inputs=tensors(response.inputs),
            outputs=tensors(response.outputs),
        )

    request = pb.ModelMetadataRequest(name=model, version=version)
    return _call("ModelMetadata", request, pb.ModelMetadataResponse, read)


def model_config(model: str, version: str) -> Call[dict[str, Any]]:
    """Ask for a model's configuration, as nested dicts under config.pbtxt's names; fields at their default are left out."""
    request = pb.ModelConfigRequest(name=model, version=version)
    return _call("ModelConfig", request, pb.ModelConfigResponse, lambda response: _plain(response.config))


def model_statistics(model: str, version: str) -> Call[tuple[ModelStatistics, ...]]:
    """Ask for the figures of a model, or of all when the name is empty."""

    def read(response: pb.ModelStatisticsResponse) -> tuple[ModelStatistics, ...]:
        return tuple(_statistics(model) for model in response.model_stats)

    request = pb.ModelStatisticsRequest(name=model, version=version)
    return _call("ModelStatistics", request, pb.ModelStatisticsResponse, read)


def repository_index(ready_only: bool) -> Call[tuple[ModelIndex, ...]]:
    """Ask for every model of the repository."""

    def read(response: pb.RepositoryIndexResponse) -> tuple[ModelIndex, ...]:
        return tuple(ModelIndex(model.name, model.version, model.state, model.reason) for model in response.models)

    return _call("RepositoryIndex", pb.RepositoryIndexRequest(ready=ready_only), pb.RepositoryIndexResponse, read)


def model_infer(
    model: str,
    inputs: Mapping[str, npt.ArrayLike],
    outputs: Sequence[str | RequestedOutput] | None = None,
    *,
    version: str = "",
    request_id: str = "",
    parameters: Mapping[str, Parameter] | None = None,
) -> Call[InferResult]:
    """Ask a model.

    Args:
        model: Name of the model.
        inputs: Arrays by input name, batch dimension included; lists are taken as arrays.
        outputs: Which to answer; None for all.
        version: Empty for the one that would serve.
        request_id: Comes back with the answer and in errors.
        parameters: Parameters of the request.

    Raises:
        InvalidInputError: An input that the protocol cannot carry.
    """
    request = pb.ModelInferRequest(model_name=model, model_version=version, id=request_id)
    for name, value in inputs.items():
        array = as_array(value)
        try:
            datatype = datatype_of(array.dtype)
            raw = to_raw(array, datatype)
        except (ValueError, TypeError) as error:
            raise InvalidInputError(f"input {name!r}: {error}") from error
        request.inputs.add(name=name, datatype=datatype, shape=array.shape)
        request.raw_input_contents.append(raw)
    for output in outputs or ():
        if isinstance(output, str):
            output = RequestedOutput(output)
        tensor = request.outputs.add(name=output.name)
        if output.classification:
            tensor.parameters["classification"].int64_param = output.classification
    for key, parameter in (parameters or {}).items():
        _set_parameter(request.parameters[key], key, parameter)
    # A sequence model keeps state: asked twice, it would have seen a step twice.
    is_repeatable = "sequence_id" not in request.parameters
    return _call("ModelInfer", request, pb.ModelInferResponse, _result, request_id, is_repeatable)


def as_array(value: npt.ArrayLike) -> npt.NDArray[Any]:
    """Return an input as an array. Text and bytes become objects: NumPy's own strings drop trailing zero bytes."""
    array = np.asarray(value)
    return np.asarray(value, dtype=np.object_) if array.dtype.kind in "SU" else array


def _call(
    method: str,
    request: Message,
    response_type: type[_ResponseT],
    read: Callable[[_ResponseT], Answer],
    request_id: str = "",
    is_repeatable: bool = True,
) -> Call[Answer]:
    def decode(body: bytes) -> Answer:
        try:
            return read(response_type.FromString(body))
        except (DecodeError, ValueError, TypeError) as error:
            raise ProtocolError(f"the answer to {method} cannot be read: {error}") from error

    return Call(method, request.SerializeToString(), decode, request_id, is_repeatable)


def _result(response: pb.ModelInferResponse) -> InferResult:
    raws = list(response.raw_output_contents)
    if raws and len(raws) != len(response.outputs):
        raise ValueError(f"{len(raws)} raw contents came for {len(response.outputs)} outputs")
    outputs = {
        tensor.name: from_raw(raws[index], tensor.datatype, tensor.shape) if raws else _typed_contents(tensor)
        for index, tensor in enumerate(response.outputs)
    }
    parameters = {key: _parameter(parameter) for key, parameter in response.parameters.items()}
    return InferResult(outputs, response.model_name, response.model_version, response.id, parameters)


def _typed_contents(tensor: pb.ModelInferResponse.InferOutputTensor) -> npt.NDArray[Any]:
    if tensor.datatype not in _CONTENTS:
        raise ValueError(f"output {tensor.name!r} of datatype {tensor.datatype!r} came without raw contents")
    elements = getattr(tensor.contents, _CONTENTS[tensor.datatype])
    return np.array(elements, dtype=dtype_of(tensor.datatype)).reshape(tuple(tensor.shape))


def _set_parameter(target: pb.InferParameter, key: str, value: Parameter) -> None:
    if isinstance(value, bool):  # before int: a bool is one
        target.bool_param = value
    elif isinstance(value, int):
        if not -(2**63) <= value < 2**64:
            raise InvalidInputError(f"parameter {key!r} is {value}; expected at most 64 bits")
        if value < 2**63:
            target.int64_param = value
        else:
            target.uint64_param = value
    elif isinstance(value, float):
        target.double_param = value
    elif isinstance(value, str):
        target.string_param = value
    else:
        raise InvalidInputError(f"parameter {key!r} is a {type(value).__name__}; expected bool, int, float or str")


def _parameter(parameter: pb.InferParameter) -> Parameter:
    choice = parameter.WhichOneof("parameter_choice")
    value: Parameter = getattr(parameter, choice) if choice else ""
    return value


def _statistics(model: pb.ModelStatistics) -> ModelStatistics:
    stages = ("success", "fail", "queue", "compute_input", "compute_infer", "compute_output", "cache_hit", "cache_miss")
    return ModelStatistics(
        name=model.name,
        version=model.version,
        last_inference_ms=model.last_inference,
        inference_count=model.inference_count,
        execution_count=model.execution_count,
        durations={stage: _duration(getattr(model.inference_stats, stage)) for stage in stages},
        executions={batch.batch_size: _duration(batch.compute_infer) for batch in model.batch_stats},
    )


def _duration(duration: pb.StatisticDuration) -> Duration:
    return Duration(duration.count, duration.ns)


def _plain(message: Message) -> dict[str, Any]:
    # Not json_format: it writes 64-bit integers as text, and the dims of a tensor are 64-bit.
    return {descriptor.name: _plain_field(descriptor, value) for descriptor, value in message.ListFields()}


def _plain_field(descriptor: FieldDescriptor, value: Any) -> Any:
    if descriptor.message_type is not None and descriptor.message_type.GetOptions().map_entry:
        entry = descriptor.message_type.fields_by_name["value"]
        return {key: _plain_value(entry, value[key]) for key in value}
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
        return _plain_value(descriptor, value)
    return [_plain_value(descriptor, element) for element in value]


def _plain_value(descriptor: FieldDescriptor, value: Any) -> Any:
    if isinstance(value, Message):
        return _plain(value)
    if descriptor.enum_type is not None:
        known = descriptor.enum_type.values_by_number.get(value)
        return known.name if known else value
    return value
