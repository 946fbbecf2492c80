"""What travels through the server: tensors, a request, its responses. All of it frozen, none of it tied to a transport."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
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


class Trace:
    """What one model did with one request, and when; kept for a caller whose request is traced. The event loop alone writes it.

    It is over when everybody who held it has let go, for a decoupled model may still execute when its last response has come.

    Attributes:
        id: Counted over all traces of the server, from 1.
        parent_id: Of the trace of the ensemble that this request is a step of; 0 for a caller's.
        request: As the model got it; None until it did.
        model_version: Which version of the model was asked.
        events: Names, and monotonic times in nanoseconds, in no order.
        tensors: Activity and tensor, when tensors are traced.
        children: Of the steps, for an ensemble.
    """

    __slots__ = (
        "_holders",
        "_new_id",
        "_when_over",
        "children",
        "events",
        "has_tensors",
        "id",
        "model_version",
        "parent_id",
        "request",
        "tensors",
    )

    def __init__(
        self,
        new_id: Callable[[], int],
        *,
        parent_id: int = 0,
        has_tensors: bool = False,
        when_over: Callable[[], None] = lambda: None,
    ) -> None:
        """Begin a trace, held by whoever begins it.

        Args:
            new_id: Counts traces.
            parent_id: Of the trace that this is a part of.
            has_tensors: Keep the tensors too.
            when_over: Called once, when nobody holds it any more.
        """
        self.id = new_id()
        self.parent_id = parent_id
        self.has_tensors = has_tensors
        self.request: InferenceRequest | None = None
        self.model_version = 0
        self.events: list[tuple[str, int]] = []
        self.tensors: list[tuple[str, Tensor]] = []
        self.children: list[Trace] = []
        self._new_id = new_id
        self._when_over = when_over
        self._holders = 1

    def child(self) -> Trace:
        """Begin the trace of a step."""
        trace = Trace(self._new_id, parent_id=self.id, has_tensors=self.has_tensors)
        self.children.append(trace)
        return trace

    def begin(self, request: InferenceRequest, model_version: int) -> None:
        """Note that a model has got the request."""
        self.request, self.model_version = request, model_version
        self.add("REQUEST_START")
        if self.has_tensors:
            self.tensors += [("TENSOR_QUEUE_INPUT", tensor) for tensor in request.inputs.values()]

    def add(self, name: str, ns: int | None = None) -> None:
        """Note an event, of this moment unless another is given."""
        self.events.append((name, time.monotonic_ns() if ns is None else ns))

    def add_response(self, response: InferenceResponse) -> None:
        """Note what the model answered."""
        if self.has_tensors:
            self.tensors += [("TENSOR_BACKEND_OUTPUT", tensor) for tensor in response.outputs]

    def add_execution(self, start_ns: int, end_ns: int, times: ComputeTimes | None) -> None:
        """Note when the batch of the request was executed.

        Args:
            start_ns: When an instance took it.
            end_ns: When the instance was done with it.
            times: Of its parts; None when it failed as a whole.
        """
        output_start_ns = end_ns - times.output_ns if times else end_ns
        self.add("COMPUTE_START", start_ns)
        self.add("COMPUTE_INPUT_END", start_ns + times.input_ns if times else end_ns)
        self.add("COMPUTE_OUTPUT_START", output_start_ns)
        self.add("COMPUTE_END", end_ns)

    def hold(self) -> None:
        """Say that there will be more."""
        self._holders += 1

    def let_go(self) -> None:
        """Say that there will be no more; once for each hold, and for the beginning."""
        self._holders -= 1
        if not self._holders:
            if self.request is not None:
                self.add("REQUEST_END")
            self._when_over()


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
        trace: Where to note what is done with it; None for most requests.
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
    trace: Trace | None = None

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
    """

    model_name: str
    model_version: int
    id: str = ""
    outputs: tuple[Tensor, ...] = ()
    parameters: Mapping[str, ParameterValue] = field(default_factory=lambda: _NO_PARAMETERS)
    times: ComputeTimes = ComputeTimes()

    def timed(self, times: ComputeTimes) -> InferenceResponse:
        """Return the same response with the times of its batch."""
        return InferenceResponse(self.model_name, self.model_version, self.id, self.outputs, self.parameters, times)

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
