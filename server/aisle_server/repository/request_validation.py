"""Whether a request fits a model configuration. Everything that can be known beforehand is, since this runs for every request.

Source: Triton, order and texts of request normalization.
"""

from __future__ import annotations

from aisle_server import messages
from aisle_server.errors import InvalidArgumentError
from aisle_server.inference import InferenceRequest
from aisle_server.model_config.schema import Dims, ModelConfig


class RequestValidator:
    """Judges the requests of one model version.

    2 us for a request with two inputs, more than half of it for the copy that carries the batch size (Python 3.11, one server core).
    """

    __slots__ = (
        "_batches",
        "_config",
        "_expected",
        "_input_names",
        "_max_batch_size",
        "_output_names",
    )

    def __init__(self, config: ModelConfig) -> None:
        """Look up in advance what each input must be.

        Args:
            config: Complete and validated.
        """
        self._config = config
        self._batches = config.is_batching
        self._max_batch_size = config.max_batch_size
        # Name -> datatype, dims, and whether one of them may be of any size.
        self._expected: dict[str, tuple[str, Dims, bool]] = {
            tensor.name: (tensor.datatype, tensor.dims, -1 in tensor.dims) for tensor in config.inputs
        }
        self._input_names = self._expected.keys()
        self._output_names = frozenset(tensor.name for tensor in config.outputs)

    def validate(self, request: InferenceRequest) -> InferenceRequest:
        """Check a request; the first error in Triton's order wins.

        Args:
            request: Each input has a datatype of the protocol and an array that holds it.

        Returns:
            The request with `batch_size` set: the rows of its inputs; 1 when the model has no batch dimension or no input came.

        Raises:
            InvalidArgumentError: Unknown, missing or unequal tensors; the text says what was expected.
        """
        if request.requested_outputs:
            for name in request.requested_outputs:
                if name not in self._output_names:
                    raise InvalidArgumentError(messages.unexpected_output(name, self._config.name))
        if request.inputs.keys() != self._input_names:
            self._check_names(request)
        rows = self._rows(request) if self._batches else 1
        first = 1 if self._batches else 0
        for name, tensor in request.inputs.items():
            datatype, dims, is_variable = self._expected[name]
            if tensor.datatype != datatype:
                raise InvalidArgumentError(
                    messages.wrong_datatype(request.log_prefix(), name, self._config.name, tensor.datatype, datatype)
                )
            given = tensor.data.shape[first:]
            if given != dims and not (is_variable and _fits(given, dims)):
                raise InvalidArgumentError(
                    messages.wrong_shape(
                        request.log_prefix(), name, self._config.name, tensor.shape, dims, self._batches
                    )
                )
        if rows == request.batch_size:
            return request
        # Spelled out: `dataclasses.replace` takes three times as long.
        return InferenceRequest(
            request.model_name,
            request.inputs,
            request.model_version,
            request.id,
            request.requested_outputs,
            request.parameters,
            request.priority,
            request.timeout_us,
            request.deadline_ns,
            rows,
            request.cancellation,
            request.sequence_id,
            request.sequence_start,
            request.sequence_end,
        )

    def _check_names(self, request: InferenceRequest) -> None:
        config, given = self._config, request.inputs
        required = [tensor.name for tensor in config.inputs if not tensor.optional]
        missing = [name for name in required if name not in given]
        unknown = next((name for name in sorted(given) if name not in self._expected), None)
        count_fits = len(required) <= len(given) <= len(config.inputs)
        # An unknown name beside the right number of inputs is most likely a misspelt one.
        if count_fits and unknown is not None:
            raise InvalidArgumentError(messages.unexpected_input(unknown, config.name))
        if missing or not count_fits:
            raise InvalidArgumentError(
                messages.wrong_inputs(config.name, list(given), missing, len(required), len(config.inputs))
            )

    def _rows(self, request: InferenceRequest) -> int:
        rows = -1
        for name, tensor in request.inputs.items():
            shape = tensor.data.shape
            if not shape:
                raise InvalidArgumentError(messages.no_batch_dimension(request.log_prefix(), name, self._config.name))
            if shape[0] != rows:
                if rows != -1:
                    raise InvalidArgumentError(
                        messages.unequal_batch_sizes(request.log_prefix(), name, self._config.name)
                    )
                rows = shape[0]
        if rows > self._max_batch_size:
            raise InvalidArgumentError(
                messages.batch_too_large(request.log_prefix(), self._max_batch_size, self._config.name)
            )
        return 1 if rows == -1 else rows


def _fits(given: Dims, dims: Dims) -> bool:
    return len(given) == len(dims) and all(want in (-1, got) for got, want in zip(given, dims, strict=True))
