"""Whether an ensemble fits the models it is composed of: names, datatypes, shapes, batch sizes. Pure.

Source: Triton, ensemble checks at load time; texts as its tests know them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aisle_server.errors import InvalidArgumentError
from aisle_server.messages import dims_text
from aisle_server.model_config.message import type_name
from aisle_server.model_config.schema import Dims, EnsembleStep, ModelConfig, ModelInput, ModelOutput


@dataclass(frozen=True, slots=True)
class _Tensor:
    """An ensemble tensor, as one of the models that touch it knows it."""

    model: str
    datatype: str
    dims: Dims
    full_dims: Dims

    @classmethod
    def of(cls, config: ModelConfig, tensor: ModelInput | ModelOutput) -> _Tensor:
        full_dims = (-1, *tensor.dims) if config.is_batching else tensor.dims
        return cls(config.name, tensor.datatype, tensor.dims, full_dims)


def check_ensemble(ensemble: ModelConfig, step_configs: Sequence[ModelConfig]) -> None:
    """Check an ensemble against the models that its steps name.

    A shape is consistent when it is equal up to variable dimensions, with or without the batch dimensions: a model that batches may
    feed one that does not.

    Args:
        ensemble: Validated.
        step_configs: The complete configuration of the model of each step, in their order.

    Raises:
        InvalidArgumentError: A map names a tensor that the model does not have, an input of a model is not mapped, datatypes or
            shapes differ, or a model takes smaller batches than the ensemble.
    """
    scheduling = ensemble.ensemble_scheduling
    steps = scheduling.steps if scheduling else ()
    tensors: dict[str, _Tensor] = {}
    named: tuple[ModelInput | ModelOutput, ...] = (*ensemble.inputs, *ensemble.outputs)
    for tensor in named:
        tensors[tensor.name] = _Tensor.of(ensemble, tensor)
    for step, model in zip(steps, step_configs, strict=True):
        if model.is_batching and model.max_batch_size < ensemble.max_batch_size:
            raise InvalidArgumentError(
                f"ensemble {ensemble.name} allows maximum batch size {ensemble.max_batch_size}, but it contains model {model.name}"
                f" which only allows maximum batch size to be {model.max_batch_size}"
            )
        _check_inputs(ensemble.name, step, model, tensors)
        _check_outputs(ensemble.name, step, model, tensors)


def _check_inputs(ensemble: str, step: EnsembleStep, model: ModelConfig, tensors: dict[str, _Tensor]) -> None:
    for name, source in step.input_map.items():
        tensor = model.input(name)
        if tensor is None:
            raise InvalidArgumentError(
                f"in ensemble {ensemble}, ensemble tensor {source} is mapping to non-existing input {name} in model {model.name}"
            )
        _check(ensemble, source, tensors, _Tensor.of(model, tensor))
    for tensor in model.inputs:
        if tensor.name not in step.input_map and not tensor.optional:
            raise InvalidArgumentError(
                f"in ensemble {ensemble}, input {tensor.name} in model {model.name} is not mapped to any ensemble tensors"
            )


def _check_outputs(ensemble: str, step: EnsembleStep, model: ModelConfig, tensors: dict[str, _Tensor]) -> None:
    for name, target in step.output_map.items():
        tensor = model.output(name)
        if tensor is None:
            raise InvalidArgumentError(
                f"in ensemble {ensemble}, ensemble tensor {target} is mapped from non-existing output {name} in model {model.name}"
            )
        _check(ensemble, target, tensors, _Tensor.of(model, tensor))


def _check(ensemble: str, name: str, tensors: dict[str, _Tensor], other: _Tensor) -> None:
    known = tensors.setdefault(name, other)
    where = f"in ensemble {ensemble}, ensemble tensor {name}: "
    if known.datatype != other.datatype:
        raise InvalidArgumentError(
            f"{where}inconsistent data type: {type_name(known.datatype)} is inferred from model {known.model}"
            f" while {type_name(other.datatype)} is inferred from model {other.model}"
        )
    if not _agree(known.dims, other.dims) and not _agree(known.full_dims, other.full_dims):
        raise InvalidArgumentError(
            f"{where}inconsistent shape: {dims_text(known.full_dims)} is inferred from model {known.model}"
            f" while {dims_text(other.full_dims)} is inferred from model {other.model}"
        )


def _agree(one: Dims, other: Dims) -> bool:
    return len(one) == len(other) and all(a == b or -1 in (a, b) for a, b in zip(one, other, strict=True))
