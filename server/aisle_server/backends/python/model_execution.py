"""A model that executes another one: business logic scripting, as Triton calls it.

The other model answers on the server's event loop, with its own queue, batches and statistics, while the thread that asked waits. So
a model that waits for itself, or for one that waits for it, waits for ever once its instances are all busy with that.

Source: Triton's python backend, "Business Logic Scripting".
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Iterator
from typing import Any

from aisle_server.backends.backend import ModelCaller
from aisle_server.backends.python.errors import TritonError
from aisle_server.backends.python.response import InferenceResponse
from aisle_server.backends.python.tensor import Tensor
from aisle_server.errors import InferenceServerError
from aisle_server.inference import InferenceRequest
from aisle_server.inference import InferenceResponse as ServerResponse


class ModelExecution:
    """One request to another model, sent in one of three ways: `wait()`, `await` or `for`."""

    def __init__(self, request: InferenceRequest, caller: ModelCaller) -> None:
        """Prepare a request; nothing is sent yet."""
        self._request = request
        self._caller = caller

    def wait(self) -> InferenceResponse:
        """Return the one response, which may be an error."""
        try:
            return shown_response(self._caller.infer(self._request).result())
        except InferenceServerError as error:
            return shown_response(error)

    def __await__(self) -> Generator[Any, None, InferenceResponse]:
        try:
            response = yield from asyncio.wrap_future(self._caller.infer(self._request)).__await__()
            return shown_response(response)
        except InferenceServerError as error:
            return shown_response(error)

    def __iter__(self) -> Iterator[InferenceResponse]:
        reader = self._caller.stream(self._request)
        try:
            is_final = False
            while not is_final:
                streamed = reader.next().result()
                is_final = streamed.is_final
                # An end that comes alone is a response too, as on Triton: one without tensors.
                yield shown_response(streamed.result)
        except InferenceServerError as error:
            yield shown_response(error)
        finally:
            reader.close()


def shown_response(result: ServerResponse | InferenceServerError | None) -> InferenceResponse:
    """Show a model what another one has answered."""
    if result is None:
        return InferenceResponse()
    if isinstance(result, InferenceServerError):
        return InferenceResponse(error=TritonError.of_server(result))
    tensors = [Tensor.of_input(tensor.name, tensor.data) for tensor in result.outputs]
    return InferenceResponse(tensors, parameters=result.parameters)
