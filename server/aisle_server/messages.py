"""Texts that Triton's clients and their tests compare, word for word. Texts of our own stand where they are raised.

Source: Triton Inference Server, error texts of core and frontends.
"""

from __future__ import annotations

from collections.abc import Sequence

QUEUE_TIMEOUT = "Request timeout expired"
SERVER_EXITING = "Server exiting"
LOAD_NOT_ALLOWED = "explicit model load / unload is not allowed if polling is enabled"
REPOSITORY_NAME_UNSUPPORTED = "'repository_name' specification is not supported"


def dims_text(dims: Sequence[int]) -> str:
    """Write dimensions as Triton does: `[-1,16]`."""
    return f"[{','.join(map(str, dims))}]"


def queue_full(log_prefix: str) -> str:
    """The queue had no room for a request."""
    return f"{log_prefix}Exceeds maximum queue size"


def scheduler_stopping(log_prefix: str) -> str:
    """A request came while its model was being unloaded or the server stopped."""
    return f"{log_prefix}Server is stopping, scheduler for model has stopped accepting new inference requests"


def unknown_model(name: str) -> str:
    """No such model was ever loaded."""
    return f"Request for unknown model: '{name}' is not found"


def unknown_version(name: str, version: int) -> str:
    """The model has no such version."""
    return f"Request for unknown model: '{name}' version {version} is not found"


def no_available_versions(name: str) -> str:
    """The latest version was asked for, and none is ready."""
    return f"Request for unknown model: '{name}' has no available versions"


def version_not_ready(name: str, version: int) -> str:
    """The version is known, and is loading, unloading or broken."""
    return f"Request for unknown model: '{name}' version {version} is not at ready state"


def unexpected_output(output: str, model: str) -> str:
    """A requested output is not the model's."""
    return f"unexpected inference output '{output}' for model '{model}'"


def unexpected_input(name: str, model: str) -> str:
    """A given input is not the model's."""
    return f"unexpected inference input '{name}' for model '{model}'"


def batch_too_large(log_prefix: str, limit: int, model: str) -> str:
    """More rows in one request than the model takes."""
    return f"{log_prefix}inference request batch-size must be <= {limit} for '{model}'"


def in_ensemble(ensemble: str, message: str) -> str:
    """A step of an ensemble failed."""
    return f"in ensemble '{ensemble}', {message}"
