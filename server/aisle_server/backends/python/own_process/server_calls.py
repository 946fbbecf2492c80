"""What the process of an instance may ask of the server: tell a caller's leaving, take responses, execute models, count."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from threading import Lock
from typing import Any

from aisle_server.backends.backend import ModelCaller, ResponseReader, ResponseSender
from aisle_server.backends.metric_families import FamilyDescription, Metric, Metrics
from aisle_server.errors import InferenceServerError, UnsupportedError
from aisle_server.inference import InferenceRequest, InferenceResponse


class ServerCalls:
    """The functions that a `Call` may name, and what they refer to by key. One for each process; ends with it."""

    def __init__(self, model_caller: ModelCaller | None, metrics: Metrics | None) -> None:
        """Begin without requests.

        Args:
            model_caller: Executes other models; None where there are none.
            metrics: Takes what models count for themselves; None where nobody looks.
        """
        self._model_caller = model_caller
        self._metrics = metrics
        # A metric is shown as long as somebody keeps it; the process may have died when that is asked.
        self._kept_metrics: dict[int, Metric] = {}
        self._keys = itertools.count()
        self._lock = Lock()
        self._requests: dict[int, tuple[InferenceRequest, ResponseSender | None]] = {}
        self._readers: dict[int, ResponseReader] = {}

    def enter(self, requests: Sequence[InferenceRequest], senders: Sequence[ResponseSender | None]) -> list[int]:
        """Note requests that the process is about to get, and return the keys by which its calls will name them."""
        with self._lock:
            keys = [next(self._keys) for _ in requests]
            self._requests.update(zip(keys, zip(requests, senders, strict=True), strict=True))
        return keys

    def leave(self, keys: Sequence[int]) -> None:
        """Forget requests that are answered."""
        with self._lock:
            for key in keys:
                self._requests.pop(key, None)

    def abandon(self, error: InferenceServerError) -> None:
        """End what the process has left unanswered: its requests with an error, its own requests without a word."""
        with self._lock:
            senders = [sender for _, sender in self._requests.values()]
            readers = list(self._readers.values())
            self._requests.clear()
            self._readers.clear()
            self._kept_metrics.clear()
        for sender in senders:
            if sender is not None:
                sender.send(type(error)(error.message), is_final=True)
        for reader in readers:
            reader.close()

    def call(self, function: str, arguments: Sequence[Any]) -> Any:
        """Do what the process asks for.

        Returns:
            The result, or a future of it.
        """
        functions: dict[str, Callable[..., Any]] = {
            "is_cancelled": self._is_cancelled,
            "send": self._send,
            "infer": self._infer,
            "open_stream": self._open_stream,
            "next_response": self._next_response,
            "close_stream": self._close_stream,
            "open_metric": self._open_metric,
            "use_metric": self._use_metric,
            "close_metric": self._close_metric,
        }
        return functions[function](*arguments)

    def _is_cancelled(self, key: int) -> bool:
        entry = self._requests.get(key)
        return entry is None or entry[0].cancellation.is_requested

    def _send(self, key: int, result: InferenceResponse | InferenceServerError | None, is_final: bool) -> None:
        _, sender = self._requests.get(key, (None, None))
        if sender is not None:
            sender.send(result, is_final=is_final)
        if is_final:
            self.leave((key,))

    def _infer(self, request: InferenceRequest) -> Future[InferenceResponse]:
        return self._caller().infer(request)

    def _open_stream(self, request: InferenceRequest) -> int:
        reader = self._caller().stream(request)
        with self._lock:
            key = next(self._keys)
            self._readers[key] = reader
        return key

    def _next_response(self, key: int) -> Any:
        return self._readers[key].next()

    def _close_stream(self, key: int) -> None:
        with self._lock:
            reader = self._readers.pop(key)
        reader.close()

    def _open_metric(self, family: FamilyDescription, labels: Mapping[str, str], buckets: Sequence[float]) -> int:
        if self._metrics is None:
            raise UnsupportedError("there is no server here that shows metrics")
        metric = self._metrics.metric(family, labels, buckets)
        with self._lock:
            key = next(self._keys)
            self._kept_metrics[key] = metric
        return key

    def _use_metric(self, key: int, operation: str, arguments: Sequence[float]) -> float | None:
        metric = self._kept_metrics[key]
        operations: dict[str, Callable[..., float | None]] = {
            "increment": metric.increment,
            "set": metric.set,
            "observe": metric.observe,
            "value": metric.value,
        }
        return operations[operation](*arguments)

    def _close_metric(self, key: int) -> None:
        with self._lock:
            self._kept_metrics.pop(key, None)

    def _caller(self) -> ModelCaller:
        if self._model_caller is None:
            raise UnsupportedError("there is no server here whose models could be executed")
        return self._model_caller
