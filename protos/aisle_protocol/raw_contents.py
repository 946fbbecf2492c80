"""Arrays to raw tensor bytes and back.

Raw contents are the elements in row-major order, little-endian. A BYTES element is its length as four bytes, then itself.

Source: Triton inference protocol, "Raw contents" of ModelInferRequest.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from aisle_protocol.datatypes import dtype_of

_LENGTH = struct.Struct("<I")


class RawContentsError(ValueError):
    """Raw tensor bytes do not fit the datatype and shape that came with them."""


def to_raw(array: npt.NDArray[Any], datatype: str) -> bytes:
    """Return an array as raw tensor bytes.

    Args:
        array: Any shape. For BYTES, elements are `bytes`, or `str` that go out as UTF-8.
        datatype: Name in the protocol, such as `FP32`.

    Raises:
        ValueError: An element of a BYTES array is neither bytes nor text, or the array does not fit the datatype without loss.
    """
    if datatype == "BYTES":
        parts: list[bytes] = []
        for element in array.reshape(-1).tolist():
            if isinstance(element, str):
                element = element.encode()
            elif not isinstance(element, bytes):
                raise ValueError(f"an element of a BYTES tensor is a {type(element).__name__}; expected bytes or str")
            parts += (_LENGTH.pack(len(element)), element)
        return b"".join(parts)
    return array.astype(dtype_of(datatype), order="C", casting="safe", copy=False).tobytes()


def from_raw(buffer: bytes | bytearray | memoryview, datatype: str, shape: Sequence[int]) -> npt.NDArray[Any]:
    """Return raw tensor bytes as an array; fixed-size elements are a read-only view, not a copy.

    Args:
        buffer: Raw contents.
        datatype: Name in the protocol.
        shape: Dimensions, none negative.

    Raises:
        RawContentsError: Too few or too many bytes, or a BYTES element that runs past the end.
        ValueError: Unknown datatype.
    """
    view = memoryview(buffer)
    count = math.prod(shape)
    if datatype == "BYTES":
        return _elements(view, count).reshape(tuple(shape))
    dtype = dtype_of(datatype)
    if view.nbytes != count * dtype.itemsize:
        raise RawContentsError(
            f"{view.nbytes} bytes do not make a {datatype} tensor of shape {list(shape)}; expected {count * dtype.itemsize}"
        )
    return np.frombuffer(view, dtype=dtype).reshape(tuple(shape))


def _elements(view: memoryview, count: int) -> npt.NDArray[Any]:
    # Every element costs four bytes at least, so a shape that promises more than came is refused before memory is taken for it.
    if count * _LENGTH.size > view.nbytes:
        raise RawContentsError(f"{view.nbytes} bytes do not make {count} BYTES elements")
    elements = np.empty(count, dtype=np.object_)
    offset = 0
    for index in range(count):
        if offset + _LENGTH.size > view.nbytes:
            raise RawContentsError(f"{index} BYTES elements came; expected {count}")
        (length,) = _LENGTH.unpack_from(view, offset)
        offset += _LENGTH.size
        if offset + length > view.nbytes:
            raise RawContentsError(f"BYTES element {index} declares {length} bytes; {view.nbytes - offset} are left")
        elements[index] = bytes(view[offset : offset + length])
        offset += length
    if offset != view.nbytes:
        raise RawContentsError(f"{view.nbytes - offset} bytes are left after {count} BYTES elements")
    return elements
