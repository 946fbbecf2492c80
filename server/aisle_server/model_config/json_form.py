"""ModelConfig to the JSON that Triton hands to python models, and back.

Protobuf's own JSON differs from it: there a 64-bit number is a string, and here `dims` are numbers that a model can compute with.

Source: Triton's python backend, `model_config` in the arguments of `initialize`, and `ModelConfig.as_dict`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from google.protobuf import json_format
from google.protobuf.message import Message

from aisle_protocol.generated import model_config_pb2 as pb
from aisle_server.errors import InvalidArgumentError
from aisle_server.model_config.message import to_message
from aisle_server.model_config.pbtxt import MAX_CONFIG_BYTES, from_message
from aisle_server.model_config.schema import ModelConfig

_LONGEST_ERROR_TEXT: Final = 400


def to_json_form(config: ModelConfig) -> dict[str, Any]:
    """Return a model configuration as JSON values, by Triton's field names.

    Fields that hold a plain value or a list are always there, messages only when they are set: a configuration without inputs has
    `"input": []`, and one without a dynamic batcher has no `"dynamic_batching"`.
    """
    return message_fields(to_message(config))


def from_json_form(fields: Mapping[str, Any]) -> ModelConfig:
    """Return the model configuration that JSON values hold; undoes `to_json_form`.

    Raises:
        InvalidArgumentError: An unknown field, or a value of another kind than the field's.
    """
    try:
        return from_message(json_format.ParseDict(dict(fields), pb.ModelConfig()))
    except json_format.ParseError as error:
        raise InvalidArgumentError(f"not a model configuration: {error}") from None


def parse_json_config(text: str) -> ModelConfig:
    """Read a model configuration that a caller wrote as JSON. 64-bit numbers may be strings, as protobuf writes them.

    Args:
        text: Protobuf's JSON of a ModelConfig, at most MAX_CONFIG_BYTES.

    Raises:
        InvalidArgumentError: Too long, not JSON, nested too deeply, an unknown field, or a value of another kind than the field's.
    """
    if len(text) > MAX_CONFIG_BYTES or len(text.encode(errors="replace")) > MAX_CONFIG_BYTES:
        raise InvalidArgumentError(f"model configuration is too long; expected at most {MAX_CONFIG_BYTES} bytes")
    try:
        return from_message(json_format.Parse(text, pb.ModelConfig()))
    except (json_format.ParseError, ValueError, RecursionError) as error:
        raise InvalidArgumentError(f"not a model configuration: {str(error)[:_LONGEST_ERROR_TEXT]}") from None


def message_fields(message: Message) -> dict[str, Any]:
    """Return a message as JSON values: numbers are numbers, enumerations their names."""
    return {
        field.name: _field(field, getattr(message, field.name))
        for field in message.DESCRIPTOR.fields
        if not field.has_presence or message.HasField(field.name)
    }


def _field(field: Any, value: Any) -> Any:
    kind = field.message_type
    if kind is not None and kind.GetOptions().map_entry:
        values = kind.fields_by_name["value"]
        return {str(key): _value(values, each) for key, each in value.items()}
    # What has a length and is no text is a repeated field. `FieldDescriptor.label` would say so too, with a deprecation warning.
    if isinstance(value, Collection) and not isinstance(value, str | bytes):
        return [_value(field, each) for each in value]
    return _value(field, value)


def _value(field: Any, value: Any) -> Any:
    if field.message_type is not None:
        return message_fields(value)
    if field.enum_type is not None:
        return field.enum_type.values_by_number[value].name
    return value
