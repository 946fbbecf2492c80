"""The batch dimension, so that callers need not think of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from aisle_client.codec import as_array
from aisle_client.errors import InvalidInputError, ProtocolError
from aisle_client.responses import InferResult


def as_batch(inputs: Mapping[str, npt.ArrayLike]) -> dict[str, npt.NDArray[Any]]:
    """Return one sample's inputs as a batch of one."""
    return {name: as_array(value)[np.newaxis] for name, value in inputs.items()}


def check_batch(inputs: Mapping[str, npt.ArrayLike]) -> None:
    """Refuse inputs that do not have the same rows.

    Raises:
        InvalidInputError: An input without a batch dimension, or inputs of different batch sizes.
    """
    shapes = {name: as_array(value).shape for name, value in inputs.items()}
    for name, shape in shapes.items():
        if not shape:
            raise InvalidInputError(f"input {name!r} is a scalar; expected a batch dimension first")
    if len({shape[0] for shape in shapes.values()}) > 1:
        sizes = ", ".join(f"{name!r} has {shape[0]}" for name, shape in shapes.items())
        raise InvalidInputError(f"inputs have different batch sizes: {sizes}")


def first_row(result: InferResult) -> InferResult:
    """Take the batch dimension off a batch of one.

    Raises:
        ProtocolError: An output is not a batch of one.
    """
    for name, array in result.outputs.items():
        if array.shape[:1] != (1,):
            raise ProtocolError(f"output {name!r} has shape {list(array.shape)}; expected a batch of one")
    return replace(result, outputs={name: array[0] for name, array in result.outputs.items()})
