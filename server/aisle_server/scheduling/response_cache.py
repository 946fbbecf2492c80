"""Answers that are kept for requests that come again, bounded by the bytes that they take. Written by the event loop alone.

Source: Triton, "Response Cache", local cache.
"""

from __future__ import annotations

import hashlib
import itertools
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from aisle_protocol.raw_contents import to_raw
from aisle_server.inference import InferenceRequest, InferenceResponse, ParameterValue, Tensor

# What Python's objects take beside the data (measured with tracemalloc on 3.11, rounded up), so that many small answers are bounded too.
_ENTRY_BYTES: Final = 1024
_TENSOR_BYTES: Final = 512
_ELEMENT_BYTES: Final = 48

# Which cache user it belongs to, and the digest of the request.
Key: TypeAlias = tuple[int, bytes]


@dataclass(frozen=True, slots=True)
class CachedResponse:
    """What a model answered, with nothing that is one caller's.

    Attributes:
        outputs: Copies of their own: the model's were views into a whole batch.
        parameters: Set by the model.
        size_bytes: What keeping it takes.
    """

    outputs: tuple[Tensor, ...]
    parameters: Mapping[str, ParameterValue]
    size_bytes: int


class ResponseCache:
    """Keeps answers until there is no room; then those go that were asked for least recently."""

    def __init__(self, size_bytes: int) -> None:
        """Make an empty cache.

        Args:
            size_bytes: What all answers together may take.
        """
        self._size_bytes = size_bytes
        self._used_bytes = 0
        self._responses: OrderedDict[Key, CachedResponse] = OrderedDict()
        self._users = itertools.count(1)

    @property
    def used_bytes(self) -> int:
        """What the answers take."""
        return self._used_bytes

    def __len__(self) -> int:
        return len(self._responses)

    def new_user(self) -> int:
        """Return a number for a model version. One that is loaded again has another, for its files may have changed."""
        return next(self._users)

    def get(self, key: Key) -> CachedResponse | None:
        """Return the answer to a request, None when there is none."""
        response = self._responses.get(key)
        if response is not None:
            self._responses.move_to_end(key)
        return response

    def put(self, key: Key, response: InferenceResponse) -> None:
        """Keep an answer, unless it alone is larger than the cache."""
        size_bytes = _ENTRY_BYTES + sum(_size_of(tensor) for tensor in response.outputs)
        if size_bytes > self._size_bytes:
            return
        self._drop(key)
        while self._used_bytes + size_bytes > self._size_bytes:
            self._drop(next(iter(self._responses)))
        outputs = tuple(Tensor(each.name, each.datatype, _copy(each.data)) for each in response.outputs)
        self._responses[key] = CachedResponse(outputs, response.parameters, size_bytes)
        self._used_bytes += size_bytes

    def forget(self, user: int) -> None:
        """Drop the answers of a model version that is not served any more."""
        for key in [key for key in self._responses if key[0] == user]:
            self._drop(key)

    def _drop(self, key: Key) -> None:
        response = self._responses.pop(key, None)
        if response is not None:
            self._used_bytes -= response.size_bytes


def digest_of(request: InferenceRequest) -> bytes:
    """Return what equal requests to one model version have in common, and no others.

    It covers inputs (names, datatypes, shapes, data), requested outputs and parameters: 32 bytes of BLAKE2b, so that no two
    requests are taken for each other by accident or by design. It hashes 1 GB a second.

    Source: Triton hashes the inputs alone, to 64 bits.
    """
    digest = hashlib.blake2b(digest_size=32)
    parameters = sorted((name, type(value).__name__, value) for name, value in request.parameters.items())
    digest.update(repr((request.requested_outputs, parameters)).encode())
    for name in sorted(request.inputs):
        tensor = request.inputs[name]
        if tensor.datatype == "BYTES":
            raw = memoryview(to_raw(tensor.data, "BYTES"))
        else:
            raw = np.ascontiguousarray(tensor.data).data
        # With its length in front, so that one tensor's end cannot pass for the next one's beginning.
        digest.update(repr((name, tensor.datatype, tensor.shape, raw.nbytes)).encode())
        digest.update(raw)
    return digest.digest()


def _size_of(tensor: Tensor) -> int:
    data = tensor.data
    if data.dtype != np.object_:
        return _TENSOR_BYTES + data.nbytes
    return _TENSOR_BYTES + data.nbytes + sum(_ELEMENT_BYTES + len(element) for element in data.reshape(-1).tolist())


def _copy(data: npt.NDArray[Any]) -> npt.NDArray[Any]:
    copy = data.copy()
    copy.flags.writeable = False
    return copy
