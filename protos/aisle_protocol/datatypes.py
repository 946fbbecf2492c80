"""Datatypes of the inference protocol and the NumPy dtypes that hold them.

BYTES elements are `bytes` objects in an object array. NumPy has no bfloat16: a BF16 element is held as the `uint16` with its bits.

Source: Triton inference protocol, "Tensor Data Types".
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

_DTYPES: Final[dict[str, np.dtype[Any]]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
    "BF16": np.dtype("<u2"),
    "BYTES": np.dtype(np.object_),
}
# UINT16 owns uint16: the bits of a BF16 cannot be told from a plain number.
_DATATYPES: Final[dict[np.dtype[Any], str]] = {dtype: name for name, dtype in _DTYPES.items() if name != "BF16"}

DATATYPES: Final[frozenset[str]] = frozenset(_DTYPES)


def dtype_of(datatype: str) -> np.dtype[Any]:
    """Return the NumPy dtype that holds a datatype of the protocol.

    Raises:
        ValueError: The protocol has no such datatype.
    """
    try:
        return _DTYPES[datatype]
    except KeyError:
        raise ValueError(f"unknown datatype {datatype!r}; expected one of {', '.join(_DTYPES)}") from None


def datatype_of(dtype: npt.DTypeLike) -> str:
    """Return the protocol's name for a NumPy dtype. Strings and objects are BYTES.

    Raises:
        ValueError: The protocol cannot carry this dtype (complex numbers, dates, ...).
    """
    dtype = np.dtype(dtype)
    if dtype.kind in "SUO":
        return "BYTES"
    try:
        return _DATATYPES[dtype.newbyteorder("<") if dtype.byteorder == ">" else dtype]
    except KeyError:
        raise ValueError(f"no datatype of the inference protocol holds a NumPy {dtype}") from None


def element_size_bytes(datatype: str) -> int | None:
    """Return the bytes of one element, None for BYTES whose elements have sizes of their own.

    Raises:
        ValueError: The protocol has no such datatype.
    """
    return None if datatype == "BYTES" else dtype_of(datatype).itemsize
