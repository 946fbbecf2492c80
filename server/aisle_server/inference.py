"""What travels through the server: tensors, a request, its responses. All of it frozen, none of it tied to a transport."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy.typing as npt

from aisle_server.errors import InferenceServerError

ParameterValue: TypeAlias = bool | int | float | str
# A number of 64 bits or a text; 0 and the empty text stand for none.
SequenceId: TypeAlias = int | str

LATEST_VERSION = -1
_NO_PARAMETERS: Mapping[str, ParameterValue] = MappingProxyType({})


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """A named array.

    Attributes:
        name: As the model configuration names it.
        datatype: Name in the protocol, such as `FP32`.
        data: The elements, in full shape: with the batch dimension when the model has one. BYTES is an object array of `bytes`,
            BF16 a `uint16` array of bits. Nobody writes into it: steps of an ensemble and requests of a batch share it.
    """

    name: str
    datatype: str
    data: npt.NDArray[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """Dimensions, the batch dimension included."""
        return self.data.shape

    def renamed(self, name: str) -> Tensor:
        """Return the same array under another name."""
        return Tensor(name, self.datatype, self.data)


class Cancellation:
    """Whether the caller of a request has left. Written once, by the event loop; any thread may look.

    Attributes:
        is_requested: Nobody waits for the answer any more.
    """

    __slots__ = ("is_requested",)

    def __init__(self) -> None:
        self.is_requested = False

    def request(self) -> None:
        """Say that the caller has left."""
        self.is_requested = True


@dataclass(frozen=True, slots=True, eq=False)
class InferenceRequest:
    """One caller's request to run a model once.

    Attributes:
        model_name: Which model.
        model_version: Which version; LATEST_VERSION for the highest that is ready.
        id: The caller's, echoed in the response and put before error texts.
        inputs: By name; an optional input may be absent.
        requested_outputs: Names; empty stands for all of the model's outputs.
        parameters: For python models; the ones below are taken out.
        priority: Queue level, 1 first; 0 for the model's default.
        timeout_us: How long the caller would wait in the queue; 0 for the model's default.
        deadline_ns: Monotonic time after which nobody waits for the answer; None for never.
        batch_size: Rows; 1 when the model has no batch dimension, or when no input came.
        cancellation: The caller's leaving, for models that look while they execute.
        sequence_id: Of the sequence that it belongs to; 0 or empty for none.
        sequence_start: It is the first of its sequence.
        sequence_end: It is the last of its sequence.
    """

    model_name: str
    inputs: Mapping[str, Tensor]
    model_version: int = LATEST_VERSION
    id: str = ""
    requested_outputs: tuple[str, ...] = ()
    parameters: Mapping[str, ParameterValue] = field(default_factory=lambda: _NO_PARAMETERS)
    priority: int = 0
    timeout_us: int = 0
    deadline_ns: int | None = None
    batch_size: int = 1
    cancellation: Cancellation = field(default_factory=Cancellation)
    sequence_id: SequenceId = 0
    sequence_start: bool = False
    sequence_end: bool = False

    def log_prefix(self) -> str:
        """The words Triton puts before a message about a request, such as `[request id: 7] `."""
        return f"[request id: {self.id or '<id_unknown>'}] "

    def changed(self, **fields: Any) -> InferenceRequest:
        """Return a copy with other values."""
        return replace(self, **fields)


@dataclass(frozen=True, slots=True)
class ComputeTimes:
    """How long the batch that a request was part of took, in nanoseconds. An ensemble's are the sums over its steps."""

    input_ns: int = 0
    infer_ns: int = 0
    output_ns: int = 0

    def __add__(self, other: ComputeTimes) -> ComputeTimes:
        return ComputeTimes(
            self.input_ns + other.input_ns, self.infer_ns + other.infer_ns, self.output_ns + other.output_ns
        )


@dataclass(frozen=True, slots=True, eq=False)
class InferenceResponse:
    """What a model answered to one request.

    Attributes:
        model_name: Which model ran.
        model_version: Which version ran.
        id: The request's.
        outputs: Those requested, in the order of the request, else of the model configuration. A python model may leave some out.
        parameters: Set by python models.
        times: Of the batch this request was part of.
        timeline: Monotonic times, in nanoseconds, at which the request was queued and its batch begun; None for an ensemble's.
    """

    model_name: str
    model_version: int
    id: str = ""
    outputs: tuple[Tensor, ...] = ()
    parameters: Mapping[str, ParameterValue] = field(default_factory=lambda: _NO_PARAMETERS)
    times: ComputeTimes = ComputeTimes()
    timeline: tuple[int, int] | None = None

    def timed(self, times: ComputeTimes, timeline: tuple[int, int] | None = None) -> InferenceResponse:
        """Return the same response with the times of its batch."""
        return InferenceResponse(
            self.model_name, self.model_version, self.id, self.outputs, self.parameters, times, timeline
        )

    def output(self, name: str) -> Tensor | None:
        """Return an output by name, None when it is absent."""
        return next((tensor for tensor in self.outputs if tensor.name == name), None)


@dataclass(frozen=True, slots=True, eq=False)
class StreamedResponse:
    """One of the responses of a decoupled model, which may answer a request any number of times.

    Attributes:
        result: What the model answered; an error does not end the stream. None when nothing but the end was left to say.
        is_final: Whether it is the last.
    """

    result: InferenceResponse | InferenceServerError | None
    is_final: bool
