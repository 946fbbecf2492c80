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


def wrong_inputs(model: str, given: Sequence[str], missing: Sequence[str], required: int, total: int) -> str:
    """Too few or too many inputs, or not the required ones.

    Args:
        model: Which model.
        given: Names that came.
        missing: Required names that did not, in the order of the model configuration.
        required: Inputs that are not optional.
        total: Inputs of the model.
    """
    count = f"{total} inputs" if required == total else f"number of inputs between {required} and {total}"
    text = f"expected {count} but got {len(given)} inputs for model '{model}'. Got input(s) [{_quoted(sorted(given))}]"
    if missing:
        text += f", but missing required input(s) [{_quoted(missing)}]. Please provide all required input(s)"
    return f"{text}."


def no_batch_dimension(log_prefix: str, name: str, model: str) -> str:
    """A scalar came for a model that batches."""
    return f"{log_prefix}input '{name}' has no shape but model requires batch dimension for '{model}'"


def unequal_batch_sizes(log_prefix: str, name: str, model: str) -> str:
    """Two inputs of one request have different numbers of rows."""
    return f"{log_prefix}input '{name}' batch size does not match other inputs for '{model}'"


def wrong_datatype(log_prefix: str, name: str, model: str, given: str, expected: str) -> str:
    """An input has another datatype than the model configuration says."""
    return f"{log_prefix}inference input '{name}' data-type is '{given}', but model '{model}' expects '{expected}'"


def wrong_shape(
    log_prefix: str, name: str, model: str, given: Sequence[int], dims: Sequence[int], is_batching: bool
) -> str:
    """An input has another shape than the model configuration says. What to send instead is ours to add.

    Args:
        log_prefix: `InferenceRequest.log_prefix()`.
        name: Of the input.
        model: Which model.
        given: The shape that came.
        dims: The shape that the configuration says, without the batch dimension.
        is_batching: Whether the model wants a batch dimension in front.
    """
    if not is_batching:
        expected = dims_text(dims)
        return f"{log_prefix}unexpected shape for input '{name}' for model '{model}'. Expected {expected}, got {dims_text(given)}. "
    return (
        f"{log_prefix}unexpected shape for input '{name}' for model '{model}'."
        f" Expected {dims_text((-1, *dims))}, got {dims_text(given)}."
        " NOTE: Setting a non-zero max_batch_size in the model config requires a batch dimension to be prepended to each input shape."
        " If you want to specify the full shape including the batch dim in your input dims config, try setting max_batch_size to zero."
        " See the model configuration docs for more info on max_batch_size."
        f" Send one element as shape {dims_text((1, *dims))}, N of them as {dims_text(dims).replace('[', '[N,', 1)}."
    )


def decoupled_model() -> str:
    """A model that may answer any number of times was asked for one answer."""
    return "ModelInfer RPC doesn't support models with decoupled transaction policy"


def no_version_to_load(model: str) -> str:
    """The version policy leaves nothing of what the model directory holds."""
    return f"at least one version must be available under the version policy of model '{model}'"


def load_failed(model: str, reasons: Sequence[tuple[int, str]]) -> str:
    """A model that was found could not be loaded.

    Args:
        model: Which model.
        reasons: Versions and why each is not served.
    """
    states = "".join(f"version {version} is at UNAVAILABLE state: {reason};\n" for version, reason in reasons)
    return f"load failed for model '{model}': {states}"


def failed_to_poll(model: str) -> str:
    """A model is in no repository, or what is there cannot be read."""
    return f"failed to load '{model}', failed to poll from model repository"


EMPTY_MODEL_NAME = "Model name cannot be empty. Please enter a valid name to deploy."
DUPLICATE_MODEL = "model appears in two or more repositories"
UNLOADED = "unloaded"


def unsafe_model_name(name: str) -> str:
    """A model name that could lead out of the repository."""
    return f"invalid model name '{name}', model name must not contain path traversal characters"


def model_not_available(name: str) -> str:
    """Statistics of a model that is unknown or not ready."""
    return f"requested model '{name}' is not available"


def model_version_not_available(name: str) -> str:
    """Statistics of a model version that is unknown or not ready."""
    return f"requested model version is not available for model '{name}'"


def _quoted(names: Sequence[str]) -> str:
    return ",".join(f"'{name}'" for name in names)
