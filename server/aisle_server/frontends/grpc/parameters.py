"""Parameters of requests, requested outputs and responses: the protocol's messages <-> plain values.

Source: Triton inference protocol, "Parameters Extension".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from aisle_protocol.generated import grpc_service_pb2 as pb
from aisle_server import messages
from aisle_server.errors import InvalidArgumentError, UnsupportedError
from aisle_server.inference import ParameterValue, SequenceId

_RESERVED_PREFIX: Final = "triton_"
EMPTY_FINAL_RESPONSE: Final = "triton_enable_empty_final_response"
_FLAGS: Final = frozenset({"sequence_start", "sequence_end", EMPTY_FINAL_RESPONSE})
# What a control tensor of a model can hold, by Triton's measure.
_LONGEST_SEQUENCE_ID_BYTES: Final = 128
_LARGEST_INT64: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class RequestParameters:
    """What a request says beside its tensors.

    Attributes:
        priority: Queue level; 0 for the model's default.
        timeout_us: Longest wait in the queue; 0 for the model's default.
        passed_on: What is the model's business.
        sequence_id: Of the sequence that the request belongs to; 0 or empty for none.
        sequence_start: It is the first of its sequence.
        sequence_end: It is the last of its sequence.
    """

    priority: int = 0
    timeout_us: int = 0
    passed_on: Mapping[str, ParameterValue] = field(default_factory=dict)
    sequence_id: SequenceId = 0
    sequence_start: bool = False
    sequence_end: bool = False


NO_PARAMETERS = RequestParameters()


def decode_request_parameters(parameters: Mapping[str, pb.InferParameter]) -> RequestParameters:
    """Return what a request's parameters say.

    Raises:
        InvalidArgumentError: A reserved name, a value of the wrong type or out of range.
        UnsupportedError: A sequence id that is longer than what a control tensor can hold.
    """
    priority = timeout_us = 0
    sequence_id: SequenceId = 0
    flags: set[str] = set()
    passed_on: dict[str, ParameterValue] = {}
    for name, parameter in parameters.items():
        choice = parameter.WhichOneof("parameter_choice")
        if name == "priority":
            priority = _priority(parameter, choice)
        elif name == "timeout":
            timeout_us = _timeout_us(parameter, choice)
        elif name == "sequence_id":
            sequence_id = _sequence_id(parameter, choice)
        elif name in _FLAGS:
            if choice != "bool_param":
                raise InvalidArgumentError(messages.parameter_type(name, "bool_param"))
            if parameter.bool_param:
                flags.add(name)
        elif name.startswith(_RESERVED_PREFIX):
            raise InvalidArgumentError(messages.reserved_parameter(name))
        elif choice in ("bool_param", "int64_param", "string_param", "double_param"):
            passed_on[name] = getattr(parameter, choice)
        else:
            raise InvalidArgumentError(
                messages.parameter_type(name, "int64_param, bool_param, string_param, or double_param")
            )
    return RequestParameters(
        priority, timeout_us, passed_on, sequence_id, "sequence_start" in flags, "sequence_end" in flags
    )


def _sequence_id(parameter: pb.InferParameter, choice: str | None) -> SequenceId:
    if choice == "int64_param":
        return (
            parameter.int64_param % 2**64
        )  # a number of 64 bits without a sign, whose upper half came as negative ones
    if choice != "string_param":
        raise InvalidArgumentError(messages.parameter_type("sequence_id", "int64_param or string_param"))
    size = len(parameter.string_param.encode())
    if size > _LONGEST_SEQUENCE_ID_BYTES:
        raise UnsupportedError(f"{messages.SEQUENCE_ID_TOO_LONG}, got {size} bytes")
    return parameter.string_param


def _priority(parameter: pb.InferParameter, choice: str | None) -> int:
    if choice == "int64_param":
        if parameter.int64_param < 0:
            raise InvalidArgumentError(messages.PRIORITY_NEGATIVE)
        return parameter.int64_param
    if choice == "uint64_param":
        return parameter.uint64_param
    raise InvalidArgumentError(messages.parameter_type("priority", "int64_param or uint64_param"))


def _timeout_us(parameter: pb.InferParameter, choice: str | None) -> int:
    if choice != "int64_param":
        raise InvalidArgumentError(messages.parameter_type("timeout", "int64_param"))
    if parameter.int64_param < 0:
        # Triton would read it as an unsigned number: 584,000 years.
        raise InvalidArgumentError(f"invalid value for 'timeout', got {parameter.int64_param}, expected value >= 0.")
    return parameter.int64_param


def decode_class_count(parameters: Mapping[str, pb.InferParameter]) -> int:
    """Return how many classes a requested output shall tell, 0 for the tensor itself.

    Raises:
        InvalidArgumentError: No positive number, or the output shall also go into shared memory.
    """
    if "classification" not in parameters:
        return 0
    parameter = parameters["classification"]
    if parameter.WhichOneof("parameter_choice") != "int64_param":
        raise InvalidArgumentError(messages.CLASSIFICATION_TYPE)
    if parameter.int64_param <= 0:
        raise InvalidArgumentError(messages.CLASSIFICATION_NOT_POSITIVE)
    if "shared_memory_region" in parameters:
        raise InvalidArgumentError(messages.CLASSIFICATION_WITH_SHARED_MEMORY)
    return parameter.int64_param


def encode_parameter(value: ParameterValue) -> pb.InferParameter:
    """Return a value that a model has set as the protocol's message."""
    # A bool is an int to Python, so it is asked for first.
    if isinstance(value, bool):
        return pb.InferParameter(bool_param=value)
    if isinstance(value, int):
        return pb.InferParameter(uint64_param=value) if value > _LARGEST_INT64 else pb.InferParameter(int64_param=value)
    if isinstance(value, float):
        return pb.InferParameter(double_param=value)
    return pb.InferParameter(string_param=value)
