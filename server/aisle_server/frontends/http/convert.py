"""Inference over HTTP <-> the protocol's messages: a JSON header, and behind it the tensors that came, or go, in binary.

The messages are those of gRPC, so that both doors read parameters, tensors and shared memory with the same code and the same words;
binary tensors pay for that with one copy.

Source: Triton inference protocol, "Inference" over HTTP, "Binary Tensor Data Extension" and "Raw Binary Request".
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from aisle_protocol.datatypes import DATATYPES, element_size_bytes
from aisle_protocol.generated import grpc_service_pb2 as pb
from aisle_server import messages
from aisle_server.errors import InvalidArgumentError
from aisle_server.frontends.grpc.placement import REGION
from aisle_server.frontends.http.json_text import kind_of, parse_json_object, write_json
from aisle_server.frontends.http.tensor_json import to_json_elements, to_raw_contents
from aisle_server.model_config.schema import ModelConfig

HEADER_LENGTH: Final = "Inference-Header-Content-Length"
# As other error texts about a request begin; a raw request has no id.
_NO_ID: Final = "[request id: <id_unknown>] "
_INT64: Final = range(-(2**63), 2**63)
_UINT64: Final = range(2**64)


@dataclass(frozen=True, slots=True)
class BinaryOutputs:
    """Which outputs go in binary.

    Attributes:
        by_default: Those of which the request says nothing.
        by_name: Those of which it does.
        elsewhere: Those that go into shared memory, and not into the body at all.
    """

    by_default: bool = False
    by_name: Mapping[str, bool] = field(default_factory=dict)
    elsewhere: frozenset[str] = frozenset()

    def __contains__(self, name: object) -> bool:
        return self.by_name.get(str(name), self.by_default)


def decode_infer(
    body: bytes, header_length: str | None, config: ModelConfig, version: str
) -> tuple[pb.ModelInferRequest, BinaryOutputs]:
    """Return what a caller asks for.

    Args:
        body: JSON, and behind it the binary tensors in the order of the inputs.
        header_length: Bytes of the JSON, as the header of that name says; None when all is JSON, 0 when the body is one raw tensor.
        config: Of the model that the path names.
        version: As the path says; empty for the latest.

    Raises:
        InvalidArgumentError: Not as the protocol has it. What depends on the model is not checked here, nor what gRPC checks too.
    """
    message = pb.ModelInferRequest(model_name=config.name, model_version=version)
    length = len(body) if header_length is None else _header_length(header_length, len(body))
    if header_length is not None and length == 0:
        _add_raw_tensor(message, body, config)
        return message, BinaryOutputs(by_default=True)
    fields = parse_json_object(body[:length])
    message.id = taken(fields, "id", str, "")
    parameters = taken(fields, "parameters", dict, {})
    by_default = taken(parameters, "binary_data_output", bool, False)
    _set_parameters(message.parameters, parameters, {"binary_data_output"})
    binary = memoryview(body)[length:]
    for each in _objects(fields, "inputs"):
        binary = binary[_add_input(message, each, binary) :]
    if binary:
        raise InvalidArgumentError(messages.too_much_binary_data(config.name))
    by_name: dict[str, bool] = {}
    for each in _objects(fields, "outputs") if "outputs" in fields else ():
        output = message.outputs.add(name=_name(each, "outputs"))
        parameters = taken(each, "parameters", dict, {})
        if "binary_data" in parameters:
            by_name[output.name] = taken(parameters, "binary_data", bool, False)
        _set_parameters(output.parameters, parameters, {"binary_data"})
    elsewhere = frozenset(output.name for output in message.outputs if REGION in output.parameters)
    return message, BinaryOutputs(by_default, by_name, elsewhere)


def encode_infer(message: pb.ModelInferResponse, binary: BinaryOutputs) -> tuple[bytes, int | None]:
    """Return an answer as a body.

    Returns:
        The body, and how many bytes of it are JSON; None when all are.

    Raises:
        InvalidArgumentError: An output that cannot be JSON was not asked for in binary.
    """
    fields: dict[str, Any] = {"id": message.id} if message.id else {}
    fields |= {"model_name": message.model_name, "model_version": message.model_version}
    if message.parameters:
        fields["parameters"] = parameter_values(message.parameters)
    pieces: list[bytes] = []
    outputs: list[dict[str, Any]] = []
    for output, raw in zip(message.outputs, message.raw_output_contents, strict=True):
        described: dict[str, Any] = {"name": output.name, "datatype": output.datatype, "shape": list(output.shape)}
        if output.name not in binary.elsewhere:
            if output.name in binary:
                described["parameters"] = {"binary_data_size": len(raw)}
                pieces.append(raw)
            else:
                described["data"] = to_json_elements(raw, output.name, output.datatype, output.shape)
        outputs.append(described)
    header = write_json({**fields, "outputs": outputs})
    return b"".join((header, *pieces)), len(header) if pieces else None


def _header_length(text: str, byte_size: int) -> int:
    # Few digits, so that nobody computes with thousands of them.
    length = int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else -1
    if not 0 <= length <= byte_size:
        raise InvalidArgumentError(messages.header_length_out_of_range(text[:32], byte_size))
    return length


def _add_raw_tensor(message: pb.ModelInferRequest, body: bytes, config: ModelConfig) -> None:
    """Take the whole body for the one input of a model: a row of it, whose one open dimension follows from the body's length."""
    if len(config.inputs) != 1:
        raise InvalidArgumentError(
            f"{_NO_ID}Raw request must only have 1 input (found 1) to be deduced but got {len(config.inputs)} inputs in"
            f" '{config.name}' model configuration"
        )
    tensor = config.inputs[0]
    element_bytes = element_size_bytes(tensor.datatype)
    known = math.prod(dim for dim in tensor.dims if dim >= 0)
    if element_bytes is None:
        count = 1
        body = struct.pack("<I", len(body)) + body
    else:
        count = len(body) // element_bytes
    if element_bytes is None and known != 1:
        raise InvalidArgumentError(
            f"{_NO_ID}For BYTE datatype raw input '{tensor.name}', the model must have input shape [1]"
        )
    if sum(dim < 0 for dim in tensor.dims) > 1:
        raise InvalidArgumentError(
            f"{_NO_ID}The shape of the raw input '{tensor.name}' can not be deduced because there are more than one variable-sized"
            " dimension"
        )
    dims = [dim if dim >= 0 else count // max(known, 1) for dim in tensor.dims]
    message.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=[1, *dims] if config.is_batching else dims)
    message.raw_input_contents.append(body)


def _add_input(message: pb.ModelInferRequest, fields: Mapping[str, Any], binary: memoryview) -> int:
    """Add one input, and return how many of the binary bytes are its own."""
    name = _name(fields, "inputs")
    datatype = taken(fields, "datatype", str)
    shape = taken(fields, "shape", list)
    if not all(type(dim) is int and dim in _INT64 for dim in shape):
        raise InvalidArgumentError(
            "Unable to parse 'shape': attempt to access JSON non-unsigned-integer as unsigned-integer,"
            f" input '{name}' has one that is no array of integers"
        )
    if datatype not in DATATYPES:
        raise InvalidArgumentError(f"invalid datatype for input {name}, got '{datatype}'")
    tensor = message.inputs.add(name=name, datatype=datatype, shape=shape)
    parameters = taken(fields, "parameters", dict, {})
    _set_parameters(tensor.parameters, parameters, {"binary_data_size"})
    size: int | None = taken(parameters, "binary_data_size", int, None)
    given = [
        text
        for text, is_given in (
            ("'data'", "data" in fields),
            ("'binary_data_size'", size is not None),
            ("'shared_memory_region'", REGION in parameters),
        )
        if is_given
    ]
    if len(given) != 1:
        raise InvalidArgumentError(messages.not_one_way_of_data(name, given))
    if REGION in parameters:
        return 0
    if size is None:
        message.raw_input_contents.append(to_raw_contents(fields["data"], name, datatype, shape))
        return 0
    if size < 0:
        raise InvalidArgumentError(
            "Unable to parse 'binary_data_size': attempt to access JSON non-unsigned-integer as unsigned-integer,"
            f" got {size} for input '{name}'"
        )
    if size > len(binary):
        missing = size - len(binary)
        raise InvalidArgumentError(messages.too_little_binary_data(name, message.model_name, missing))
    message.raw_input_contents.append(bytes(binary[:size]))
    return size


def _set_parameters(target: Any, values: Mapping[str, Any], ours: set[str]) -> None:
    for name, value in values.items():
        if name not in ours:
            set_parameter(target[name], name, value)


def set_parameter(target: Any, name: str, value: Any) -> None:
    """Write a JSON value into a parameter of a message.

    Raises:
        InvalidArgumentError: Neither a boolean, nor an integer of 64 bits, nor a number, nor a string.
    """
    if isinstance(value, bool):
        target.bool_param = value
    elif isinstance(value, int) and value in _INT64:
        target.int64_param = value
    elif name == "sequence_id" and isinstance(value, int) and value in _UINT64:
        target.int64_param = value - 2**64  # as gRPC, which has no other place for it
    elif isinstance(value, int) and value in _UINT64:
        target.uint64_param = value
    elif isinstance(value, float):
        target.double_param = value
    elif isinstance(value, str) and _is_unicode(value):
        target.string_param = value
    else:
        raise InvalidArgumentError(
            f"parameter '{name}' has invalid type. It should be either 'int', 'bool', or 'string'. Got {kind_of(value)}"
        )


def _is_unicode(text: Any) -> bool:
    # JSON can write half a character (`\ud800`), which no encoding has.
    return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)


def parameter_values(parameters: Mapping[str, pb.InferParameter]) -> dict[str, Any]:
    """Return the parameters of a response as JSON values."""
    return {
        name: getattr(value, value.WhichOneof("parameter_choice") or "string_param")
        for name, value in parameters.items()
    }


def _objects(fields: Mapping[str, Any], name: str) -> Iterator[Mapping[str, Any]]:
    for each in taken(fields, name, list):
        if not isinstance(each, dict):
            raise InvalidArgumentError(f"Unable to parse '{name}': an element is {kind_of(each)}; expected an object")
        yield each


def _name(fields: Mapping[str, Any], where: str) -> str:
    name = taken(fields, "name", str)
    if not name:
        raise InvalidArgumentError(f"Unable to parse '{where}': one has an empty name")
    return str(name)


_REQUIRED: Final = object()
_KINDS: Final = {str: "string", dict: "object", list: "array", bool: "boolean", int: "unsigned-integer"}


def taken(fields: Mapping[str, Any], name: str, kind: type, default: Any = _REQUIRED) -> Any:
    """Return a field of a JSON object, which is there and of one kind unless there is a default."""
    value = fields.get(name, default)
    if value is _REQUIRED:
        raise InvalidArgumentError(f"Unable to parse '{name}': attempt to access non-existing object member '{name}'")
    if value is default or (type(value) is kind and (kind is not str or _is_unicode(value))):
        return value
    expected = _KINDS[kind]
    raise InvalidArgumentError(
        f"Unable to parse '{name}': attempt to access JSON non-{expected} as {expected}, got {kind_of(value)}"
    )
