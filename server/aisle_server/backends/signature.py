"""Completes a model configuration from the signature in a model file, and checks the two against each other."""

from __future__ import annotations

from collections.abc import Sequence

from aisle_server.backends.backend import BackendOptions
from aisle_server.errors import InvalidArgumentError
from aisle_server.model_config.autocomplete import (
    DEFAULT_MAX_BATCH_SIZE,
    SignatureTensor,
    check_against_signature,
    complete_from_signature,
)
from aisle_server.model_config.schema import ModelConfig


def completed(
    config: ModelConfig,
    inputs: Sequence[SignatureTensor],
    outputs: Sequence[SignatureTensor],
    options: BackendOptions,
) -> ModelConfig:
    """Return the configuration, completed from a signature that it fits.

    Args:
        config: Validated, maybe incomplete.
        inputs: What the model takes.
        outputs: What the model gives.
        options: Whether to complete anything; its setting `default-max-batch-size` is for models that batch and do not say how much.

    Raises:
        InvalidArgumentError: The setting is no number, or the configuration does not fit.
        InternalError: The configuration contradicts itself, or wants a batch dimension that the model lacks.
    """
    if not options.auto_complete_config:
        check_against_signature(config, inputs, outputs)
        return config
    text = options.settings.get("default-max-batch-size", str(DEFAULT_MAX_BATCH_SIZE))
    if not (text.isascii() and text.isdecimal()) or len(text) > 9:
        raise InvalidArgumentError(f"backend setting 'default-max-batch-size' is '{text}'; expected a whole number")
    config = complete_from_signature(config, inputs, outputs, int(text))
    check_against_signature(config, inputs, outputs)
    return config
