"""Data of an input tensor, raw or typed, as an array over the very bytes that came.

The way of a right request is a few lines; the rest finds the words for a wrong one.

Source: Triton inference protocol, "Tensor Data"; its error texts.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from aisle_protocol.datatypes import dtype_of
from aisle_protocol.generated import grpc_service_pb2 as pb
from aisle_protocol.raw_contents import RawContentsError, from_raw
from aisle_server import messages
from aisle_server.errors import InvalidArgumentError
from aisle_server.model_config.request_fault import request_fault
from aisle_server.model_config.schema import ModelConfig

# Typed field -> datatypes it may fill. FP16 and BF16 have none: they come raw.
_TYPED_FIELDS: Final = {
    "bool_contents": ("BOOL",),
    "int_contents": ("INT8", "INT16", "INT32"),
    "int64_contents": ("INT64",),
    "uint_contents": ("UINT8", "UINT16", "UINT32"),
    "uint64_contents": ("UINT64",),
    "fp32_contents": ("FP32",),
    "fp64_contents": ("FP64",),
    "bytes_contents": ("BYTES",),
}
# As wide as the field itself, so that a value too large for its datatype loses its high bytes, as on Triton.
_FIELD_DTYPES: Final = {"int_contents": np.dtype("<i4"), "uint_contents": np.dtype("<u4")}
_LENGTH: Final = struct.Struct("<I")
_LARGEST_BYTE_SIZE: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a tensor came from, for error texts.

    Attributes:
        config: Of the model that was asked.
        log_prefix: Of the request.
        tensors: All inputs of the request, as they came: what is wrong with one may be told before what is wrong with another's data.
        requested_outputs: Of the request.
    """

    config: ModelConfig
    log_prefix: str
    tensors: Sequence[pb.ModelInferRequest.InferInputTensor] = ()
    requested_outputs: Sequence[str] = ()


def decode_raw(raw: bytes, name: str, datatype: str, shape: Sequence[int], origin: Origin) -> npt.NDArray[Any]:
    """Return raw contents as an array; elements of fixed size are a read-only view of `raw`.

    Args:
        raw: Raw contents of one input.
        name: Of the input.
        datatype: As the request says.
        shape: As the request says; anything at all.
        origin: For error texts.

    Raises:
        InvalidArgumentError: The bytes do not make a tensor of that datatype and shape.
    """
    try:
        # NumPy takes a lone -1 for whatever fits.
        if min(shape, default=0) >= 0:
            if datatype == "BYTES":
                return from_raw(raw, datatype, shape)
            # Refuses unknown datatypes, overflowing shapes, and too few bytes.
            array: npt.NDArray[Any] = np.ndarray(tuple(shape), dtype_of(datatype), raw)
            if array.nbytes == len(raw):
                return array
    except (RawContentsError, ValueError, TypeError, OverflowError):
        pass
    raise _fault(raw, name, datatype, shape, origin)


def decode_typed(
    contents: pb.InferTensorContents, name: str, datatype: str, shape: Sequence[int], origin: Origin
) -> npt.NDArray[Any]:
    """Return typed contents as an array.

    Raises:
        InvalidArgumentError: The contents do not make a tensor of that datatype and shape, or they fill a field of another datatype.
    """
    filled = [field.name for field, _ in contents.ListFields()]
    if not filled:
        return decode_raw(b"", name, datatype, shape, origin)
    for field in filled:
        is_second = field != filled[0]
        if is_second or datatype not in _TYPED_FIELDS[field]:
            came = _TYPED_FIELDS[field][-1]
            raise InvalidArgumentError(
                messages.unexpected_contents(name, origin.config.name, came, datatype, is_second=is_second)
            )
    values = getattr(contents, filled[0])
    if datatype == "BYTES":
        raw = b"".join(part for value in values for part in (_LENGTH.pack(len(value)), value))
    else:
        dtype = dtype_of(datatype)
        raw = np.fromiter(values, _FIELD_DTYPES.get(filled[0], dtype), len(values)).astype(dtype).tobytes()
    return decode_raw(raw, name, datatype, shape, origin)


def _fault(raw: bytes, name: str, datatype: str, shape: Sequence[int], origin: Origin) -> InvalidArgumentError:
    """Find the words for data that do not make a tensor, in the order in which Triton would look."""
    model = origin.config.name
    described = {tensor.name: (tensor.datatype, tuple(tensor.shape)) for tensor in origin.tensors}
    text = request_fault(origin.config, origin.requested_outputs, described, origin.log_prefix)
    if text is not None:
        return InvalidArgumentError(text)
    count = math.prod(shape)
    if datatype == "BYTES":
        text = _string_fault(raw, name, model, count, origin.log_prefix)
        return InvalidArgumentError(text or messages.dimension_invalid(name, shape))
    expected_bytes = count * dtype_of(datatype).itemsize
    if expected_bytes > _LARGEST_BYTE_SIZE:
        return InvalidArgumentError(messages.byte_size_overflow(name))
    if expected_bytes == len(raw):
        # Nothing is wrong with the sum: NumPy has no arrays of so many dimensions, or of such a one beside a zero.
        return InvalidArgumentError(messages.dimension_invalid(name, shape))
    return InvalidArgumentError(messages.byte_size_mismatch(origin.log_prefix, name, model, expected_bytes, len(raw)))


def _string_fault(raw: bytes, name: str, model: str, expected: int, log_prefix: str) -> str | None:
    offset = came = 0
    incomplete = None
    while offset < len(raw):
        left = len(raw) - offset
        if left < _LENGTH.size:
            return messages.incomplete_string_length(log_prefix, name, model, left)
        (length,) = _LENGTH.unpack_from(raw, offset)
        left -= _LENGTH.size
        came += 1
        if came > expected:
            return messages.too_many_strings(log_prefix, name, model, came, expected)
        if length > left:
            # Counted all the same, as on Triton, whose backends then tell of it.
            incomplete = messages.incomplete_string(name, length, left)
        offset += _LENGTH.size + length
    return messages.too_few_strings(log_prefix, name, model, came, expected) if came < expected else incomplete
