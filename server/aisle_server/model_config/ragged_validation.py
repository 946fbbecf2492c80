"""Whether the `batch_input` and `batch_output` of a model configuration make sense.

Source: Triton, "Ragged Batching".
"""

from __future__ import annotations

from typing import Final

from aisle_server.errors import InvalidArgumentError
from aisle_server.model_config.ragged import BatchInput, BatchOutput
from aisle_server.model_config.schema import ModelConfig, ModelInput

_DATATYPES: Final = ("INT32", "FP32")


def validate_batch_tensors(config: ModelConfig) -> None:
    """Check what a model is told of ragged batches, and how it is answered.

    Raises:
        InvalidArgumentError: A name, a datatype or a rank is not as it must be, or the model does not batch.
    """
    for batch_input in config.batch_inputs:
        _source(config, "batch input", batch_input)
        if batch_input.datatype not in _DATATYPES:
            raise InvalidArgumentError(
                f"batch input '{batch_input.target_names[0]}' of {config.name} is {batch_input.datatype or 'of no datatype'};"
                " expected TYPE_INT32 or TYPE_FP32"
            )
    for batch_output in config.batch_outputs:
        source = _source(config, "batch output", batch_output)
        for name in batch_output.target_names:
            output = config.output(name)
            if output is None or len(output.dims) > len(source.dims):
                raise InvalidArgumentError(
                    f"batch output '{name}' of {config.name} must be an output of no more dimensions than its source input"
                    f" '{source.name}'"
                )
    if (config.batch_inputs or config.batch_outputs) and not config.is_batching:
        raise InvalidArgumentError(f"batch inputs and outputs of {config.name} need a 'max_batch_size' of 1 or more")


def _source(config: ModelConfig, kind: str, tensor: BatchInput | BatchOutput) -> ModelInput:
    if not tensor.target_names:
        raise InvalidArgumentError(f"{kind} of {config.name} must specify 'target_name'")
    if len(tensor.source_inputs) != 1:
        count = len(tensor.source_inputs)
        raise InvalidArgumentError(
            f"{kind} '{tensor.target_names[0]}' of {config.name} has {count} source inputs; expected one"
        )
    source = config.input(tensor.source_inputs[0])
    if source is None or source.optional:
        raise InvalidArgumentError(
            f"{kind} '{tensor.target_names[0]}' of {config.name} has source input '{tensor.source_inputs[0]}'; expected an input"
            " that every request has"
        )
    return source
