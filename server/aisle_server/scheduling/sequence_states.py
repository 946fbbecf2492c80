"""Implicit state: tensors that a model gives with one answer of a sequence, and is given with the next request.

Source: Triton, "Implicit State Management".
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from aisle_protocol.datatypes import dtype_of
from aisle_server.errors import InvalidArgumentError
from aisle_server.inference import InferenceRequest, InferenceResponse, Tensor
from aisle_server.instance_group import read_tensor_file
from aisle_server.model_config.schema import ModelConfig
from aisle_server.model_config.sequence import SequenceState

INITIAL_STATE_DIRECTORY: Final = "initial_state"
MAX_ELEMENTS: Final = 1 << 26


class SequenceStates:
    """Puts state into requests, and takes it out of answers."""

    def __init__(self, config: ModelConfig, initial: Mapping[str, Tensor]) -> None:
        """Begin without sequences.

        Args:
            config: Of a model with `sequence_batching`, validated.
            initial: By input, from `load_initial_states`.
        """
        self._states = config.states
        self._outputs = tuple(each.name for each in config.outputs)
        self._initial = dict(initial)

    def put(self, request: InferenceRequest, state: Mapping[str, Tensor]) -> InferenceRequest:
        """Return a request with the state of its sequence among its inputs, which asks for the next one.

        Args:
            request: As its caller sent it.
            state: By input, as the last answer of its sequence left it. A request that starts a sequence starts from the initial state.
        """
        if not self._states:
            return request
        current = self._initial if request.sequence_start else {**self._initial, **state}
        asked = request.requested_outputs or self._outputs
        outputs = tuple(dict.fromkeys((*asked, *(each.output_name for each in self._states))))
        return request.changed(inputs={**request.inputs, **current}, requested_outputs=outputs)

    def take(
        self, request: InferenceRequest, response: InferenceResponse
    ) -> tuple[InferenceResponse, dict[str, Tensor]]:
        """Return an answer as its caller sees it, and the state that it leaves.

        Args:
            request: As its caller sent it.
            response: As the model gave it.
        """
        if not self._states:
            return response, {}
        given = {tensor.name: tensor for tensor in response.outputs}
        state = {
            each.input_name: Tensor(each.input_name, each.datatype, given[each.output_name].data.copy())
            for each in self._states
            if each.output_name in given
        }
        asked = request.requested_outputs or self._outputs
        return replace(response, outputs=tuple(given[name] for name in asked if name in given)), state


def load_initial_states(config: ModelConfig, model_directory: Path) -> dict[str, Tensor]:
    """Return what the states of a model are when a sequence starts, by input. Blocks: reads files.

    Args:
        config: Validated.
        model_directory: `<repository>/<model>`; files of raw contents lie in its folder `initial_state`.

    Raises:
        InvalidArgumentError: A file is missing, lies elsewhere, or does not hold what the dims say; or there are too many elements.

    Source: Triton, "Implicit State Management", state initialization.
    """
    return {
        each.input_name: _initial(each, config, model_directory / INITIAL_STATE_DIRECTORY) for each in config.states
    }


def _initial(state: SequenceState, config: ModelConfig, directory: Path) -> Tensor:
    name, datatype = state.input_name, state.datatype
    dims, data_file = tuple(max(1, dim) for dim in state.dims), ""
    for initial in state.initial:
        dims, data_file = initial.dims, initial.data_file
    shape = (1, *dims) if config.is_batching else dims
    if math.prod(shape) > MAX_ELEMENTS:
        raise InvalidArgumentError(
            f"state '{name}' starts with dims {list(dims)}, expected at most {MAX_ELEMENTS} elements"
        )
    if data_file:
        return Tensor(name, datatype, read_tensor_file(directory, data_file, name, datatype, shape))
    if datatype == "BYTES":
        return Tensor(name, datatype, np.full(shape, b"", np.object_))
    return Tensor(name, datatype, np.zeros(shape, dtype_of(datatype)))
