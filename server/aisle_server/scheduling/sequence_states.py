"""Implicit state: tensors that a model gives with one answer of a sequence, and is given with the next request.

Source: Triton, "Implicit State Management".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from aisle_protocol.datatypes import dtype_of
from aisle_server.inference import InferenceRequest, InferenceResponse, Tensor
from aisle_server.model_config.schema import ModelConfig
from aisle_server.model_config.sequence import SequenceState


class SequenceStates:
    """Puts state into requests, and takes it out of answers."""

    def __init__(self, config: ModelConfig) -> None:
        """Make the state that sequences start with.

        Args:
            config: Of a model with `sequence_batching`, validated.
        """
        self._states = config.states
        self._outputs = tuple(each.name for each in config.outputs)
        batch = (1,) if config.is_batching else ()
        self._initial = {each.input_name: _initial(each, batch) for each in self._states}

    def put(self, request: InferenceRequest, state: Mapping[str, Tensor]) -> InferenceRequest:
        """Return a request with the state of its sequence among its inputs, which asks for the next one.

        Args:
            request: As its caller sent it.
            state: By input, as the last answer of its sequence left it. A request that starts a sequence starts from zeros.
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


def _initial(state: SequenceState, batch: tuple[int, ...]) -> Tensor:
    shape = (*batch, *(max(1, dim) for dim in state.dims))
    if state.datatype == "BYTES":
        return Tensor(state.input_name, "BYTES", np.full(shape, b"", np.object_))
    return Tensor(state.input_name, state.datatype, np.zeros(shape, dtype_of(state.datatype)))
