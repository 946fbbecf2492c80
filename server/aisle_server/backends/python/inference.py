"""`pb_utils.InferenceRequest` and `pb_utils.InferenceResponse`: what `execute` is given, and what it gives back.

Source: Triton's python backend, `triton_python_backend_utils`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from aisle_server.backends.python.errors import TritonError, TritonModelException
from aisle_server.backends.python.tensor import Tensor
from aisle_server.inference import InferenceRequest as ServerRequest
from aisle_server.inference import ParameterValue

LATEST_VERSION = -1


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
        preferred_memory: Any = None,
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
        self._deadline_ns: int | None = None

    @classmethod
    def of_caller(cls, request: ServerRequest, output_names: Sequence[str]) -> InferenceRequest:
        """Show a request of the server to a model. Not of Triton's interface.

        Args:
            request: Of the server.
            output_names: All outputs of the model, which a caller who names none wants.
        """
        own = cls(
            request_id=request.id,
            inputs=[Tensor.of_input(name, tensor.data) for name, tensor in request.inputs.items()],
            requested_output_names=request.requested_outputs or output_names,
            model_name=request.model_name,
            model_version=request.model_version,
            timeout=request.timeout_us,
            parameters=request.parameters,
        )
        own._deadline_ns = request.deadline_ns
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
        """Return whether nobody waits for the answer any more, as far as it is known: the caller's deadline has passed."""
        return self._deadline_ns is not None and time.monotonic_ns() > self._deadline_ns

    def exec(self, decoupled: bool = False) -> NoReturn:
        """Refuse: a python model cannot call other models on this server."""
        raise TritonModelException(
            f"calling model '{self._model_name}' from a python model (business logic scripting) is not supported by this"
            " server; use an ensemble"
        )

    async def async_exec(self, decoupled: bool = False) -> NoReturn:
        """Refuse as `exec` does."""
        self.exec(decoupled)

    def get_response_sender(self) -> NoReturn:
        """Refuse: a request has one response on this server."""
        raise TritonModelException(
            "decoupled responses are not supported by this server; return one InferenceResponse for each request"
        )

    def set_release_flags(self, flags: int) -> None:
        """Accept the release of a request when it is answered, and refuse to execute it again.

        Raises:
            TritonModelException: The flags ask for another execution.
        """
        if flags & TRITONSERVER_REQUEST_RELEASE_RESCHEDULE:
            raise TritonModelException("rescheduling a request is not supported by this server")


class InferenceResponse:
    """The answer to one request: its tensors, or what was wrong with it."""

    def __init__(
        self,
        output_tensors: Sequence[Tensor] = (),
        error: TritonError | None = None,
        parameters: Mapping[str, ParameterValue] | None = None,
    ) -> None:
        """Compose an answer.

        Args:
            output_tensors: Outputs by name; those that the caller did not ask for are dropped.
            error: What was wrong; the tensors are ignored then.
            parameters: For the caller.

        Raises:
            TritonModelException: Something else than tensors, an error or parameters was given.
        """
        for tensor in output_tensors:
            if not isinstance(tensor, Tensor):
                raise TritonModelException(
                    f"a {type(tensor).__name__} was given as an output tensor; expected a Tensor"
                )
        if error is not None and not isinstance(error, TritonError):
            raise TritonModelException(f"a {type(error).__name__} was given as an error; expected a TritonError")
        for key, value in (parameters or {}).items():
            if not isinstance(key, str) or not isinstance(value, bool | int | float | str):
                raise TritonModelException(
                    f"response parameter {key!r} is a {type(value).__name__}; expected bool, int, float or str"
                )
        self._output_tensors = list(output_tensors)
        self._error = error
        self._parameters: Mapping[str, ParameterValue] = dict(parameters or {})

    def output_tensors(self) -> list[Tensor]:
        """Return the tensors."""
        return self._output_tensors

    def has_error(self) -> bool:
        """Return whether this answers with an error."""
        return self._error is not None

    def error(self) -> TritonError | None:
        """Return the error, None for none."""
        return self._error

    def parameters(self) -> str:
        """Return the parameters as a JSON object."""
        return json.dumps(self._parameters)

    def parameter_values(self) -> Mapping[str, ParameterValue]:
        """Return the parameters. Not of Triton's interface."""
        return self._parameters


def get_input_tensor_by_name(inference_request: InferenceRequest, name: str) -> Tensor | None:
    """Return an input of a request, None when it did not come."""
    return next((tensor for tensor in inference_request.inputs() if tensor.name() == name), None)


def get_output_tensor_by_name(inference_response: InferenceResponse, name: str) -> Tensor | None:
    """Return an output of a response, None when it is not there."""
    return next((tensor for tensor in inference_response.output_tensors() if tensor.name() == name), None)


TRITONSERVER_REQUEST_FLAG_SEQUENCE_START = 1
TRITONSERVER_REQUEST_FLAG_SEQUENCE_END = 2
TRITONSERVER_RESPONSE_COMPLETE_FINAL = 1
TRITONSERVER_REQUEST_RELEASE_ALL = 1
TRITONSERVER_REQUEST_RELEASE_RESCHEDULE = 2
