"""Whether a request fits a model configuration. Everything that can be known beforehand is, since this runs for every request.

The words for one that does not are found by `model_config/request_fault.py`.
"""

from __future__ import annotations

from aisle_server.errors import InvalidArgumentError
from aisle_server.inference import InferenceRequest
from aisle_server.model_config.request_fault import request_fault
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
        "_required_names",
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
        self._required_names = frozenset(tensor.name for tensor in config.inputs if not tensor.optional)
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
        rows = self._rows(request)
        if rows is None:
            described = {name: (tensor.datatype, tensor.shape) for name, tensor in request.inputs.items()}
            text = request_fault(self._config, request.requested_outputs, described, request.log_prefix())
            assert text is not None, f"the ways to judge and to tell disagree about a request for '{self._config.name}'"
            raise InvalidArgumentError(text)
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

    def _rows(self, request: InferenceRequest) -> int | None:
        """Return the batch size of a request that fits; None for one that does not."""
        if not self._output_names.issuperset(request.requested_outputs):
            return None
        names = request.inputs.keys()
        if names != self._input_names and not self._required_names <= names <= self._input_names:
            return None
        rows = -1
        for name, tensor in request.inputs.items():
            datatype, dims, is_variable = self._expected[name]
            shape = tensor.data.shape
            if tensor.datatype != datatype:
                return None
            if self._batches:
                if not shape or rows not in (-1, shape[0]):
                    return None
                rows = shape[0]
                shape = shape[1:]
            if shape != dims and not (is_variable and _fits(shape, dims)):
                return None
        if rows > self._max_batch_size:
            return None
        return 1 if rows == -1 else rows


def _fits(given: Dims, dims: Dims) -> bool:
    return len(given) == len(dims) and all(want in (-1, got) for got, want in zip(given, dims, strict=True))
