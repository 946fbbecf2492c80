"""`pb_utils.InferenceResponse`: what a model answers to a request.

Source: Triton's python backend, `triton_python_backend_utils`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from aisle_server.backends.python.errors import TritonError, TritonModelException
from aisle_server.backends.python.tensor import Tensor
from aisle_server.inference import ParameterValue


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


def get_output_tensor_by_name(inference_response: InferenceResponse, name: str) -> Tensor | None:
    """Return an output of a response, None when it is not there."""
    return next((tensor for tensor in inference_response.output_tensors() if tensor.name() == name), None)
