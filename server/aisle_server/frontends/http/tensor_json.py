"""A tensor's elements as JSON <-> its raw contents.

Source: Triton inference protocol, "Tensor Data" over HTTP: elements in row-major order, nested by dimension or flat.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from aisle_protocol.datatypes import DATATYPES, dtype_of
from aisle_protocol.raw_contents import from_raw, to_raw
from aisle_server import messages
from aisle_server.errors import InvalidArgumentError
from aisle_server.frontends.http.json_text import kind_of

# JSON has no 16-bit floats, and Triton takes and gives none.
_BINARY_ONLY: Final = frozenset({"FP16", "BF16"})
_ELEMENT_TYPES: Final[dict[str, frozenset[type]]] = {
    "b": frozenset({bool}),
    "i": frozenset({int}),
    "u": frozenset({int}),
    "f": frozenset({int, float}),
    "O": frozenset({str}),
}


def to_raw_contents(data: Any, name: str, datatype: str, shape: Sequence[int]) -> bytes:
    """Return JSON elements as raw contents.

    Args:
        data: Nested or flat arrays, or a lone element.
        name: Of the input.
        datatype: As the request says; of one that is unknown nothing is read, for the request is refused further on.
        shape: As the request says.

    Raises:
        InvalidArgumentError: An element of another kind or out of range, or more or fewer than the shape says.
    """
    if datatype not in DATATYPES:
        return b""
    if datatype in _BINARY_ONLY:
        raise InvalidArgumentError(messages.NO_FP16_JSON_INPUT.format(datatype=datatype, name=name))
    elements = flat_elements(data, name)
    dtype = dtype_of(datatype)
    strange = set(map(type, elements)) - _ELEMENT_TYPES[dtype.kind]
    if strange:
        kind = next(kind_of(each) for each in elements if type(each) in strange)
        raise InvalidArgumentError(
            f"Unable to parse 'data': an element of input '{name}' is {kind}, which is no {datatype}"
        )
    if min(shape, default=0) >= 0 and len(elements) != math.prod(shape):
        raise InvalidArgumentError(messages.SHAPE_IS_NOT_THE_DATAS)
    return _raw(elements, name, datatype, dtype)


def to_json_elements(raw: bytes, name: str, datatype: str, shape: Sequence[int]) -> list[Any]:
    """Return raw contents as flat JSON elements.

    Raises:
        InvalidArgumentError: JSON cannot hold them: 16-bit floats, or BYTES that are no UTF-8.
    """
    if datatype in _BINARY_ONLY:
        raise InvalidArgumentError(messages.NO_FP16_JSON_OUTPUT.format(datatype=datatype, name=name))
    elements: list[Any] = from_raw(raw, datatype, shape).reshape(-1).tolist()
    if datatype != "BYTES":
        return elements
    try:
        return [element.decode() for element in elements]
    except UnicodeDecodeError:
        raise InvalidArgumentError(
            f"output '{name}' is not UTF-8, which JSON needs; ask for it with 'binary_data': true"
        ) from None


def flat_elements(data: Any, name: str) -> list[Any]:
    """Return the elements of nested or flat arrays, or a lone element, in row-major order.

    Raises:
        InvalidArgumentError: Arrays stand beside elements.
    """
    elements: list[Any] = data if isinstance(data, list) else [data]
    # As deep as the parser lets anything be.
    while elements and isinstance(elements[0], list):
        if not all(isinstance(each, list) for each in elements):
            raise InvalidArgumentError(f"Unable to parse 'data': input '{name}' mixes arrays and elements")
        elements = list(chain.from_iterable(elements))
    return elements


def _raw(elements: list[Any], name: str, datatype: str, dtype: np.dtype[Any]) -> bytes:
    try:
        if datatype == "BYTES":
            array: npt.NDArray[Any] = np.empty(len(elements), dtype=np.object_)
            array[:] = elements
            return to_raw(array, datatype)
        if dtype.kind in "iu":
            limits = np.iinfo(dtype)
            if elements and not limits.min <= min(elements) <= max(elements) <= limits.max:
                raise OverflowError
        with np.errstate(over="ignore"):
            return np.array(elements, dtype=np.float64 if dtype.kind == "f" else dtype).astype(dtype).tobytes()
    except OverflowError:
        raise InvalidArgumentError(
            f"Unable to parse 'data': an element of input '{name}' is out of {datatype}'s range"
        ) from None
    except UnicodeEncodeError:
        raise InvalidArgumentError(f"Unable to parse 'data': a string of input '{name}' is not Unicode") from None
