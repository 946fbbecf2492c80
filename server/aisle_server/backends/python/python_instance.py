"""Executes a python model: shows it the requests, and checks what it answers.

Source: Triton's python backend, "execute" and "Error Handling".
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import Coroutine, Sequence
from functools import partial
from typing import Any

import numpy.typing as npt

from aisle_protocol.datatypes import dtype_of
from aisle_server.backends.backend import BackendInstance, Execution, ResponseSender
from aisle_server.backends.python.current_model import CurrentModel, running
from aisle_server.backends.python.errors import TritonModelException
from aisle_server.backends.python.instance_loop import InstanceLoop
from aisle_server.backends.python.model_package import ModelPackage
from aisle_server.backends.python.request import InferenceRequest as ShownRequest
from aisle_server.backends.python.response import InferenceResponse as GivenResponse
from aisle_server.backends.python.response_sender import InferenceResponseSender, OneResponse, caller_has_left
from aisle_server.backends.python.tensor import as_bytes
from aisle_server.errors import InferenceServerError, InternalError
from aisle_server.inference import InferenceRequest, InferenceResponse, Tensor
from aisle_server.messages import dims_text
from aisle_server.model_config.schema import Dims, ModelConfig, ModelOutput

_log = logging.getLogger(__name__)


class PythonInstance(BackendInstance):
    """One TritonPythonModel, initialized."""

    def __init__(self, config: ModelConfig, current: CurrentModel, model: Any, package: ModelPackage) -> None:
        """Take a model that nobody else executes, and the package that its code lives in."""
        self._config = config
        self._current = current
        self._model = model
        self._package = package
        self._prefix = f"Failed to process the request(s) for model '{config.name}'"
        self._loop: InstanceLoop | None = None
        self._outputs = {output.name: output for output in config.outputs}

    def execute(self, requests: Sequence[InferenceRequest]) -> Execution:
        """Run a batch; see `BackendInstance.execute`.

        A response that is an error, or does not fit the configuration, fails its own request. A call that raises, or does not
        return one response for each request, fails the batch: nobody knows which response is whose.
        """
        names = tuple(self._outputs)
        sent: dict[int, OneResponse] = {}

        def open_sender(index: int) -> InferenceResponseSender:
            sent[index] = OneResponse()
            return self._response_sender(requests[index], sent[index])

        shown = [
            ShownRequest.of_caller(request, names, partial(open_sender, index))
            for index, request in enumerate(requests)
        ]
        start_ns = time.monotonic_ns()
        responses = self._call(shown)
        # From here on nobody but the model holds a request's sender: one that it has dropped answers for itself.
        del shown
        if responses is None and len(sent) == len(requests):
            responses = [None] * len(requests)
        responses = self._one_for_each(requests, responses)
        given = [
            sent[index].wait() if response is None and index in sent else response
            for index, response in enumerate(responses)
        ]
        end_ns = time.monotonic_ns()
        results = [self._result(request, response) for request, response in zip(requests, given, strict=True)]
        return Execution(results, start_ns, end_ns)

    def execute_decoupled(self, requests: Sequence[InferenceRequest], senders: Sequence[ResponseSender]) -> None:
        """Show the requests to a model that answers by sender; see `DecoupledInstance.execute_decoupled`.

        An `execute` that is a coroutine runs on the instance's own event loop, where the next batch may join it.
        """
        names = tuple(self._outputs)
        shown = []
        for request, sender in zip(requests, senders, strict=True):
            own_sender = self._response_sender(request, sender)
            shown.append(ShownRequest.of_caller(request, names, partial(_itself, own_sender)))
        del own_sender
        answer = self._call(shown, senders)
        if answer is not None:
            raise InternalError(
                f"model '{self._config.name}' is decoupled, and its execute returned a {type(answer).__name__}; expected None, and"
                " responses by response sender"
            )
        # Only now are the senders the model's alone: one that it drops ends its request.
        del shown

    def finalize(self) -> None:
        """Let the model clean up, and forget its code. What goes wrong there goes to the log: nobody is left to be told."""
        if self._loop is not None:
            self._loop.stop()
        with running(self._current):
            try:
                if hasattr(self._model, "finalize"):
                    self._model.finalize()
            except (Exception, SystemExit) as error:
                _log.warning("model '%s' failed to finalize", self._config.name, exc_info=error)
        del self._model
        self._package.close()

    def _response_sender(self, request: InferenceRequest, sender: ResponseSender) -> InferenceResponseSender:
        # The request without its inputs: a sender may outlive them by long.
        asked = request.changed(inputs={})
        return InferenceResponseSender(
            sender,
            partial(self._result, asked),
            partial(caller_has_left, request.cancellation, request.deadline_ns),
            is_decoupled=self._config.decoupled,
        )

    def _call(self, shown: list[ShownRequest], senders: Sequence[ResponseSender] = ()) -> Any:
        with running(self._current):
            try:
                answer = self._model.execute(shown)
                if not inspect.iscoroutine(answer):
                    return answer
                if not senders:
                    return asyncio.run(answer)
                self._start_on_loop(answer, senders)
                return None
            except (Exception, SystemExit) as error:
                raise self._failure(error) from error

    def _start_on_loop(self, execution: Coroutine[Any, Any, Any], senders: Sequence[ResponseSender]) -> None:
        if self._loop is None:
            self._loop = InstanceLoop(self._current)

        def tell(error: BaseException) -> None:
            failure = self._failure(error)
            for sender in senders:
                sender.send(type(failure)(failure.message), is_final=True)

        self._loop.start(execution, on_failure=tell)

    def _failure(self, error: BaseException) -> InternalError:
        prefix = self._prefix
        if isinstance(error, TritonModelException):
            return InternalError(f"{prefix}, message: {error.message()}")
        # SystemExit too: a model that calls sys.exit() ends its batch, not the server.
        _log.error("%s", prefix, exc_info=error)
        return InternalError(prefix)

    def _one_for_each(self, requests: Sequence[InferenceRequest], responses: Any) -> list[Any]:
        if not isinstance(responses, list):
            raise InternalError(
                f"{self._prefix}, message: execute returned a {type(responses).__name__}; expected a list of InferenceResponse"
            )
        if len(responses) != len(requests):
            raise InternalError(
                f"{self._prefix}, message: execute returned {len(responses)} responses for {len(requests)} requests; expected one"
                " for each"
            )
        return responses

    def _result(self, request: InferenceRequest, response: Any) -> InferenceResponse | InferenceServerError:
        if isinstance(response, InferenceResponse | InferenceServerError):  # a response sender has checked it
            return response
        if not isinstance(response, GivenResponse):
            return InternalError(
                f"model '{self._config.name}' returned a {type(response).__name__} for the request; expected an InferenceResponse"
            )
        error = response.error()
        if error is not None:
            return error.as_server_error()
        given = {tensor.name(): tensor.as_numpy() for tensor in response.output_tensors()}
        try:
            outputs = tuple(
                [
                    Tensor(name, self._outputs[name].datatype, self._checked(self._outputs[name], given[name], request))
                    for name in request.requested_outputs or self._outputs
                    if name in given
                ]
            )
        except InternalError as unfit:
            return unfit
        return InferenceResponse(
            self._config.name, self._current.version, request.id, outputs, response.parameter_values()
        )

    def _checked(self, output: ModelOutput, array: npt.NDArray[Any], request: InferenceRequest) -> npt.NDArray[Any]:
        described = f"model '{self._config.name}' returned output '{output.name}'"
        if output.datatype == "BYTES" and array.dtype.kind in "OS":
            try:
                array = as_bytes(array)
            except TypeError as error:
                raise InternalError(f"{described} with {error}") from None
        elif array.dtype != dtype_of(output.datatype):
            raise InternalError(f"{described} as {array.dtype}; expected {output.datatype}")
        dims = output.dims if output.reshape is None else output.reshape
        expected = (request.batch_size, *dims) if self._config.is_batching else dims
        if not _fits(array.shape, expected):
            raise InternalError(f"{described} of shape {dims_text(array.shape)}; expected {dims_text(expected)}")
        # A model may write into its own array again, in the next call and while this answer is still on its way.
        return array.copy() if array.flags.writeable else array


def _fits(shape: tuple[int, ...], dims: Dims) -> bool:
    return len(shape) == len(dims) and all(size == dim or dim < 0 for size, dim in zip(shape, dims, strict=True))


def _itself(sender: InferenceResponseSender) -> InferenceResponseSender:
    return sender
