"""How much of the protocol the server does, counted from its own code: `python -m tests.support.protocol_counts`.

A field of `config.pbtxt` is honoured when reading a configuration takes it in, accepted when it is only carried along to be echoed,
and refused when a model that sets it is not loaded.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from aisle_protocol.generated import grpc_service_pb2 as rpc
from aisle_protocol.generated import model_config_pb2 as pb
from aisle_server.frontends.grpc.binding import function_name
from aisle_server.frontends.grpc.servicer import InferenceServicer
from aisle_server.model_config.pbtxt import from_message
from tests.support.triton_books import BAD_INPUTS, TEXTS

# Whoever sets one of these asks for another model than the one that would be served.
REFUSED: Final = (
    "input.is_shape_tensor",
    "output.is_shape_tensor",
    "instance_group.profile",
    "model_repository_agents.agents.name",
    "model_repository_agents.agents.parameters",
    "sequence_batching.iterative_sequence",
)
# States are carried along whole, and read all the same, but for these hints on memory.
_STATE: Final = "sequence_batching.state."
_CARRIED: Final = (
    f"{_STATE}use_same_buffer_for_input_output",
    f"{_STATE}use_growable_memory",
    "instance_group.secondary_devices.kind",  # has one value, which is the default
)


def fields(
    message: Descriptor = pb.ModelConfig.DESCRIPTOR, path: str = ""
) -> Iterator[tuple[str, list[FieldDescriptor]]]:
    """Give each field of a model configuration that holds no further ones: its path, and the way to it."""
    for field in message.fields:
        value = field.message_type
        if value is not None and value.GetOptions().map_entry:
            value = value.fields_by_name["value"].message_type
        if value is None or not value.fields or (value is field.message_type and value is message):
            yield path + field.name, [field]
        elif field.message_type.GetOptions().map_entry and len(value.fields) == 1:
            yield path + field.name, [field]  # a map to texts in a box of their own
        else:
            for name, way in fields(value, f"{path}{field.name}."):
                yield name, [field, *way]


def setting(way: list[FieldDescriptor]) -> pb.ModelConfig:
    """Return a configuration in which one field alone is set, to something else than its default."""
    config = pb.ModelConfig()
    target: Any = config
    for field in way[:-1]:
        inner = getattr(target, field.name)
        if field.message_type.GetOptions().map_entry:
            target = inner["x" if field.message_type.fields_by_name["key"].type == FieldDescriptor.TYPE_STRING else 1]
        elif field.is_repeated:
            target = inner.add()
        else:
            inner.SetInParent()
            target = inner
    last = way[-1]
    if last.message_type is not None and last.message_type.GetOptions().map_entry:
        value = last.message_type.fields_by_name["value"]
        inner = getattr(target, last.name)
        if value.message_type is not None:
            inner["x"].SetInParent()
        else:
            inner["x"] = _value(value)
    elif last.message_type is not None:
        getattr(target, last.name).SetInParent()
    elif last.is_repeated:
        getattr(target, last.name).append(_value(last))
    else:
        setattr(target, last.name, _value(last))
    return config


def _value(field: FieldDescriptor) -> Any:
    if field.type == FieldDescriptor.TYPE_ENUM:
        return field.enum_type.values[-1].number
    return {FieldDescriptor.TYPE_STRING: "x", FieldDescriptor.TYPE_BOOL: True}.get(field.type, 1)


def standing(path: str, way: list[FieldDescriptor]) -> str:
    """Return whether a field is honoured, accepted or refused."""
    if path in REFUSED:
        return "refused"
    if path in _CARRIED:
        return "accepted"
    if path.startswith(_STATE):
        return "honoured"
    carried = pb.ModelConfig.FromString(from_message(setting(way)).carried)
    return "accepted" if _holds(carried, way) else "honoured"


def _holds(message: Any, way: list[FieldDescriptor]) -> bool:
    """Whether the last field of a way is set in a message."""
    for field in way[:-1]:
        inner = getattr(message, field.name)
        if field.message_type.GetOptions().map_entry:
            message = next(iter(inner.values()), None)
        else:
            message = (inner[0] if inner else None) if field.is_repeated else inner
        if message is None:
            return False
    return any(field.name == way[-1].name for field, _ in message.ListFields())


def counts() -> dict[str, int]:
    """Return what there is of each."""
    told = [standing(path, way) for path, way in fields()]
    service = rpc.DESCRIPTOR.services_by_name["GRPCInferenceService"]
    answered = [method for method in service.methods if hasattr(InferenceServicer, function_name(method.name))]
    return {
        "RPCs": len(service.methods),
        "RPCs answered": len(answered),
        "configuration fields": len(told),
        **{f"configuration fields {each}": told.count(each) for each in ("honoured", "accepted", "refused")},
        "bad inputs tested": len(BAD_INPUTS),
        "texts tested": len(TEXTS),
    }


if __name__ == "__main__":
    for what, count in counts().items():
        print(f"{count:4} {what}")
