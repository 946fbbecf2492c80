"""Figures of one model version since it was loaded, kept by the event loop and read as frozen snapshots.

Durations are in nanoseconds. The compute figures are those of a whole batch, charged in full to each of its requests.

Source: Triton's statistics extension; semantics of `success`, `fail`, `queue` and `batch_stats` as its clients add them up.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import accumulate

from aisle_server.inference import ComputeTimes
from aisle_server.latency_window import LatencySketch, LatencyWindow

# Upper bounds of the duration histograms: 1-2.5-5 from 100 us to 10 s, which is where requests on CPUs and GPUs live.
DURATION_BOUNDS_NS = (*(int(step * 10**power) for power in range(5, 10) for step in (1, 2.5, 5)), 10**10)

# What is kept of the last minute; the words of Triton's names for it.
LATENCIES = ("request", "queue", "compute_input", "compute_infer", "compute_output")
# A model that streams a long text sends thousands of responses, and each number has a record of its own.
MAX_RESPONSE_INDEX = 1023


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


@dataclass(frozen=True, slots=True)
class DurationHistogram:
    """How often something took how long.

    Attributes:
        counts: For each of DURATION_BOUNDS_NS, how often it took no longer than that; then how often it happened at all.
        ns: How long it took in all.
    """

    counts: tuple[int, ...] = (0,) * (len(DURATION_BOUNDS_NS) + 1)
    ns: int = 0


@dataclass(frozen=True, slots=True)
class BatchSnapshot:
    """Executions of one batch size."""

    compute_input: Duration = Duration()
    compute_infer: Duration = Duration()
    compute_output: Duration = Duration()


@dataclass(frozen=True, slots=True)
class ResponseSnapshot:
    """Responses of a decoupled model that were the n-th to their request.

    Attributes:
        compute_infer: From the response before, or the start of the execution, until this one was sent.
        compute_output: From there until the caller could read it.
        success: Both together, of responses that are no errors.
        fail: Both together, of errors.
        empty_response: Both together, of ends that came without a response.
        cancel: Both together, of those whose caller had left. They are dropped before anybody counts them: always 0.
    """

    compute_infer: Duration = Duration()
    compute_output: Duration = Duration()
    success: Duration = Duration()
    fail: Duration = Duration()
    empty_response: Duration = Duration()
    cancel: Duration = Duration()


class ResponseOutcome(Enum):
    """What a response of a decoupled model was."""

    SUCCESS = "success"
    FAIL = "fail"
    EMPTY = "empty_response"


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
        responses: Of a decoupled model, by the number of the response to its request, from 0.
        request_histogram: Of requests answered, from acceptance to answer.
        queue_histogram: Of requests answered, in the queue.
        compute_input_histogram: Of requests answered, the gathering of their batch's inputs.
        compute_infer_histogram: Of requests answered, the network.
        compute_output_histogram: Of requests answered, the cutting of their batch's outputs.
        cache_hit: Requests answered from the response cache, and how long it was searched. They are in `success` too, and in none of
            the compute figures.
        cache_miss: Requests that it did not know, and how long it took to search it and to keep the answer.
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
    responses: Mapping[int, ResponseSnapshot]
    request_histogram: DurationHistogram = DurationHistogram()
    queue_histogram: DurationHistogram = DurationHistogram()
    compute_input_histogram: DurationHistogram = DurationHistogram()
    compute_infer_histogram: DurationHistogram = DurationHistogram()
    compute_output_histogram: DurationHistogram = DurationHistogram()
    cache_hit: Duration = Duration()
    cache_miss: Duration = Duration()

    @property
    def fail(self) -> Duration:
        """Requests failed, whatever the reason."""
        durations = self.failures.values()
        return Duration(sum(each.count for each in durations), sum(each.ns for each in durations))


class ModelStatistics:
    """The books of one model version. Written by the event loop alone, so nothing guards them.

    Plain integers on the way in, frozen records on the way out: booking is in the path of every request (1 us with its three
    histograms), a snapshot is asked for once in seconds.
    """

    def __init__(self, *, has_windows: bool = False) -> None:
        """Open books.

        Args:
            has_windows: Keep the last minute, for quantiles; costs some 2 us a request.
        """
        self._windows = tuple(LatencyWindow() for _ in LATENCIES) if has_windows else None
        self._last_inference_ms = 0
        self._inference_count = 0
        self._execution_count = 0
        self._failures = {reason: [0, 0] for reason in FailureReason}
        self._request = _DurationBook()
        self._queue = _DurationBook()
        self._compute_input = _DurationBook()
        self._compute_infer = _DurationBook()
        self._compute_output = _DurationBook()
        self._success_times = _TimesBook()
        self._cache_hit = [0, 0]
        self._cache_miss = [0, 0]
        self._batches: dict[int, _TimesBook] = {}
        self._responses: list[_ResponseBook] = []

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
        self._request.add(request_ns)
        self._queue.add(queue_ns)
        self._compute_input.add(times.input_ns)
        self._compute_infer.add(times.infer_ns)
        self._compute_output.add(times.output_ns)
        self._success_times.add(times)
        if self._windows is not None:
            durations = (request_ns, queue_ns, times.input_ns, times.infer_ns, times.output_ns)
            for window, ns in zip(self._windows, durations, strict=True):
                window.add(ns, now_ms)

    def record_cache_hit(self, *, lookup_ns: int, now_ms: int) -> None:
        """Book a request that was answered from the response cache.

        Args:
            lookup_ns: How long it was searched, which is all that the request took.
            now_ms: Milliseconds since the epoch.
        """
        if self._windows is not None:
            for window, ns in zip(self._windows[:2], (lookup_ns, 0), strict=True):
                window.add(ns, now_ms)
        self._request.add(lookup_ns)
        self._queue.add(0)
        self._cache_hit[0] += 1
        self._cache_hit[1] += lookup_ns

    def record_cache_miss(self, *, ns: int) -> None:
        """Book what the response cache cost a request that was answered by an execution, and is booked as such.

        Args:
            ns: How long it took to search it and to keep the answer.
        """
        self._request.add_time(ns)
        self._cache_miss[0] += 1
        self._cache_miss[1] += ns

    def record_failure(self, *, reason: FailureReason, request_ns: int) -> None:
        """Book a request that had been accepted and failed."""
        book = self._failures[reason]
        book[0] += 1
        book[1] += request_ns

    def record_execution(self, *, batch_size: int, times: ComputeTimes) -> None:
        """Book one executed batch.

        Args:
            batch_size: Rows of the batch.
            times: Of this execution.
        """
        self._execution_count += 1
        book = self._batches.get(batch_size)
        if book is None:
            book = self._batches[batch_size] = _TimesBook()
        book.add(times)

    def record_response(self, *, index: int, outcome: ResponseOutcome, infer_ns: int, output_ns: int) -> None:
        """Book one response of a decoupled model. Those behind MAX_RESPONSE_INDEX are not booked one by one.

        Args:
            index: Which one it is to its request, from 0; never before the ones in front of it.
            outcome: What it was.
            infer_ns: From the response before until it was sent.
            output_ns: From there until the caller could read it.
        """
        if index == len(self._responses) <= MAX_RESPONSE_INDEX:
            self._responses.append(_ResponseBook())
        if index < len(self._responses):
            self._responses[index].add(outcome, infer_ns, output_ns)

    def latencies(self, now_ms: int) -> Mapping[str, LatencySketch]:
        """Return how the parts of requests were spread in the last minute, by LATENCIES; none when that is not kept."""
        if self._windows is None:
            return {}
        return {name: window.sketch(now_ms) for name, window in zip(LATENCIES, self._windows, strict=True)}

    def snapshot(self) -> StatisticsSnapshot:
        """Return the figures of this moment."""
        compute = self._success_times.snapshot()
        return StatisticsSnapshot(
            last_inference_ms=self._last_inference_ms,
            inference_count=self._inference_count,
            execution_count=self._execution_count,
            success=self._request.total(),
            failures={reason: Duration(count, ns) for reason, (count, ns) in self._failures.items()},
            queue=self._queue.total(),
            compute_input=compute.compute_input,
            compute_infer=compute.compute_infer,
            compute_output=compute.compute_output,
            batches={size: self._batches[size].snapshot() for size in sorted(self._batches)},
            responses={index: book.snapshot() for index, book in enumerate(self._responses)},
            request_histogram=self._request.histogram(),
            queue_histogram=self._queue.histogram(),
            compute_input_histogram=self._compute_input.histogram(),
            compute_infer_histogram=self._compute_infer.histogram(),
            compute_output_histogram=self._compute_output.histogram(),
            cache_hit=Duration(*self._cache_hit),
            cache_miss=Duration(*self._cache_miss),
        )


class _DurationBook:
    """A sum, and how many durations fell between which bounds."""

    __slots__ = ("_counts", "_ns")

    def __init__(self) -> None:
        self._counts = [0] * (len(DURATION_BOUNDS_NS) + 1)
        self._ns = 0

    def add(self, ns: int) -> None:
        self._ns += ns
        self._counts[bisect_left(DURATION_BOUNDS_NS, ns)] += 1

    def add_time(self, ns: int) -> None:
        self._ns += ns

    def total(self) -> Duration:
        return Duration(sum(self._counts), self._ns)

    def histogram(self) -> DurationHistogram:
        return DurationHistogram(tuple(accumulate(self._counts)), self._ns)


class _TimesBook:
    """How often something was executed, and how long the parts of it took in all."""

    __slots__ = ("_count", "_infer_ns", "_input_ns", "_output_ns")

    def __init__(self) -> None:
        self._count = self._input_ns = self._infer_ns = self._output_ns = 0

    def add(self, times: ComputeTimes) -> None:
        self._count += 1
        self._input_ns += times.input_ns
        self._infer_ns += times.infer_ns
        self._output_ns += times.output_ns

    def snapshot(self) -> BatchSnapshot:
        parts = (self._input_ns, self._infer_ns, self._output_ns)
        return BatchSnapshot(*(Duration(self._count, ns) for ns in parts))


class _ResponseBook:
    """Counts and nanoseconds by outcome, and the two parts of all of them."""

    __slots__ = ("_infer_ns", "_outcomes", "_output_ns")

    def __init__(self) -> None:
        self._infer_ns = self._output_ns = 0
        self._outcomes = {outcome: [0, 0] for outcome in ResponseOutcome}

    def add(self, outcome: ResponseOutcome, infer_ns: int, output_ns: int) -> None:
        self._infer_ns += infer_ns
        self._output_ns += output_ns
        book = self._outcomes[outcome]
        book[0] += 1
        book[1] += infer_ns + output_ns

    def snapshot(self) -> ResponseSnapshot:
        count = sum(book[0] for book in self._outcomes.values())
        outcomes = {outcome.value: Duration(*book) for outcome, book in self._outcomes.items()}
        return ResponseSnapshot(Duration(count, self._infer_ns), Duration(count, self._output_ns), **outcomes)
