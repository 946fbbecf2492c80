"""Batches whose requests differ in shape: their elements in a row, and inputs that tell where each request's begin and end.

Source: Triton, "Ragged Batching"; how its ONNX Runtime and TensorFlow backends lay such batches out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from aisle_protocol.datatypes import dtype_of
from aisle_server.backends.batching import Arrays, gather
from aisle_server.errors import InternalError
from aisle_server.inference import InferenceRequest
from aisle_server.messages import dims_text
from aisle_server.model_config.ragged import BatchInput, BatchInputKind
from aisle_server.model_config.schema import Dims, ModelConfig


class RaggedBatching:
    """Lays out the batches of a model with `batch_input`.

    An input with `allow_ragged_batch` becomes one dimension: the elements of all requests, one request after another. A model without
    `batch_input` could not tell them apart, so its requests are stacked as ever when their shapes are equal.
    """

    def __init__(self, config: ModelConfig) -> None:
        """Look up in advance what is laid out how.

        Args:
            config: Of the model, complete.
        """
        self._model = config.name
        self._ragged = config.flattened_inputs
        self._batch_inputs = config.batch_inputs
        dims = {output.name: output.dims for output in config.outputs}
        self._batch_outputs: list[tuple[str, str, Dims]] = [
            (target, each.source_inputs[0], dims[target])
            for each in config.batch_outputs
            for target in each.target_names
            if target in dims
        ]

    def gather(self, requests: Sequence[InferenceRequest]) -> dict[str, npt.NDArray[Any]]:
        """Lay out the inputs of a batch, those that tell of it included.

        Args:
            requests: One or more.

        Returns:
            By input: [elements] for ragged ones, [rows, *dims] for the others.

        Raises:
            UnequalRequestsError: They differ in an input that is not ragged.
        """
        if not self._batch_inputs:
            return gather(requests)
        straight = [
            request.changed(inputs={name: each for name, each in request.inputs.items() if name not in self._ragged})
            for request in requests
        ]
        inputs = gather(straight)
        for name in sorted(self._ragged):
            parts = [request.inputs[name].data.reshape(-1) for request in requests if name in request.inputs]
            if parts:
                inputs[name] = np.concatenate(parts)
        for batch_input in self._batch_inputs:
            told = _told(batch_input, requests)
            inputs.update(dict.fromkeys(batch_input.target_names, told))
        return inputs

    def share_out(self, requests: Sequence[InferenceRequest], outputs: Arrays) -> dict[str, list[npt.NDArray[Any]]]:
        """Cut the outputs that go by the shapes of an input.

        Args:
            requests: As they were gathered.
            outputs: By name; the elements of all requests, one request after another.

        Returns:
            By output, a piece for each request: its dimensions are those of the configuration, where it says -1 those of the input.

        Raises:
            InternalError: The output has not as many elements as the shapes of the input say.
        """
        pieces: dict[str, list[npt.NDArray[Any]]] = {}
        for target, source, dims in self._batch_outputs:
            if target not in outputs:
                continue
            shapes = [_shape_by(request.inputs[source].data.shape, dims) for request in requests]
            ends = np.cumsum([np.prod(shape, dtype=int) for shape in shapes])
            elements = outputs[target].reshape(-1)
            if elements.size != ends[-1]:
                raise InternalError(
                    f"output '{target}' of model '{self._model}' has shape {dims_text(outputs[target].shape)} for a batch whose input"
                    f" '{source}' asks for {ends[-1]} elements"
                )
            cut = np.split(elements, ends[:-1])
            pieces[target] = [part.reshape(shape) for part, shape in zip(cut, shapes, strict=True)]
        return pieces


def _shape_by(source: Dims, dims: Dims) -> Dims:
    return (source[0], *(source[axis] if dim == -1 else dim for axis, dim in enumerate(dims, start=1)))


def _told(batch_input: BatchInput, requests: Sequence[InferenceRequest]) -> npt.NDArray[Any]:
    arrays = [request.inputs[batch_input.source_inputs[0]].data for request in requests]
    dtype = dtype_of(batch_input.datatype)
    match batch_input.kind:
        case BatchInputKind.BATCH_ELEMENT_COUNT:
            return np.array([array.size for array in arrays], dtype)
        case BatchInputKind.BATCH_ACCUMULATED_ELEMENT_COUNT:
            return np.cumsum([array.size for array in arrays]).astype(dtype)
        case BatchInputKind.BATCH_ACCUMULATED_ELEMENT_COUNT_WITH_ZERO:
            return np.cumsum([0, *(array.size for array in arrays)]).astype(dtype)
        case BatchInputKind.BATCH_MAX_ELEMENT_COUNT_AS_SHAPE:
            return np.zeros(max(array.size for array in arrays), dtype)  # its shape is all that it tells
        case BatchInputKind.BATCH_ITEM_SHAPE:
            return _item_shapes(arrays).astype(dtype)
        case BatchInputKind.BATCH_ITEM_SHAPE_FLATTEN:
            return _item_shapes(arrays).reshape(-1).astype(dtype)


def _item_shapes(arrays: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    shapes = [array.shape[1:] for array in arrays for _ in range(len(array))]
    return np.array(shapes, np.int64).reshape(len(shapes), arrays[0].ndim - 1)
