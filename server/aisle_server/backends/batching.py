"""A batch of requests to one set of arrays, and arrays back to a response for each request. Pure.

This lies in the path of every request, so it does no more than it must: a single request passes through without a copy, several are
concatenated once, and a response's rows are views into the batch's outputs.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from aisle_server.errors import InternalError
from aisle_server.inference import InferenceRequest, InferenceResponse, Tensor
from aisle_server.messages import dims_text
from aisle_server.model_config.schema import ModelConfig

Arrays: TypeAlias = Mapping[str, npt.NDArray[Any]]
_NO_PIECES: Mapping[str, Sequence[npt.NDArray[Any]]] = MappingProxyType({})


class UnequalRequestsError(ValueError):
    """Requests do not stack into one array: they differ in their inputs, or in a variable dimension."""


def gather(requests: Sequence[InferenceRequest]) -> dict[str, npt.NDArray[Any]]:
    """Stack the inputs of a batch.

    Args:
        requests: One or more. Several have a batch dimension, the same inputs and, but for the batch, the same shapes.

    Returns:
        By input: [rows, *dims], rows in the order of the requests. The array of the request itself when there is only one.

    Raises:
        UnequalRequestsError: They do not stack, as requests with an input of `allow_ragged_batch` may.
    """
    first = requests[0].inputs
    if len(requests) == 1:
        return {name: tensor.data for name, tensor in first.items()}
    if any(request.inputs.keys() != first.keys() for request in requests):
        raise UnequalRequestsError("requests of one batch have different inputs")
    try:
        return {name: np.concatenate([request.inputs[name].data for request in requests]) for name in first}
    except ValueError as error:
        raise UnequalRequestsError(str(error)) from error


def requested_outputs(requests: Sequence[InferenceRequest], names: Sequence[str]) -> Sequence[str]:
    """Return the outputs that somebody in the batch asked for.

    Args:
        requests: One or more; no requested outputs stands for all of them.
        names: All outputs of the model.

    Returns:
        In the order of `names`, which comes back itself when all are asked for.
    """
    asked: set[str] = set()
    for request in requests:
        if not request.requested_outputs:
            return names
        asked.update(request.requested_outputs)
    return [name for name in names if name in asked]


def scatter(
    config: ModelConfig,
    version: int,
    requests: Sequence[InferenceRequest],
    outputs: Arrays,
    pieces: Mapping[str, Sequence[npt.NDArray[Any]]] = _NO_PIECES,
) -> list[InferenceResponse]:
    """Cut the outputs of a batch into responses.

    Args:
        config: Of the model.
        version: Of the model.
        requests: As they were gathered.
        outputs: By name, [rows, *dims] when the model batches. Those that nobody asked for may be absent.
        pieces: By name, a piece for each request, of outputs that are not cut by rows.

    Returns:
        For each request its own rows of the outputs it asked for, else of every output of the configuration; views, not copies.

    Raises:
        InternalError: An output has not one row for each row of the batch.
    """
    datatypes = dict(config.network_outputs)
    rows = sum(request.batch_size for request in requests)
    if config.is_batching:
        for name, array in outputs.items():
            if name in pieces:
                continue
            if array.ndim == 0 or len(array) != rows:
                raise InternalError(
                    f"output '{name}' of model '{config.name}' has shape {dims_text(array.shape)} for a batch of {rows};"
                    " expected a row for each row of the batch"
                )
    if len(requests) == 1 and not pieces:
        return [_response(config, version, requests[0], datatypes, outputs)]
    responses = []
    start = 0
    for index, request in enumerate(requests):
        stop = start + request.batch_size
        own = {name: array[start:stop] for name, array in outputs.items() if name not in pieces}
        own.update({name: parts[index] for name, parts in pieces.items()})
        responses.append(_response(config, version, request, datatypes, own))
        start = stop
    return responses


def _response(
    config: ModelConfig, version: int, request: InferenceRequest, datatypes: Mapping[str, str], outputs: Arrays
) -> InferenceResponse:
    names: Collection[str] = request.requested_outputs or datatypes
    tensors = tuple([Tensor(name, datatypes[name], outputs[name]) for name in names if name in outputs])
    return InferenceResponse(config.name, version, request.id, tensors)
