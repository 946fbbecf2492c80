"""The graph that the steps of an ensemble make: whether every tensor is written once, read by somebody, and can be reached.

Source: Triton, "Ensemble Models"; texts as its tests know them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from aisle_server.errors import InvalidArgumentError
from aisle_server.model_config.message import carries
from aisle_server.model_config.schema import ENSEMBLE_PLATFORM, EnsembleScheduling, EnsembleStep, ModelConfig


@dataclass(slots=True)
class _EnsembleTensor:
    sources: list[str] = field(default_factory=list)
    is_written: bool = False
    is_read: bool = False


def validate_ensemble(config: ModelConfig, scheduling: EnsembleScheduling) -> None:
    """Check the steps of an ensemble. The models they name are looked at when the ensemble is loaded.

    Args:
        config: Of the ensemble.
        scheduling: Its own.

    Raises:
        InvalidArgumentError: Not an ensemble, a step that says too little, or tensors that do not connect.
    """
    name = config.name
    if config.platform != ENSEMBLE_PLATFORM:
        raise InvalidArgumentError(
            f"ensemble scheduling cannot be set for model '{name}' whose platform is not {ENSEMBLE_PLATFORM}"
        )
    if config.instance_groups:
        raise InvalidArgumentError(f"instance group should not be specified for ensemble '{name}'")
    if carries(config, "optimization"):
        raise InvalidArgumentError(f"optimization should not be specified for ensemble '{name}'")
    if config.warmups:
        raise InvalidArgumentError(f"model_warmup can not be specified for ensemble '{name}'")
    if not scheduling.steps:
        raise InvalidArgumentError(f"must specify 'step' for ensemble '{name}'")
    for index, step in enumerate(scheduling.steps):
        _validate_step(name, index, step)
    _validate_flow(config, _build(name, scheduling))


def _validate_step(ensemble: str, index: int, step: EnsembleStep) -> None:
    for field_name in ("model_name", "input_map", "output_map"):
        if not getattr(step, field_name):
            raise InvalidArgumentError(f"must specify '{field_name}' in step {index} of ensemble '{ensemble}'")
    if step.model_version < -1:
        raise InvalidArgumentError(
            f"step {index} of ensemble '{ensemble}' names version {step.model_version}; expected -1 for the latest, or a version"
        )


def _build(ensemble: str, scheduling: EnsembleScheduling) -> dict[str, _EnsembleTensor]:
    tensors: dict[str, _EnsembleTensor] = {}
    for index, step in enumerate(scheduling.steps):
        for source in step.input_map.values():
            tensors.setdefault(source, _EnsembleTensor()).is_read = True
        for target in step.output_map.values():
            tensor = tensors.setdefault(target, _EnsembleTensor())
            if tensor.is_written:
                raise InvalidArgumentError(
                    f"ensemble tensor '{target}' can appear in an output map only once for ensemble '{ensemble}' step {index}"
                )
            tensor.is_written = True
            tensor.sources = sorted(set(step.input_map.values()))
    return tensors


def _validate_flow(config: ModelConfig, tensors: dict[str, _EnsembleTensor]) -> None:
    ensemble = config.name
    for model_input in config.inputs:
        tensor = tensors.get(model_input.name)
        if tensor is None or not tensor.is_read:
            raise InvalidArgumentError(f"ensemble input '{model_input.name}' for ensemble {ensemble}' is not used")
        if tensor.is_written:
            raise InvalidArgumentError(
                f"ensemble input '{model_input.name}' is written by a step of ensemble '{ensemble}'; expected callers alone to give it"
            )
    reached = _reached({tensor.name for tensor in config.inputs}, tensors)
    for output in config.outputs:
        if output.name not in tensors:
            raise InvalidArgumentError(f"ensemble output '{output.name}' for ensemble {ensemble}' is not used")
        if output.name not in reached:
            unreached = next((source for source in tensors[output.name].sources if source not in reached), None)
            reason = f": at least one of its depending tensors, '{unreached}', is not connected" if unreached else ""
            raise InvalidArgumentError(f"output '{output.name}' for ensemble '{ensemble}' is not written{reason}")
    outputs = {tensor.name for tensor in config.outputs}
    for name in sorted(tensors.keys() - outputs):
        if name not in reached or not tensors[name].is_read:
            raise InvalidArgumentError(f"ensemble tensor '{name}' is unused in ensemble '{ensemble}'")


def _reached(inputs: set[str], tensors: dict[str, _EnsembleTensor]) -> set[str]:
    reached = set(inputs)
    waiting = {name for name, tensor in tensors.items() if tensor.is_written}
    while newly := {name for name in waiting if reached.issuperset(tensors[name].sources)}:
        reached |= newly
        waiting -= newly
    return reached
