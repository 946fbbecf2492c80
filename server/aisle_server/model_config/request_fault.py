"""The words for a request that does not fit a model configuration, by what it says of its tensors and whatever they hold.

Nothing here runs for a request that fits, so it may look at everything in turn: the first fault in Triton's order is told.

Source: Triton, order and texts of request normalization.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aisle_protocol.datatypes import DATATYPES
from aisle_server import messages
from aisle_server.model_config.schema import ModelConfig, ModelInput

# Of each input that came: its datatype, as the request says, and its shape, which may be anything at all.
Described = Mapping[str, tuple[str, Sequence[int]]]


def request_fault(
    config: ModelConfig, requested_outputs: Sequence[str], inputs: Described, log_prefix: str
) -> str | None:
    """Return what is wrong with a request; None when its data alone can be.

    Args:
        config: Of the model, complete and validated.
        requested_outputs: Names.
        inputs: By name.
        log_prefix: `InferenceRequest.log_prefix()`.
    """
    known = {tensor.name for tensor in config.outputs}
    for name in requested_outputs:
        if name not in known:
            return messages.unexpected_output(name, config.name)
    fault = _names_fault(config, inputs, log_prefix)
    if fault is None and config.is_batching:
        fault = _batch_fault(config, inputs, log_prefix)
    expected = {tensor.name: tensor for tensor in config.inputs}
    for name, (datatype, shape) in inputs.items():
        fault = fault or _tensor_fault(config, expected[name], datatype, shape, log_prefix)
    return fault


def _names_fault(config: ModelConfig, inputs: Described, log_prefix: str) -> str | None:
    expected = {tensor.name for tensor in config.inputs}
    required = [tensor.name for tensor in config.inputs if not tensor.optional]
    missing = [name for name in required if name not in inputs]
    unknown = next((name for name in sorted(inputs) if name not in expected), None)
    count_fits = len(required) <= len(inputs) <= len(config.inputs)
    # An unknown name beside the right number of inputs is most likely a misspelt one.
    if count_fits and unknown is not None:
        return messages.unexpected_input(unknown, config.name)
    if missing or not count_fits:
        return messages.wrong_inputs(log_prefix, config.name, list(inputs), missing, len(required), len(config.inputs))
    return None


def _batch_fault(config: ModelConfig, inputs: Described, log_prefix: str) -> str | None:
    rows: int | None = None
    for name, (_, shape) in inputs.items():
        if not shape:
            return messages.no_batch_dimension(log_prefix, name, config.name)
        if rows is not None and shape[0] != rows:
            return messages.unequal_batch_sizes(log_prefix, name, config.name)
        rows = shape[0]
    if rows is not None and rows > config.max_batch_size:
        return messages.batch_too_large(log_prefix, config.max_batch_size, config.name)
    return None


def _tensor_fault(
    config: ModelConfig, expected: ModelInput, datatype: str, shape: Sequence[int], log_prefix: str
) -> str | None:
    name, model = expected.name, config.name
    if datatype not in DATATYPES:
        return messages.invalid_datatype(log_prefix, name, model, datatype, expected.datatype)
    if datatype != expected.datatype:
        return messages.wrong_datatype(log_prefix, name, model, datatype, expected.datatype)
    given = shape[1:] if config.is_batching else shape
    if len(given) != len(expected.dims):
        return messages.wrong_shape(log_prefix, name, model, shape, expected.dims, config.is_batching)
    for got, wanted in zip(given, expected.dims, strict=True):
        if got == -1:
            return messages.dimension_unspecified(log_prefix, name, model, shape)
        if wanted not in (-1, got):
            return messages.wrong_shape(log_prefix, name, model, shape, expected.dims, config.is_batching)
    if -1 in shape:
        return messages.dimension_unspecified(log_prefix, name, model, shape)
    if any(dim < 0 for dim in shape):
        return messages.dimension_invalid(name, shape)
    return None
