"""Short ways to write an inference request in a test."""

from __future__ import annotations

from typing import Any

import numpy as np

from aisle_protocol.datatypes import datatype_of
from aisle_server.inference import InferenceRequest, Tensor


def tensor(name: str, values: Any, datatype: str = "") -> Tensor:
    """A tensor of the datatype given, else of the one that NumPy sees in the values; a list of `bytes` is BYTES."""
    array = values if isinstance(values, np.ndarray) else _array(values)
    return Tensor(name, datatype or datatype_of(array.dtype), array)


def inference_request(batch_size: int = 1, /, **inputs: Any) -> InferenceRequest:
    """A request for the model `m` with these inputs: arrays, nested lists, or tensors."""
    tensors = [value if isinstance(value, Tensor) else tensor(name, value) for name, value in inputs.items()]
    return InferenceRequest("m", {each.name: each for each in tensors}, batch_size=batch_size)


def _array(values: Any) -> np.ndarray[Any, Any]:
    array = np.array(values)
    return np.array(values, dtype=np.object_) if array.dtype.kind in "SU" else array
