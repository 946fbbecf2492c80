"""Warm-up requests: what every instance executes before its model is ready, made from the model configuration."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aisle_protocol.datatypes import dtype_of
from aisle_server.errors import InferenceServerError, InvalidArgumentError
from aisle_server.inference import InferenceRequest, Tensor
from aisle_server.instance_group.tensor_file import read_tensor_file
from aisle_server.model_config.schema import ModelConfig, Warmup, WarmupInput

WARMUP_DIRECTORY = "warmup"
MAX_ELEMENTS = 1 << 26

# Valid in every integer datatype, and for a row of most embedding tables: a warm-up that is out of range would fail the load.
_RANDOM_INTEGERS = 100


@dataclass(frozen=True, slots=True, eq=False)
class WarmupSample:
    """Requests that an instance executes together, and how often.

    Attributes:
        name: For messages.
        requests: One or more, of one row each.
        count: 1 or more.
    """

    name: str
    requests: tuple[InferenceRequest, ...]
    count: int


def load_warmup_samples(config: ModelConfig, model_directory: Path) -> tuple[WarmupSample, ...]:
    """Make the requests that warm a model up. Blocks: reads files.

    Args:
        config: The model configuration, complete.
        model_directory: `<repository>/<model>`; files of raw contents lie in its folder `warmup`.

    Raises:
        InvalidArgumentError: `failed to run warmup sample '<name>': <why>; `: the data cannot be made, or its file is missing, lies
            elsewhere, or does not hold what the dims say.

    Source: Triton model configuration, "Model Warmup".
    """
    return tuple(_sample(config, warmup, model_directory / WARMUP_DIRECTORY) for warmup in config.warmups)


def _sample(config: ModelConfig, warmup: Warmup, directory: Path) -> WarmupSample:
    rows = max(1, warmup.batch_size)
    try:
        if rows > max(1, config.max_batch_size):
            raise InvalidArgumentError(
                f"batch size {rows} is too large for model '{config.name}', expected at most {max(1, config.max_batch_size)}"
            )
        inputs = {name: _tensor(name, given, config, directory) for name, given in warmup.inputs.items()}
    except InferenceServerError as error:
        raise type(error)(f"failed to run warmup sample '{warmup.name}': {error.message}; ") from None
    # Triton warms up with `batch_size` requests of one row each, executed together.
    request = InferenceRequest(model_name=config.name, inputs=inputs)
    return WarmupSample(warmup.name, (request,) * rows, max(1, warmup.count))


def _tensor(name: str, given: WarmupInput, config: ModelConfig, directory: Path) -> Tensor:
    if any(dim < 0 for dim in given.dims):
        raise InvalidArgumentError(f"input '{name}' has dims {list(given.dims)}, expected every dim to be given")
    shape = (1, *given.dims) if config.is_batching else given.dims
    if math.prod(shape) > MAX_ELEMENTS:
        raise InvalidArgumentError(
            f"input '{name}' has dims {list(given.dims)}, expected at most {MAX_ELEMENTS} elements"
        )
    if given.input_data_file:
        return Tensor(
            name, given.datatype, read_tensor_file(directory, given.input_data_file, name, given.datatype, shape)
        )
    make = _random if given.random_data else _zeros
    return Tensor(name, given.datatype, make(given.datatype, shape))


def _zeros(datatype: str, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    if datatype == "BYTES":
        return np.full(shape, b"", dtype=object)
    return np.zeros(shape, dtype_of(datatype))


def _random(datatype: str, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    # Seeded: a model that loads today loads tomorrow.
    generator = np.random.default_rng(0)
    if datatype == "BYTES":
        texts = [str(number).encode() for number in generator.integers(0, _RANDOM_INTEGERS, math.prod(shape))]
        elements = np.empty(len(texts), dtype=object)
        elements[:] = texts
        return elements.reshape(shape)
    if datatype == "BF16":
        return (generator.random(shape, dtype=np.float32).view(np.uint32) >> 16).astype(np.uint16)
    dtype = dtype_of(datatype)
    if dtype.kind == "f":
        return generator.random(shape).astype(dtype)
    high = 2 if dtype.kind == "b" else _RANDOM_INTEGERS
    return generator.integers(0, high, shape).astype(dtype)
