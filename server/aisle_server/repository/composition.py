"""Finds the models that an ensemble is composed of among those in service, and sees to it that they fit.

Source: Triton, "Ensemble Models"; texts as its tests know them.
"""

from __future__ import annotations

from aisle_server import messages
from aisle_server.errors import InvalidArgumentError, UnsupportedError
from aisle_server.model_config.schema import EnsembleStep, ModelConfig
from aisle_server.repository.dependencies import composing_models
from aisle_server.repository.ensemble_consistency import check_ensemble
from aisle_server.repository.serving_table import ServingTable


def step_configs(config: ModelConfig, table: ServingTable) -> list[ModelConfig]:
    """Return the configuration of the model of each step.

    Args:
        config: Validated.
        table: What is in service.

    Returns:
        In the order of the steps; none for a model that is no ensemble.

    Raises:
        InvalidArgumentError: A model is not there, not loaded, or does not fit the ensemble.
        UnsupportedError: A model is decoupled.
    """
    scheduling = config.ensemble_scheduling
    if scheduling is None:
        return []
    unknown = [name for name in composing_models(config) if _is_unknown(name, table)]
    if unknown:
        raise InvalidArgumentError(
            f"ensemble {config.name} contains models that are not available or ambiguous: {', '.join(unknown)}"
        )
    configs = [_step_config(config.name, step, table) for step in scheduling.steps]
    decoupled = next((each.name for each in (config, *configs) if each.decoupled), None)
    if decoupled is not None:
        raise UnsupportedError(
            f"ensemble '{config.name}' cannot be served: '{decoupled}' is decoupled, and each step of an ensemble is answered once"
        )
    check_ensemble(config, configs)
    return configs


def _is_unknown(name: str, table: ServingTable) -> bool:
    return name not in table.models or table.models[name].failure == messages.DUPLICATE_MODEL


def _step_config(ensemble: str, step: EnsembleStep, table: ServingTable) -> ModelConfig:
    name = step.model_name
    served = table.find(name, step.model_version)
    if served is not None:
        return served.config
    depends = f"ensemble '{ensemble}' depends on '{name}'"
    model = table.models[name]
    if model.ready_versions():
        raise InvalidArgumentError(f"{depends} whose required version {step.model_version} is not loaded")
    reasons = [(number, each.reason) for number, each in sorted(model.versions.items())]
    reason = model.failure or messages.version_states(reasons).rstrip()
    raise InvalidArgumentError(
        f"{depends} which has no loaded version. Model '{name}' loading failed with error: {reason}"
    )
