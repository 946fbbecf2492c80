"""What a model is told of each request of a sequence: control tensors, and empty rows where a sequence has nothing to execute.

Source: Triton model configuration, "Sequence Batcher", control inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from aisle_protocol.datatypes import dtype_of
from aisle_server import messages
from aisle_server.errors import InvalidArgumentError
from aisle_server.inference import Cancellation, InferenceRequest, SequenceId, Tensor
from aisle_server.model_config.schema import ModelConfig
from aisle_server.model_config.sequence import ControlKind, SequenceControl

_SAYS_YES: dict[ControlKind, Callable[[InferenceRequest], bool]] = {
    ControlKind.CONTROL_SEQUENCE_START: lambda request: request.sequence_start,
    ControlKind.CONTROL_SEQUENCE_END: lambda request: request.sequence_end,
    ControlKind.CONTROL_SEQUENCE_READY: lambda request: request.sequence_id != 0,
}


class SequenceControls:
    """Makes requests ready for a model that keeps state."""

    def __init__(self, config: ModelConfig) -> None:
        """Make the values of the control tensors.

        Args:
            config: Of a model with `sequence_batching`, validated.
        """
        assert config.sequence_batching is not None, "a model without sequences has no controls"
        self._model = config.name
        self._shape = (1, 1) if config.is_batching else (1,)
        self._flags: list[tuple[Callable[[InferenceRequest], bool], Tensor, Tensor]] = []
        self._correlation_id: tuple[str, str] | None = None
        for control_input in config.sequence_batching.control_inputs:
            name, control = control_input.name, control_input.control
            if control.kind is ControlKind.CONTROL_SEQUENCE_CORRID:
                self._correlation_id = (name, control.datatype)
            else:
                no, yes = (self._flag(name, control, index) for index in range(2))
                self._flags.append((_SAYS_YES[control.kind], no, yes))

    def check(self, request: InferenceRequest) -> None:
        """Check what a request says of its sequence.

        Raises:
            InvalidArgumentError: It has several rows, names no sequence, or names it in a way that the model cannot be told.
        """
        if request.batch_size > 1:
            raise InvalidArgumentError(messages.sequence_batch_size(self._model))
        if not request.sequence_id:
            raise InvalidArgumentError(messages.sequence_id_missing(self._model))
        if self._correlation_id is not None and isinstance(request.sequence_id, str):
            name, datatype = self._correlation_id
            if datatype != "BYTES":
                raise InvalidArgumentError(
                    f"inference request to model '{self._model}' has the text '{request.sequence_id}' as its correlation ID;"
                    f" expected a number, which is what its input '{name}' of datatype {datatype} can hold"
                )

    def complete(self, places: Sequence[InferenceRequest | None]) -> list[InferenceRequest]:
        """Return the requests of a batch with control tensors among their inputs.

        Args:
            places: By row of the batch; None for a row that has nothing to execute. One or more are requests.

        Returns:
            One for each row. An empty row is zeros, in the shapes of the first request, and says that it is not ready.
        """
        sample = next(request for request in places if request is not None)
        return [self._controlled(_empty_row(sample) if request is None else request) for request in places]

    def _controlled(self, request: InferenceRequest) -> InferenceRequest:
        inputs = dict(request.inputs)
        for says_yes, no, yes in self._flags:
            inputs[no.name] = yes if says_yes(request) else no
        if self._correlation_id is not None:
            name, datatype = self._correlation_id
            inputs[name] = Tensor(name, datatype, self._correlation_id_data(request.sequence_id, datatype))
        return request.changed(inputs=inputs)

    def _flag(self, name: str, control: SequenceControl, index: int) -> Tensor:
        values: tuple[float | bool, ...] = (
            control.int32_false_true or control.fp32_false_true or control.bool_false_true
        )
        datatype = control.tensor_datatype
        return Tensor(name, datatype, np.full(self._shape, values[index], dtype_of(datatype)))

    def _correlation_id_data(self, sequence_id: SequenceId, datatype: str) -> npt.NDArray[Any]:
        if datatype == "BYTES":
            text = b"" if sequence_id == 0 else str(sequence_id).encode()
            return np.full(self._shape, text, np.object_)
        # The low bytes of a number of 64 bits, as Triton fills smaller and signed tensors.
        return np.full(self._shape, int(sequence_id) % 2**64, np.uint64).astype(dtype_of(datatype))


def _empty_row(sample: InferenceRequest) -> InferenceRequest:
    inputs = {name: Tensor(name, tensor.datatype, _zeros_like(tensor)) for name, tensor in sample.inputs.items()}
    return sample.changed(
        inputs=inputs,
        id="",
        parameters=MappingProxyType({}),
        deadline_ns=None,
        cancellation=Cancellation(),
        sequence_id=0,
        sequence_start=False,
        sequence_end=False,
    )


def _zeros_like(tensor: Tensor) -> npt.NDArray[Any]:
    if tensor.datatype == "BYTES":
        return np.full(tensor.shape, b"", np.object_)
    return np.zeros_like(tensor.data)
