"""Inference messages <-> the server's own requests and responses. Every request passes here, so each field is taken once.

Source: Triton inference protocol; order of checks and error texts as Triton has them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from aisle_protocol.generated import grpc_service_pb2 as pb
from aisle_protocol.raw_contents import to_raw
from aisle_server import messages
from aisle_server.errors import InternalError, InvalidArgumentError
from aisle_server.frontends.grpc.parameters import (
    NO_PARAMETERS,
    decode_class_count,
    decode_request_parameters,
    encode_parameter,
)
from aisle_server.frontends.grpc.placement import REGION, Placement, decode_placement
from aisle_server.frontends.grpc.tensor_data import Origin, decode_raw, decode_typed
from aisle_server.frontends.shared_memory import SharedMemoryRegions
from aisle_server.inference import InferenceRequest, InferenceResponse, Tensor
from aisle_server.model_config.schema import ModelConfig

# What one message of gRPC can hold, whatever the endpoint's own limit.
_MESSAGE_LIMIT_BYTES: Final = 2**31 - 1


def decode_request(
    message: pb.ModelInferRequest,
    config: ModelConfig,
    version: int,
    deadline_ns: int | None,
    regions: SharedMemoryRegions | None = None,
) -> InferenceRequest:
    """Return what a caller asks for. Tensors of fixed-size elements are views of the message's bytes.

    What depends on the model's inputs and outputs is not checked here.

    Args:
        message: As it came.
        config: Of the model that it names.
        version: As parsed from the message.
        deadline_ns: Monotonic time after which nobody waits for the answer.
        regions: Shared memory that inputs may lie in; None for none.

    Raises:
        InvalidArgumentError: A parameter, or the data of a tensor, is not as the protocol has it.
        NotFoundError: A tensor lies in shared memory that nobody registered.
    """
    request_id = message.id
    wire_parameters = message.parameters
    parameters = decode_request_parameters(wire_parameters) if wire_parameters else NO_PARAMETERS
    requested = tuple([output.name for output in message.outputs])
    origin = Origin(config, f"[request id: {request_id or '<id_unknown>'}] ", message.inputs, requested)
    if len(set(requested)) != len(requested):
        raise InvalidArgumentError(messages.duplicate_output(origin.log_prefix, _first_duplicate(requested)))
    inputs = _decode_inputs(message, origin, regions or SharedMemoryRegions())
    batch_size = 1
    if inputs and config.is_batching:
        shape = next(iter(inputs.values())).data.shape
        batch_size = shape[0] if shape else 1
    return InferenceRequest(
        model_name=config.name,
        inputs=inputs,
        model_version=version,
        id=request_id,
        requested_outputs=requested,
        parameters=parameters.passed_on,
        priority=parameters.priority,
        timeout_us=parameters.timeout_us,
        deadline_ns=deadline_ns,
        batch_size=batch_size,
        sequence_id=parameters.sequence_id,
        sequence_start=parameters.sequence_start,
        sequence_end=parameters.sequence_end,
    )


def decode_class_counts(message: pb.ModelInferRequest) -> Mapping[str, int]:
    """Return, for each requested output that shall be told as classes, how many.

    Raises:
        InvalidArgumentError: No positive number, or the output shall also go into shared memory.
    """
    counts = {output.name: decode_class_count(output.parameters) for output in message.outputs if output.parameters}
    return {name: count for name, count in counts.items() if count}


def decode_placements(message: pb.ModelInferRequest, regions: SharedMemoryRegions) -> Mapping[str, Placement]:
    """Return, for each requested output that shall go into shared memory, where.

    Raises:
        InvalidArgumentError: Outside of a region.
        NotFoundError: A region that nobody registered.
    """
    placements = {
        output.name: decode_placement(output.name, output.parameters, regions)
        for output in message.outputs
        if output.parameters
    }
    return {name: placement for name, placement in placements.items() if placement is not None}


def encode_response(
    response: InferenceResponse, outputs: Iterable[Tensor], placements: Mapping[str, Placement] | None = None
) -> pb.ModelInferResponse:
    """Return an answer as the protocol's message, all data raw.

    Args:
        response: What the model answered.
        outputs: Its outputs, some perhaps turned into classes.
        placements: Those that go into shared memory; their raw contents are empty.

    Raises:
        InvalidArgumentError: The outputs do not fit into one message.
        InternalError: The model gave an array that is not of its output's datatype, or an output does not fit into its memory.
    """
    message = pb.ModelInferResponse(
        model_name=response.model_name, model_version=str(response.model_version), id=response.id
    )
    for name, value in response.parameters.items():
        message.parameters[name].CopyFrom(encode_parameter(value))
    add_output = message.outputs.add
    add_raw = message.raw_output_contents.append
    byte_size = 0
    for tensor in outputs:
        if tensor.data.nbytes > _MESSAGE_LIMIT_BYTES and tensor.name not in (placements or ()):
            # Told before it is copied.
            raise InvalidArgumentError(messages.response_too_large(tensor.data.nbytes, _MESSAGE_LIMIT_BYTES))
        try:
            raw = to_raw(tensor.data, tensor.datatype)
        except (ValueError, TypeError) as error:
            raise InternalError(
                f"output '{tensor.name}' of model '{response.model_name}' is not {tensor.datatype}: {error}"
            ) from error
        add_output(name=tensor.name, datatype=tensor.datatype, shape=tensor.data.shape)
        if placements and (placement := placements.get(tensor.name)) is not None:
            placement.write(tensor.name, raw)
            raw = b""
        byte_size += len(raw)
        add_raw(raw)
    if byte_size > _MESSAGE_LIMIT_BYTES:
        raise InvalidArgumentError(messages.response_too_large(byte_size, _MESSAGE_LIMIT_BYTES))
    return message


def _decode_inputs(message: pb.ModelInferRequest, origin: Origin, regions: SharedMemoryRegions) -> dict[str, Tensor]:
    tensors = message.inputs
    names = [tensor.name for tensor in tensors]
    if len(set(names)) != len(names):
        raise InvalidArgumentError(messages.duplicate_input(origin.log_prefix, _first_duplicate(names)))
    raw_contents = message.raw_input_contents
    raw_count = len(raw_contents)
    raw_index = 0
    inputs: dict[str, Tensor] = {}
    for name, tensor in zip(names, tensors, strict=True):
        datatype = tensor.datatype
        placement = _decode_input_placement(tensor, name, origin, regions) if tensor.parameters else None
        if placement is not None:
            array = decode_raw(placement.read(), name, datatype, tensor.shape, origin)
        elif tensor.HasField("contents"):
            if raw_count:
                raise InvalidArgumentError(messages.contents_with_raw_contents(name, origin.config.name))
            array = decode_typed(tensor.contents, name, datatype, tensor.shape, origin)
        elif raw_index < raw_count:
            # Every look at the field copies the bytes, so there is one look.
            array = decode_raw(raw_contents[raw_index], name, datatype, tensor.shape, origin)
            raw_index += 1
        else:
            raise InvalidArgumentError(messages.no_data(name, origin.config.name))
        inputs[name] = Tensor(name, datatype, array)
    return inputs


def _decode_input_placement(
    tensor: pb.ModelInferRequest.InferInputTensor, name: str, origin: Origin, regions: SharedMemoryRegions
) -> Placement | None:
    if REGION in tensor.parameters and tensor.HasField("contents"):
        raise InvalidArgumentError(messages.contents_with_shared_memory(name, origin.config.name))
    return decode_placement(name, tensor.parameters, regions)


def _first_duplicate(names: Sequence[str]) -> str:
    return next(name for index, name in enumerate(names) if name in names[:index])
