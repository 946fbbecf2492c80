"""Shapes that callers see and shapes that a backend sees, where the model configuration has both. The backend never notices.

Source: Triton model configuration, "Reshape".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import cast

from aisle_server.backends.backend import (
    BackendInstance,
    BackendModel,
    DecoupledInstance,
    Device,
    Execution,
    ResponseSender,
)
from aisle_server.errors import InferenceServerError, InternalError
from aisle_server.inference import InferenceRequest, InferenceResponse, Tensor
from aisle_server.messages import dims_text
from aisle_server.model_config.schema import Dims, ModelConfig, ModelInput, ModelOutput


def reshaped(shape: Dims, source: Dims, target: Dims) -> Dims | None:
    """Return a shape in other words.

    Args:
        shape: What came, without the batch dimension; it should fit `source`.
        source: Dims to read it by; -1 is any size.
        target: Dims to write it by; its variable dimensions take the sizes of those in `source`, in order.

    Returns:
        A shape of as many elements; None when `shape` does not fit `source`.
    """
    if len(shape) != len(source) or any(want not in (-1, got) for got, want in zip(shape, source, strict=True)):
        return None
    sizes = iter([got for got, want in zip(shape, source, strict=True) if want == -1])
    written = tuple(next(sizes) if want == -1 else want for want in target)
    return written if math.prod(written) == math.prod(shape) else None


def with_reshapes(model: BackendModel, config: ModelConfig) -> BackendModel:
    """Wrap a model so that its backend sees the shapes of `reshape` and callers see those of `dims`.

    Args:
        model: To wrap.
        config: Complete and validated.

    Returns:
        The model itself when its configuration reshapes nothing.
    """
    tensors: tuple[ModelInput | ModelOutput, ...] = (*config.inputs, *config.outputs)
    return model if all(tensor.reshape is None for tensor in tensors) else ReshapingModel(model, config)


class ReshapingModel:
    """A model whose backend sees other shapes than callers do."""

    def __init__(self, model: BackendModel, config: ModelConfig) -> None:
        """Wrap a model; its configuration says what to reshape."""
        self._model = model
        self._config = config

    @property
    def config(self) -> ModelConfig:
        """The wrapped model's."""
        return self._model.config

    def create_instance(self, name: str, device: Device) -> BackendInstance:
        """Create an executor that reshapes around the wrapped model's; see `BackendModel.create_instance`."""
        return _ReshapingInstance(self._model.create_instance(name, device), self._config)

    def close(self) -> None:
        """Close the wrapped model."""
        self._model.close()


class _ReshapingInstance(BackendInstance):
    def __init__(self, instance: BackendInstance, config: ModelConfig) -> None:
        self._instance = instance
        self._model_name = config.name
        self._batch_rank = 1 if config.is_batching else 0
        self._inputs = {each.name: (each.dims, each.reshape) for each in config.inputs if each.reshape is not None}
        self._outputs = {each.name: (each.reshape, each.dims) for each in config.outputs if each.reshape is not None}

    def execute(self, requests: Sequence[InferenceRequest]) -> Execution:
        execution = self._instance.execute([self._request(request) for request in requests])
        return replace(execution, results=[self._result(result) for result in execution.results])

    def is_healthy(self) -> bool:
        return self._instance.is_healthy()

    def execute_decoupled(self, requests: Sequence[InferenceRequest], senders: Sequence[ResponseSender]) -> None:
        cast(DecoupledInstance, self._instance).execute_decoupled(
            [self._request(request) for request in requests],
            [_ReshapingSender(sender, self._result) for sender in senders],
        )

    def finalize(self) -> None:
        self._instance.finalize()

    def _request(self, request: InferenceRequest) -> InferenceRequest:
        inputs = {name: self._tensor(tensor, self._inputs) for name, tensor in request.inputs.items()}
        return request.changed(inputs=inputs)

    def _result(self, result: InferenceResponse | InferenceServerError) -> InferenceResponse | InferenceServerError:
        if isinstance(result, InferenceServerError):
            return result
        try:
            return replace(result, outputs=tuple(self._tensor(tensor, self._outputs) for tensor in result.outputs))
        except InternalError as error:  # this request's alone: its neighbours may have come out right
            return error

    def _tensor(self, tensor: Tensor, dims: Mapping[str, tuple[Dims, Dims]]) -> Tensor:
        if tensor.name not in dims:
            return tensor
        source, target = dims[tensor.name]
        batch, shape = tensor.shape[: self._batch_rank], tensor.shape[self._batch_rank :]
        new_shape = reshaped(shape, source, target)
        if new_shape is None:
            raise InternalError(
                f"model '{self._model_name}' has '{tensor.name}' in shape {dims_text(shape)}, which its reshape from"
                f" {dims_text(source)} to {dims_text(target)} does not fit"
            )
        return Tensor(tensor.name, tensor.datatype, tensor.data.reshape((*batch, *new_shape)))


class _ReshapingSender:
    def __init__(
        self,
        sender: ResponseSender,
        reshape: Callable[[InferenceResponse | InferenceServerError], InferenceResponse | InferenceServerError],
    ) -> None:
        self._sender = sender
        self._reshape = reshape

    def send(self, result: InferenceResponse | InferenceServerError | None, *, is_final: bool) -> None:
        self._sender.send(None if result is None else self._reshape(result), is_final=is_final)
