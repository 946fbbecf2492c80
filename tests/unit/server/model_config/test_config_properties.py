"""Model configurations of every form: whatever they say, they are understood or refused, and what is understood stays the same."""

from __future__ import annotations

import json

import pytest
from google.protobuf import json_format, text_format
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from aisle_protocol.generated import model_config_pb2 as pb
from aisle_server.errors import InvalidArgumentError
from aisle_server.model_config.json_form import parse_json_config
from aisle_server.model_config.message import to_message
from aisle_server.model_config.pbtxt import from_message, parse_config
from aisle_server.model_config.schema import ModelConfig
from aisle_server.model_config.validation import validate_config
from tests.fuzz.grpc_calls import messages_of
from tests.fuzz.vocabulary import json_junk

_MESSAGES = messages_of(pb.ModelConfig.DESCRIPTOR)
_MANY = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def _is_same(one: ModelConfig, other: ModelConfig) -> bool:
    return one == other or repr(one) == repr(other)  # NaN is not equal to itself


def _understood(message: pb.ModelConfig) -> ModelConfig | None:
    try:
        return from_message(message)
    except InvalidArgumentError:
        return None


@_MANY
@given(_MESSAGES)
def test_message_text_and_schema_are_one(message: pb.ModelConfig) -> None:
    """A message and its text mean the same, and what was understood is not changed by writing it out and reading it again."""
    text = text_format.MessageToString(message)
    config = _understood(message)
    if config is None:
        with pytest.raises(InvalidArgumentError):
            parse_config(text)
        return
    assert _is_same(parse_config(text), config)
    # What is only echoed is known by the tensor's name, and a configuration with two of one name is not served.
    assume(all(len({each.name for each in tensors}) == len(tensors) for tensors in (message.input, message.output)))
    written = to_message(config)
    assert _is_same(from_message(written), config)
    assert _is_same(parse_config(text_format.MessageToString(written)), config)
    assert _is_same(parse_json_config(json_format.MessageToJson(written, preserving_proto_field_name=True)), config)


@_MANY
@given(_MESSAGES)
def test_any_configuration_is_valid_or_refused(message: pb.ModelConfig) -> None:
    """Validation has no third way, whatever fields are there and whatever they hold."""
    config = _understood(message)
    if config is not None:
        try:
            validate_config(config)
        except InvalidArgumentError:
            return


@_MANY
@given(
    st.recursive(
        json_junk, lambda each: st.dictionaries(st.sampled_from(sorted(pb.ModelConfig.DESCRIPTOR.fields_by_name)), each)
    )
)
def test_any_json_is_understood_or_refused(value: object) -> None:
    """Values of the wrong kind, numbers out of range and half characters, too."""
    try:
        parse_json_config(json.dumps(value))
    except InvalidArgumentError:
        return
