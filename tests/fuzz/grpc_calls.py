"""Calls for the gRPC door: valid requests with a few lies in them, any message of any RPC, and bytes that are no message at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st

from aisle_protocol.datatypes import DATATYPES, dtype_of
from aisle_protocol.generated import grpc_service_pb2 as pb
from aisle_protocol.raw_contents import to_raw
from tests.fuzz import vocabulary
from tests.fuzz.served_models import MODELS, FuzzedModel

SERVICE: Final = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"]
_CHANGES_MODELS: Final = frozenset({"RepositoryModelLoad", "RepositoryModelUnload"})


@dataclass(frozen=True, slots=True)
class GrpcCall:
    """One call.

    Attributes:
        rpc: Which.
        messages: As bytes; several for a stream alone.
        metadata: Beside them.
        deadline_s: When the caller stops to wait; None for a patient one.
        is_compressed: Whether the caller sends gzip.
    """

    rpc: str
    messages: tuple[bytes, ...]
    metadata: tuple[tuple[str, str], ...] = ()
    deadline_s: float | None = None
    is_compressed: bool = False


def valid_request(model: FuzzedModel, rows: int, side: int, request_id: str = "") -> pb.ModelInferRequest:
    """A request that the server answers.

    Args:
        model: Which model.
        rows: Of the batch, where the model has one.
        side: What dims of any number are.
        request_id: Of the request.
    """
    message = pb.ModelInferRequest(model_name=model.name, id=request_id)
    for each in model.inputs:
        shape = [*([rows] if model.is_batching else []), *(side if dim < 0 else dim for dim in each.dims)]
        message.inputs.add(name=each.name, datatype=each.datatype, shape=shape)
        if each.datatype == "BYTES":
            array: Any = np.full(shape, b"ab\x00", dtype=object)
        else:
            array = np.ones(shape, dtype_of(each.datatype))
        message.raw_input_contents.append(to_raw(array, each.datatype))
    return message


def _lie_of_a_shape(draw: st.DrawFn, message: Any) -> None:
    if message.inputs:
        del (tensor := draw(st.sampled_from(list(message.inputs)))).shape[:]
        tensor.shape.extend(draw(vocabulary.shapes))


def _lie_of_a_datatype(draw: st.DrawFn, message: Any) -> None:
    if message.inputs:
        draw(st.sampled_from(list(message.inputs))).datatype = draw(
            st.sampled_from(sorted(DATATYPES)) | vocabulary.texts
        )


def _other_name(draw: st.DrawFn, message: Any) -> None:
    if message.inputs:
        draw(st.sampled_from(list(message.inputs))).name = draw(vocabulary.texts)


def _other_inputs(draw: st.DrawFn, message: Any) -> None:
    match draw(st.integers(0, 2)):
        case 0 if message.inputs:
            message.inputs.add().CopyFrom(message.inputs[-1])
        case 1 if message.inputs:
            del message.inputs[draw(st.integers(0, len(message.inputs) - 1))]
        case _:
            message.inputs.add().CopyFrom(draw(messages_of(pb.ModelInferRequest.InferInputTensor.DESCRIPTOR)))


def _other_raw_contents(draw: st.DrawFn, message: Any) -> None:
    raw = message.raw_input_contents
    match draw(st.integers(0, 4)):
        case 0 if raw:
            del raw[-1]
        case 1 if raw:
            raw[-1] = raw[-1][: draw(st.integers(0, 20))]
        case 2 if raw:
            raw[-1] = draw(vocabulary.blobs)
        case 3 if raw:
            del raw[:]
        case _:
            raw.append(draw(vocabulary.blobs))


def _typed_contents(draw: st.DrawFn, message: Any) -> None:
    if message.inputs:
        tensor = draw(st.sampled_from(list(message.inputs)))
        tensor.contents.CopyFrom(draw(messages_of(pb.InferTensorContents.DESCRIPTOR)))
        if draw(st.booleans()):
            del message.raw_input_contents[:]


def _asked_outputs(draw: st.DrawFn, message: Any) -> None:
    names = [f"OUTPUT{each.name.removeprefix('INPUT')}" for each in message.inputs] or [""]
    for _ in range(draw(st.integers(1, 2))):
        output = message.outputs.add(name=draw(st.sampled_from(names) | vocabulary.texts))
        _set_parameters(draw, output.parameters)


def _parameters(draw: st.DrawFn, message: Any) -> None:
    _set_parameters(draw, message.parameters)


def _parameters_of_an_input(draw: st.DrawFn, message: Any) -> None:
    if message.inputs:
        _set_parameters(draw, draw(st.sampled_from(list(message.inputs))).parameters)


def _sequence(draw: st.DrawFn, message: Any) -> None:
    message.parameters["sequence_id"].int64_param = draw(st.integers(1, 3))
    message.parameters["sequence_start"].bool_param = draw(st.booleans())
    message.parameters["sequence_end"].bool_param = draw(st.booleans())


def _in_shared_memory(draw: st.DrawFn, message: Any) -> None:
    if message.inputs:
        parameters = draw(st.sampled_from(list(message.inputs))).parameters
        parameters["shared_memory_region"].string_param = draw(st.sampled_from(vocabulary.REGIONS))
        parameters["shared_memory_byte_size"].int64_param = draw(st.sampled_from([16, 32]) | vocabulary.int64s)
        parameters["shared_memory_offset"].int64_param = draw(vocabulary.int64s)
        del message.raw_input_contents[:]


def _other_version(draw: st.DrawFn, message: Any) -> None:
    message.model_version = draw(st.sampled_from(["1", "2", "-1", "0", "1abc"]) | vocabulary.texts)


def _set_parameters(draw: st.DrawFn, parameters: Any) -> None:
    for name in draw(st.lists(st.sampled_from(vocabulary.PARAMETERS) | vocabulary.texts, min_size=1, max_size=3)):
        parameters[name].CopyFrom(draw(messages_of(pb.InferParameter.DESCRIPTOR)))


_LIES: Final[tuple[Callable[[st.DrawFn, Any], None], ...]] = (
    _lie_of_a_shape,
    _lie_of_a_datatype,
    _other_name,
    _other_inputs,
    _other_raw_contents,
    _typed_contents,
    _asked_outputs,
    _parameters,
    _parameters_of_an_input,
    _sequence,
    _in_shared_memory,
    _other_version,
)


@st.composite
def infer_requests(draw: st.DrawFn) -> pb.ModelInferRequest:
    """Requests to a model that is there, with up to three lies in them."""
    model = draw(st.sampled_from(MODELS))
    message = valid_request(
        model, draw(st.integers(1, 9)), draw(st.integers(0, 3)), draw(st.just("") | vocabulary.texts)
    )
    for lie in draw(st.lists(st.sampled_from(_LIES), max_size=3)):
        lie(draw, message)
    return message


@st.composite
def messages_of(draw: st.DrawFn, kind: Descriptor) -> Any:
    """Messages of a type with any of its fields set to anything."""
    message = GetMessageClass(kind)()
    if kind.fields:
        for field in draw(st.lists(st.sampled_from(list(kind.fields)), unique_by=lambda each: each.name, max_size=4)):
            _fill(draw, message, field)
    return message


def _fill(draw: st.DrawFn, message: Message, field: FieldDescriptor) -> None:
    target = getattr(message, field.name)
    kind = field.message_type
    if kind is not None and kind.GetOptions().map_entry:
        value = kind.fields_by_name["value"]
        for key in draw(st.lists(_keys(field), max_size=3)):
            if value.message_type is None:
                target[key] = draw(_scalars(value))
            else:
                target[key].CopyFrom(draw(messages_of(value.message_type)))
    elif field.is_repeated:
        count = draw(st.integers(0, 3))
        target.extend(draw(messages_of(kind) if kind else _scalars(field)) for _ in range(count))
    elif kind is not None:
        target.CopyFrom(draw(messages_of(kind)))
    else:
        setattr(message, field.name, draw(_scalars(field)))


def _keys(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    key = field.message_type.fields_by_name["key"]
    if key.cpp_type != FieldDescriptor.CPPTYPE_STRING:
        return _scalars(key)
    words = vocabulary.SETTINGS if field.name == "settings" else vocabulary.PARAMETERS
    return st.sampled_from(words) | vocabulary.texts


def _scalars(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_STRING:
            return vocabulary.blobs if field.type == FieldDescriptor.TYPE_BYTES else vocabulary.texts
        case FieldDescriptor.CPPTYPE_BOOL:
            return st.booleans()
        case FieldDescriptor.CPPTYPE_INT32:
            return vocabulary.numbers(-(2**31), 2**31 - 1)
        case FieldDescriptor.CPPTYPE_UINT32:
            return vocabulary.numbers(0, 2**32 - 1)
        case FieldDescriptor.CPPTYPE_UINT64:
            return vocabulary.numbers(0, 2**64 - 1)
        case FieldDescriptor.CPPTYPE_INT64:
            return vocabulary.int64s
        case FieldDescriptor.CPPTYPE_ENUM:
            return st.sampled_from([*(each.number for each in field.enum_type.values), 999])
        case _:
            return st.floats(width=32)


@st.composite
def _other_messages(draw: st.DrawFn, rpc: str) -> Message:
    message = draw(messages_of(SERVICE.methods_by_name[rpc].input_type))
    if rpc in _CHANGES_MODELS:
        message.model_name = draw(vocabulary.changed_models)
        if rpc == "RepositoryModelLoad" and draw(st.booleans()):
            message.parameters["config"].string_param = draw(vocabulary.configs)
    elif rpc == "SystemSharedMemoryRegister":
        message.key = draw(
            st.sampled_from([vocabulary.SHARED_MEMORY_KEY, "/" + vocabulary.SHARED_MEMORY_KEY]) | vocabulary.texts
        )
        message.name = draw(st.sampled_from(vocabulary.REGIONS) | vocabulary.texts)
        message.byte_size = draw(
            st.sampled_from([64, vocabulary.SHARED_MEMORY_BYTES]) | vocabulary.numbers(0, 2**64 - 1)
        )
    elif hasattr(message, "name") and draw(st.booleans()):
        message.name = draw(st.sampled_from([each.name for each in MODELS]))
    return message


_METADATA: Final = (
    ("triton_grpc_error", "true"),
    ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    ("traceparent", "00-zz-00f067aa0ba902b7-01"),
    ("traceparent", "ff" * 400),
    ("x-forwarded", '"quotes" and \\ backslashes'),
    ("triton_reserved", "1"),
    ("grpc-accept-encoding", "gzip"),
)


@st.composite
def grpc_calls(draw: st.DrawFn) -> GrpcCall:
    """Any call: half of them inference, one in ten with bytes that were changed after they were written."""
    metadata = tuple(draw(st.lists(st.sampled_from(_METADATA), max_size=2)))
    deadline_s = draw(st.sampled_from([None, None, None, None, None, None, None, None, 0.001, 0.02]))
    is_compressed = draw(st.integers(0, 9)) == 0
    rpc = draw(st.sampled_from(["ModelInfer", "ModelStreamInfer", *(each.name for each in SERVICE.methods)]))
    if rpc in ("ModelInfer", "ModelStreamInfer"):
        most = 5 if rpc == "ModelStreamInfer" else 1
        written = [
            each.SerializeToString() for each in draw(st.lists(infer_requests(), min_size=min(1, most), max_size=most))
        ]
    else:
        written = [draw(_other_messages(rpc)).SerializeToString()]
    if draw(st.integers(0, 9)) == 0:
        written[-1] = draw(vocabulary.corrupted(written[-1]) | st.binary(max_size=64))
    return GrpcCall(rpc, tuple(written), metadata, deadline_s, is_compressed)
