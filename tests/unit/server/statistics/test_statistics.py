"""The books of a model version."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aisle_server.inference import ComputeTimes
from aisle_server.statistics import DURATION_BOUNDS_NS, Duration, FailureReason, ModelStatistics


def test_a_new_model_has_all_its_figures_at_zero():
    """Every failure reason has its series from the start, so that a rate over it is right from the first failure on."""
    figures = ModelStatistics().snapshot()
    assert dict(figures.failures) == dict.fromkeys(FailureReason, Duration())
    assert (figures.success, figures.fail, figures.queue) == (Duration(), Duration(), Duration())
    assert (figures.inference_count, figures.execution_count, figures.last_inference_ms) == (0, 0, 0)
    assert figures.batches == {}
    assert set(figures.request_histogram.counts) == {0}


def test_successes_executions_and_failures_are_kept_apart():
    """A batch's times count once as an execution and once for each of its requests."""
    statistics = ModelStatistics()
    times = ComputeTimes(1, 20, 300)
    statistics.record_execution(batch_size=3, times=times)
    statistics.record_success(batch_size=1, request_ns=1000, queue_ns=100, times=times, now_ms=7)
    statistics.record_success(batch_size=2, request_ns=2000, queue_ns=200, times=times, now_ms=6)
    statistics.record_failure(reason=FailureReason.REJECTED, request_ns=50)
    statistics.record_failure(reason=FailureReason.BACKEND, request_ns=5)
    figures = statistics.snapshot()
    assert figures.success == Duration(2, 3000)
    assert figures.queue == Duration(2, 300)
    assert (figures.compute_input, figures.compute_infer, figures.compute_output) == (
        Duration(2, 2),
        Duration(2, 40),
        Duration(2, 600),
    )
    assert (figures.inference_count, figures.execution_count, figures.last_inference_ms) == (3, 1, 7)
    assert figures.batches[3].compute_infer == Duration(1, 20)
    assert figures.failures[FailureReason.REJECTED] == Duration(1, 50)
    assert figures.fail == Duration(2, 55)


def test_a_snapshot_does_not_change():
    """What was read stays what it was when more is booked."""
    statistics = ModelStatistics()
    before = statistics.snapshot()
    statistics.record_execution(batch_size=1, times=ComputeTimes())
    statistics.record_failure(reason=FailureReason.OTHER, request_ns=5)
    assert (before.batches, before.fail) == ({}, Duration())


def test_batch_sizes_come_in_order():
    """Batches are listed from the smallest to the largest."""
    statistics = ModelStatistics()
    for size in (4, 1, 64, 2):
        statistics.record_execution(batch_size=size, times=ComputeTimes())
    assert list(statistics.snapshot().batches) == [1, 2, 4, 64]


@given(st.lists(st.integers(0, 2 * 10**10)))
def test_histograms_count_what_took_no_longer(durations):
    """A bucket holds all durations up to its bound, the bound included; the last one holds all there are."""
    statistics = ModelStatistics()
    for ns in durations:
        statistics.record_success(batch_size=1, request_ns=ns, queue_ns=ns, times=ComputeTimes(infer_ns=ns), now_ms=1)
    expected = [sum(ns <= bound for ns in durations) for bound in DURATION_BOUNDS_NS]
    figures = statistics.snapshot()
    for histogram in (figures.request_histogram, figures.queue_histogram, figures.compute_infer_histogram):
        assert histogram.counts == (*expected, len(durations))
        assert histogram.ns == sum(durations)
