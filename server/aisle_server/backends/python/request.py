"""`pb_utils.InferenceRequest`: what `execute` is given, and what a model composes to execute another.

Source: Triton's python backend, `triton_python_backend_utils`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, overload

from aisle_server.backends.backend import ModelCaller
from aisle_server.backends.python.current_model import current_model
from aisle_server.backends.python.errors import TritonModelException
from aisle_server.backends.python.model_execution import ModelExecution
from aisle_server.backends.python.response import InferenceResponse
from aisle_server.backends.python.response_sender import InferenceResponseSender, caller_has_left
from aisle_server.backends.python.tensor import Tensor
from aisle_server.inference import InferenceRequest as ServerRequest
from aisle_server.inference import ParameterValue

LATEST_VERSION = -1


@dataclass(frozen=True, slots=True)
class PreferredMemory:
    """Where a model would like to have the tensors of a response. They stand in the memory of the CPU, as Triton may decide, too.

    Attributes:
        preferred_memory_type: TRITONSERVER_MEMORY_CPU or TRITONSERVER_MEMORY_GPU.
        preferred_device_id: Which GPU.
    """

    preferred_memory_type: int
    preferred_device_id: int = 0


class InferenceRequest:
    """One caller's request, as a python model sees it."""

    def __init__(
        self,
        request_id: str = "",
        correlation_id: int | str = 0,
        inputs: Sequence[Tensor] = (),
        requested_output_names: Sequence[str] = (),
        model_name: str = "",
        model_version: int = LATEST_VERSION,
        flags: int = 0,
        timeout: int = 0,
        preferred_memory: PreferredMemory | None = None,
        trace: Any = None,
        parameters: Mapping[str, ParameterValue] | None = None,
    ) -> None:
        """Compose a request.

        Args:
            request_id: The caller's; empty for none.
            correlation_id: Of the sequence that the request belongs to; 0 for none.
            inputs: Its tensors.
            requested_output_names: Outputs that the caller wants.
            model_name: Which model.
            model_version: Which version; -1 for the latest.
            flags: Of a sequence: 1 for its start, 2 for its end.
            timeout: Microseconds that the request may wait in a queue; 0 for no bound.
            preferred_memory: Taken and not used: tensors stand in the memory of the CPU.
            trace: Taken and not used.
            parameters: The caller's.
        """
        self._request_id = request_id
        self._correlation_id = correlation_id
        self._inputs = list(inputs)
        self._requested_output_names = list(requested_output_names)
        self._model_name = model_name
        self._model_version = model_version
        self._flags = flags
        self._timeout = timeout
        self._parameters: Mapping[str, ParameterValue] = parameters or {}
        self._has_left: Callable[[], bool] | None = None
        self._open_response_sender: Callable[[], InferenceResponseSender] | None = None
        self._response_sender: InferenceResponseSender | None = None

    @classmethod
    def of_caller(
        cls,
        request: ServerRequest,
        output_names: Sequence[str],
        open_response_sender: Callable[[], InferenceResponseSender] | None = None,
    ) -> InferenceRequest:
        """Show a request of the server to a model. Not of Triton's interface.

        Args:
            request: Of the server.
            output_names: All outputs of the model, which a caller who names none wants.
            open_response_sender: Gives what takes responses beside those that `execute` returns; None for none.
        """
        own = cls(
            request_id=request.id,
            inputs=[Tensor.of_input(name, tensor.data) for name, tensor in request.inputs.items()],
            requested_output_names=request.requested_outputs or output_names,
            model_name=request.model_name,
            model_version=request.model_version,
            timeout=request.timeout_us,
            parameters=request.parameters,
            correlation_id=request.sequence_id,
            flags=_flags_of(request),
        )
        own._has_left = partial(caller_has_left, request.cancellation, request.deadline_ns)
        own._open_response_sender = open_response_sender
        return own

    def inputs(self) -> list[Tensor]:
        """Return the tensors that came; an optional input may be missing."""
        return self._inputs

    def request_id(self) -> str:
        """Return the caller's id, empty for none."""
        return self._request_id

    def correlation_id(self) -> int | str:
        """Return the id of the sequence that the request belongs to, 0 for none."""
        return self._correlation_id

    def requested_output_names(self) -> list[str]:
        """Return the outputs that the caller wants; others need not be computed."""
        return self._requested_output_names

    def parameters(self) -> str:
        """Return the caller's parameters as a JSON object."""
        return json.dumps(dict(self._parameters))

    def timeout(self) -> int:
        """Return the microseconds that the request may wait in a queue, 0 for no bound."""
        return self._timeout

    def flags(self) -> int:
        """Return the flags of a sequence."""
        return self._flags

    def set_flags(self, flags: int) -> None:
        """Set the flags of a sequence."""
        self._flags = flags

    def is_cancelled(self) -> bool:
        """Return whether nobody waits for the answer any more: the caller has left, or the caller's deadline has passed."""
        return self._has_left is not None and self._has_left()

    @overload
    def exec(self, decoupled: Literal[False] = False) -> InferenceResponse: ...
    @overload
    def exec(self, decoupled: Literal[True]) -> Iterator[InferenceResponse]: ...
    def exec(self, decoupled: bool = False) -> InferenceResponse | Iterator[InferenceResponse]:
        """Execute the model that this request names, and wait for what it answers.

        Args:
            decoupled: Take any number of responses, as models that are decoupled give.

        Returns:
            The response, which may be an error; an iterator of responses when `decoupled`.

        Raises:
            TritonModelException: The request cannot be sent: no model is named, an input has elements that no datatype holds, or the
                code that calls belongs to no model.
        """
        execution = ModelExecution(self.to_server_request(), _model_caller())
        return iter(execution) if decoupled else execution.wait()

    @overload
    async def async_exec(self, decoupled: Literal[False] = False) -> InferenceResponse: ...
    @overload
    async def async_exec(self, decoupled: Literal[True]) -> Iterator[InferenceResponse]: ...
    async def async_exec(self, decoupled: bool = False) -> InferenceResponse | Iterator[InferenceResponse]:
        """Execute as `exec` does; other coroutines of the model run while this waits for the one response."""
        execution = ModelExecution(self.to_server_request(), _model_caller())
        return iter(execution) if decoupled else await execution

    def to_server_request(self) -> ServerRequest:
        """Return this request as the server takes it. Not of Triton's interface.

        Raises:
            TritonModelException: No model is named, or an input has elements that no datatype holds.
        """
        if not self._model_name:
            raise TritonModelException("the request names no model; expected model_name")
        return ServerRequest(
            model_name=self._model_name,
            inputs={tensor.name(): tensor.to_server_tensor() for tensor in self._inputs},
            model_version=self._model_version,
            id=self._request_id,
            requested_outputs=tuple(self._requested_output_names),
            parameters=self._parameters,
            timeout_us=self._timeout,
            sequence_id=self._correlation_id,
            sequence_start=bool(self._flags & TRITONSERVER_REQUEST_FLAG_SEQUENCE_START),
            sequence_end=bool(self._flags & TRITONSERVER_REQUEST_FLAG_SEQUENCE_END),
        )

    def get_response_sender(self) -> InferenceResponseSender:
        """Return what sends responses to this request's caller, now or later.

        A decoupled model sends as many as it likes, and ends with TRITONSERVER_RESPONSE_COMPLETE_FINAL. Another model may send its one
        response this way; `execute` then returns None in its place, or None for all.

        Raises:
            TritonModelException: The model composed this request itself, to execute another model.
        """
        if self._open_response_sender is None:
            raise TritonModelException("a request that a model has composed has no response sender")
        if self._response_sender is None:
            self._response_sender = self._open_response_sender()
        return self._response_sender

    def set_release_flags(self, flags: int) -> None:
        """Accept the release of a request when it is answered, and refuse to execute it again.

        Raises:
            TritonModelException: The flags ask for another execution.
        """
        if flags & TRITONSERVER_REQUEST_RELEASE_RESCHEDULE:
            raise TritonModelException("rescheduling a request is not supported by this server")


def _model_caller() -> ModelCaller:
    model = current_model()
    if model is None or model.model_caller is None:
        raise TritonModelException(
            "other models can be executed from a model's code alone, and here is no server that has any"
        )
    return model.model_caller


def _flags_of(request: ServerRequest) -> int:
    start = TRITONSERVER_REQUEST_FLAG_SEQUENCE_START if request.sequence_start else 0
    return start | (TRITONSERVER_REQUEST_FLAG_SEQUENCE_END if request.sequence_end else 0)


def get_input_tensor_by_name(inference_request: InferenceRequest, name: str) -> Tensor | None:
    """Return an input of a request, None when it did not come."""
    return next((tensor for tensor in inference_request.inputs() if tensor.name() == name), None)


TRITONSERVER_MEMORY_CPU = 0
TRITONSERVER_MEMORY_GPU = 2
TRITONSERVER_REQUEST_FLAG_SEQUENCE_START = 1
TRITONSERVER_REQUEST_FLAG_SEQUENCE_END = 2
TRITONSERVER_REQUEST_RELEASE_ALL = 1
TRITONSERVER_REQUEST_RELEASE_RESCHEDULE = 2
