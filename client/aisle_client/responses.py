"""What a server answers, as frozen records that know nothing of the wire."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

Parameter = bool | int | float | str


@dataclass(frozen=True, slots=True)
class RequestedOutput:
    """An output to ask for.

    Attributes:
        name: The output tensor's name.
        classification: 0 for the tensor itself; k for the k best classes as BYTES `value:index:label`.
    """

    name: str
    classification: int = 0


@dataclass(frozen=True, slots=True)
class InferResult:
    """One answer of a model.

    Attributes:
        outputs: Arrays by output name; fixed-size ones are read-only views of the message.
        model: The model that answered.
        version: The version that ran.
        id: The id the request went out with.
        parameters: Parameters of the response.
    """

    outputs: Mapping[str, npt.NDArray[Any]]
    model: str
    version: str
    id: str
    parameters: Mapping[str, Parameter]


@dataclass(frozen=True, slots=True)
class TensorMetadata:
    """An input or output of a model: name, datatype and shape, -1 where any size goes."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ModelMetadata:
    """What goes into a model and what comes out."""

    name: str
    versions: tuple[str, ...]
    platform: str
    inputs: tuple[TensorMetadata, ...]
    outputs: tuple[TensorMetadata, ...]


@dataclass(frozen=True, slots=True)
class ServerMetadata:
    """Who answers, and which extensions it speaks."""

    name: str
    version: str
    extensions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ModelIndex:
    """A model of the repository, its state (`READY`, `UNAVAILABLE`, ...) and the reason for it."""

    name: str
    version: str
    state: str
    reason: str


@dataclass(frozen=True, slots=True)
class Duration:
    """How often something happened, and how long it took in all, in nanoseconds."""

    count: int
    ns: int


@dataclass(frozen=True, slots=True)
class ModelStatistics:
    """Figures of one version of a model since it was loaded.

    Attributes:
        name: Model.
        version: Version.
        last_inference_ms: Milliseconds since the epoch.
        inference_count: Rows inferred.
        execution_count: Batches executed; fewer than rows where the batcher batches.
        durations: By stage: `success`, `fail`, `queue`, `compute_input`, `compute_infer`, `compute_output`, ...
        executions: By batch size: the batches executed and their inference time.
    """

    name: str
    version: str
    last_inference_ms: int
    inference_count: int
    execution_count: int
    durations: Mapping[str, Duration]
    executions: Mapping[int, Duration]
