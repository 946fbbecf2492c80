"""Answers each INPUT<i> as OUTPUT<i>: for tests of everything around a model, and for measuring it.

Parameters of the model configuration:
    creation_delay_sec: Seconds that opening the model takes.
    execute_delay_ms: Milliseconds that an execution takes.
    instance_wise_delay_multiplier: The delay of instance i is multiplied by `max(1, multiplier * i)`.

Source: Triton's identity backend.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from aisle_server.backends.backend import BackendInstance, BackendOptions, Device, Execution
from aisle_server.errors import InvalidArgumentError
from aisle_server.inference import InferenceRequest, InferenceResponse, Tensor
from aisle_server.model_config.schema import ModelConfig


def open_identity_model(
    config: ModelConfig,
    version: int,
    version_directory: Path,
    options: BackendOptions,
) -> IdentityModel:
    """Open an identity model; see `BackendFactory`. Nothing is read from the version directory."""
    return IdentityModel(config, version)


class IdentityModel:
    """One version of a model without a network."""

    def __init__(self, config: ModelConfig, version: int) -> None:
        """Pair inputs with outputs, and take the time that opening takes.

        Raises:
            InvalidArgumentError: An output has no input of its number and datatype, or a parameter is no number of its kind.
        """
        self._config = config
        self._version = version
        self._sources = _sources(config)
        self._execute_delay_s = _number(config, "execute_delay_ms") / 1000
        self._multiplier = _number(config, "instance_wise_delay_multiplier")
        self._instance_indices = itertools.count()
        time.sleep(_number(config, "creation_delay_sec"))

    @property
    def config(self) -> ModelConfig:
        """The model configuration, as it came."""
        return self._config

    def create_instance(self, name: str, device: Device) -> IdentityInstance:
        """Create an executor; every device will do."""
        # next() on a count is one bytecode-atomic step, and instances are created on threads of their own.
        index = next(self._instance_indices)
        delay_s = self._execute_delay_s * max(1.0, self._multiplier * index)
        return IdentityInstance(self._config.name, self._version, self._sources, delay_s)

    def close(self) -> None:
        """Nothing is shared."""


class IdentityInstance(BackendInstance):
    """Hands inputs back under the names of outputs, without a copy."""

    def __init__(self, model_name: str, version: int, sources: Mapping[str, str], delay_s: float) -> None:
        """Take the pairs of output and input, and the seconds that an execution takes."""
        self._model_name = model_name
        self._version = version
        self._sources = sources
        self._delay_s = delay_s

    def execute(self, requests: Sequence[InferenceRequest]) -> Execution:
        """Answer each request with its own tensors. An output whose optional input is absent is absent."""
        start_ns = time.monotonic_ns()
        if self._delay_s:
            time.sleep(self._delay_s)
        end_ns = time.monotonic_ns()
        return Execution([self._answer(request) for request in requests], start_ns, end_ns)

    def finalize(self) -> None:
        """Nothing is held."""

    def _answer(self, request: InferenceRequest) -> InferenceResponse:
        outputs: list[Tensor] = []
        for name in request.requested_outputs or self._sources:
            tensor = request.inputs.get(self._sources[name])
            if tensor is not None:
                outputs.append(tensor.renamed(name))
        return InferenceResponse(self._model_name, self._version, request.id, tuple(outputs))


def _sources(config: ModelConfig) -> dict[str, str]:
    sources: dict[str, str] = {}
    for output in config.outputs:
        source = config.input(output.name.replace("OUTPUT", "INPUT", 1)) if "OUTPUT" in output.name else None
        if source is None or source.datatype != output.datatype:
            raise InvalidArgumentError(
                f"output '{output.name}' of identity model '{config.name}' has no input of the same number and datatype;"
                " expected inputs INPUT<i> and outputs OUTPUT<i>"
            )
        sources[output.name] = source.name
    return sources


def _number(config: ModelConfig, key: str) -> float:
    text = config.parameters.get(key, "0")
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise InvalidArgumentError(
            f"parameter '{key}' of model '{config.name}' is '{text}'; expected a number that is not negative"
        )
    return number
