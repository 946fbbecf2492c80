"""Reads numbers from the parameters of a model configuration, which are text."""

from __future__ import annotations

from aisle_server.errors import InvalidArgumentError
from aisle_server.model_config.schema import ModelConfig

_LARGEST = 2**31 - 1


def count_parameter(config: ModelConfig, key: str, default: int) -> int:
    """Return a parameter that counts something.

    Args:
        config: Of the model.
        key: Of the parameter.
        default: When the configuration has no such parameter.

    Raises:
        InvalidArgumentError: It is no whole number from 0 to 2147483647.
    """
    text = config.parameters.get(key)
    if text is None:
        return default
    # isdecimal alone would take digits of other scripts as well, and int() a million of them.
    if not (text.isascii() and text.isdecimal()) or len(text) > 10 or int(text) > _LARGEST:
        raise InvalidArgumentError(
            f"parameter '{key}' of model '{config.name}' is '{text}'; expected a whole number from 0 to {_LARGEST}"
        )
    return int(text)
