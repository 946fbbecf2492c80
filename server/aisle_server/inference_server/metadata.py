"""What the server and its models say of themselves.

Source: Triton inference protocol, "Server Metadata" and "Model Metadata".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from aisle_server.model_config.schema import Dims, ModelConfig, ModelInput, ModelOutput

# Triton's, in its order: clients decide by these what they may ask for. CUDA memory is answered as by a Triton without GPUs.
EXTENSIONS: Final = (
    "classification",
    "sequence",
    "model_repository",
    "model_repository(unload_dependents)",
    "schedule_policy",
    "model_configuration",
    "system_shared_memory",
    "cuda_shared_memory",
    "binary_tensor_data",
    "parameters",
    "statistics",
    "trace",
    "logging",
)


@dataclass(frozen=True, slots=True)
class ServerMetadata:
    """Who answers.

    Attributes:
        name: Of the server.
        version: Of the server.
        extensions: Of the protocol, that it speaks.
    """

    name: str
    version: str
    extensions: tuple[str, ...] = EXTENSIONS


@dataclass(frozen=True, slots=True)
class TensorMetadata:
    """A tensor as callers see it.

    Attributes:
        name: Of the tensor.
        datatype: Name in the protocol.
        shape: With -1 for the batch dimension in front when the model batches; -1 is any size.
    """

    name: str
    datatype: str
    shape: Dims


@dataclass(frozen=True, slots=True)
class ModelMetadata:
    """A model as callers see it.

    Attributes:
        name: Of the model.
        versions: That are ready, ascending; only the one asked for when one was.
        platform: Of the model configuration, or its backend when it has none.
        inputs: In the order of the model configuration.
        outputs: In the order of the model configuration.
    """

    name: str
    versions: tuple[int, ...]
    platform: str
    inputs: tuple[TensorMetadata, ...]
    outputs: tuple[TensorMetadata, ...]


def describe_model(config: ModelConfig, versions: Sequence[int]) -> ModelMetadata:
    """Return a model's metadata.

    Args:
        config: Complete and validated.
        versions: To list.
    """
    return ModelMetadata(
        name=config.name,
        versions=tuple(versions),
        platform=config.platform or config.backend,
        inputs=_tensors(config, config.inputs),
        outputs=_tensors(config, config.outputs),
    )


def _tensors(config: ModelConfig, tensors: Sequence[ModelInput | ModelOutput]) -> tuple[TensorMetadata, ...]:
    batch = (-1,) if config.is_batching else ()
    return tuple(TensorMetadata(tensor.name, tensor.datatype, (*batch, *tensor.dims)) for tensor in tensors)
