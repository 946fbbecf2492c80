"""Figures of one model version since it was loaded, kept by the event loop and read as frozen snapshots.

Durations are in nanoseconds. The compute figures are those of a whole batch, charged in full to each of its requests.

Source: Triton's statistics extension; semantics of `success`, `fail`, `queue` and `batch_stats` as its clients add them up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from aisle_server.inference import ComputeTimes


class FailureReason(Enum):
    """Why a request that had been accepted failed; the `reason` label of `nv_inference_request_failure`."""

    REJECTED = "REJECTED"
    CANCELED = "CANCELED"
    BACKEND = "BACKEND"
    OTHER = "OTHER"


@dataclass(frozen=True, slots=True)
class Duration:
    """How often something happened, and how long it took in all."""

    count: int = 0
    ns: int = 0

    def plus(self, ns: int) -> Duration:
        """Return this with one more of so many nanoseconds."""
        return Duration(self.count + 1, self.ns + ns)


@dataclass(frozen=True, slots=True)
class BatchSnapshot:
    """Executions of one batch size."""

    compute_input: Duration = Duration()
    compute_infer: Duration = Duration()
    compute_output: Duration = Duration()


@dataclass(frozen=True, slots=True)
class StatisticsSnapshot:
    """All figures at one moment.

    Attributes:
        last_inference_ms: Milliseconds since the epoch; 0 for never.
        inference_count: Rows that were inferred.
        execution_count: Batches that were executed.
        success: Requests answered, from acceptance to answer.
        failures: Requests failed, by reason.
        queue: Time in the queue of requests answered.
        compute_input: Gathering inputs.
        compute_infer: The network.
        compute_output: Cutting outputs into responses.
        batches: By rows of the batch.
    """

    last_inference_ms: int
    inference_count: int
    execution_count: int
    success: Duration
    failures: Mapping[FailureReason, Duration]
    queue: Duration
    compute_input: Duration
    compute_infer: Duration
    compute_output: Duration
    batches: Mapping[int, BatchSnapshot]

    @property
    def fail(self) -> Duration:
        """Requests failed, whatever the reason."""
        durations = self.failures.values()
        return Duration(sum(each.count for each in durations), sum(each.ns for each in durations))


class ModelStatistics:
    """The books of one model version. Written by the event loop alone, so nothing guards them."""

    def __init__(self) -> None:
        self._last_inference_ms = 0
        self._inference_count = 0
        self._execution_count = 0
        self._success = Duration()
        self._failures = dict.fromkeys(FailureReason, Duration())
        self._queue = Duration()
        self._compute = BatchSnapshot()
        self._batches: dict[int, BatchSnapshot] = {}

    def record_success(
        self, *, batch_size: int, request_ns: int, queue_ns: int, times: ComputeTimes, now_ms: int
    ) -> None:
        """Book a request that was answered.

        Args:
            batch_size: Its own rows.
            request_ns: From acceptance to answer.
            queue_ns: From the queue's entry to the start of its execution.
            times: Of the batch that it was part of; sums over the steps for an ensemble.
            now_ms: Milliseconds since the epoch.
        """
        self._last_inference_ms = max(self._last_inference_ms, now_ms)
        self._inference_count += batch_size
        self._success = self._success.plus(request_ns)
        self._queue = self._queue.plus(queue_ns)
        self._compute = _plus(self._compute, times)

    def record_failure(self, *, reason: FailureReason, request_ns: int) -> None:
        """Book a request that had been accepted and failed."""
        self._failures[reason] = self._failures[reason].plus(request_ns)

    def record_execution(self, *, batch_size: int, times: ComputeTimes) -> None:
        """Book one executed batch.

        Args:
            batch_size: Rows of the batch.
            times: Of this execution.
        """
        self._execution_count += 1
        self._batches[batch_size] = _plus(self._batches.get(batch_size, BatchSnapshot()), times)

    def snapshot(self) -> StatisticsSnapshot:
        """Return the figures of this moment."""
        return StatisticsSnapshot(
            last_inference_ms=self._last_inference_ms,
            inference_count=self._inference_count,
            execution_count=self._execution_count,
            success=self._success,
            failures=dict(self._failures),
            queue=self._queue,
            compute_input=self._compute.compute_input,
            compute_infer=self._compute.compute_infer,
            compute_output=self._compute.compute_output,
            batches=dict(sorted(self._batches.items())),
        )


def _plus(total: BatchSnapshot, times: ComputeTimes) -> BatchSnapshot:
    return BatchSnapshot(
        total.compute_input.plus(times.input_ns),
        total.compute_infer.plus(times.infer_ns),
        total.compute_output.plus(times.output_ns),
    )
