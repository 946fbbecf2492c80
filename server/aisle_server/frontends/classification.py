"""The classification extension: an output's highest values, each with its index and its label, instead of the output.

Source: Triton inference protocol, "Classification Extension".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from aisle_server import messages
from aisle_server.errors import InvalidArgumentError
from aisle_server.inference import Tensor

_RANKED = frozenset(
    {"UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP32", "FP64"},
)
_MAX_CLASSES = 1_000_000


def classify(tensor: Tensor, count: int, labels: Sequence[str], *, is_batching: bool) -> Tensor:
    """Return the highest values of an output as text, highest first; of equal values the one that stands first.

    Args:
        tensor: Shape [batch, *dims] when the model batches, else [*dims]; all of `dims` count as one row of classes.
        count: How many to tell, 1 or more.
        labels: By index; an index beyond has no label.
        is_batching: Whether the first dimension is the batch.

    Returns:
        BYTES of shape [batch, min(count, classes)], or [min(count, classes)]; elements `<value>:<index>[:<label>]`.

    Raises:
        InvalidArgumentError: The elements have no order (BYTES, BOOL, FP16, ...), or there are too many classes.
    """
    if tensor.datatype not in _RANKED:
        raise InvalidArgumentError(messages.not_classifiable(tensor.datatype))
    batch, dims = (tensor.shape[0], tensor.shape[1:]) if is_batching else (1, tensor.shape)
    rows = tensor.data.reshape(batch, math.prod(dims))
    if rows.shape[1] > _MAX_CLASSES:
        raise InvalidArgumentError(messages.CLASSIFICATION_TOO_LARGE)
    told = min(count, rows.shape[1])
    # As C++ writes a number: six decimals, and integers plain.
    number = "%f" if rows.dtype.kind == "f" else "%d"
    elements = np.empty((len(rows), told), dtype=np.object_)
    for row, values in enumerate(rows):
        for place, index in enumerate(_highest(values, told)):
            label = f":{labels[index]}" if index < len(labels) else ""
            elements[row, place] = f"{number % values[index]}:{index}{label}".encode()
    return Tensor(tensor.name, "BYTES", elements if is_batching else elements[0])


def _highest(values: npt.NDArray[Any], count: int) -> list[int]:
    # A stable sort of the values back to front leaves, read backwards, the first of equals first.
    order: list[int] = (len(values) - 1 - np.argsort(values[::-1], kind="stable")[::-1][:count]).tolist()
    return order
