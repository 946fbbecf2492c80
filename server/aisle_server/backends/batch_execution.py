"""Runs a batch through a network that maps arrays to arrays, and keeps one caller's failure away from the others."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from aisle_server.backends.backend import Execution
from aisle_server.backends.batching import Arrays, UnequalRequestsError, requested_outputs, scatter
from aisle_server.backends.ragged import RaggedBatching
from aisle_server.errors import InferenceServerError, InternalError
from aisle_server.inference import InferenceRequest, InferenceResponse
from aisle_server.model_config.schema import ModelConfig

_log = logging.getLogger(__name__)


class BatchExecution:
    """Gather, run, scatter.

    A batch that fails is run again request by request: values that break a network (an index past the end of an embedding, text that
    is not UTF-8) are told to the caller who sent them, and its neighbours get their answers. Requests that do not stack run one
    by one as well. A model with sequences may have changed its state before it failed, so there the whole batch fails.
    """

    def __init__(self, config: ModelConfig, version: int, network: Callable[[Arrays, Sequence[str]], Arrays]) -> None:
        """Bind a network to the model that it belongs to.

        Args:
            config: Of the model, complete.
            version: Of the model.
            network: Computes the named outputs from inputs by name. An InferenceServerError of its own goes to the caller as it is;
                any other exception goes to the log, and the caller reads that the model failed.
        """
        self._config = config
        self._version = version
        self._network = network
        self._ragged = RaggedBatching(config)
        self._keeps_state = config.sequence_batching is not None
        self._output_names = tuple(name for name, _ in config.network_outputs)

    def execute(self, requests: Sequence[InferenceRequest]) -> Execution:
        """Run a batch; see `BackendInstance.execute`."""
        start_ns = time.monotonic_ns()
        try:
            return self._run(requests)
        except UnequalRequestsError:
            pass
        except Exception as error:
            if len(requests) == 1 or self._keeps_state:
                told = self._told(error)
                return Execution([type(told)(told.message) for _ in requests], start_ns, time.monotonic_ns())
        results: list[InferenceResponse | InferenceServerError] = []
        for request in requests:
            try:
                results += self._run([request]).results
            except Exception as error:
                results.append(self._told(error))
        return Execution(results, start_ns, time.monotonic_ns())

    def _run(self, requests: Sequence[InferenceRequest]) -> Execution:
        inputs = self._ragged.gather(requests)
        names = requested_outputs(requests, self._output_names)
        start_ns = time.monotonic_ns()
        outputs = self._network(inputs, names)
        end_ns = time.monotonic_ns()
        pieces = self._ragged.share_out(requests, outputs)
        return Execution(scatter(self._config, self._version, requests, outputs, pieces), start_ns, end_ns)

    def _told(self, error: Exception) -> InferenceServerError:
        if isinstance(error, InferenceServerError):
            return error
        _log.error("model '%s' version %d failed", self._config.name, self._version, exc_info=error)
        return InternalError(f"model '{self._config.name}' failed to execute the request")
