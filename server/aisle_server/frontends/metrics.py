"""Statistics as Prometheus text, under the names that dashboards for Triton look for.

The text is written here and not by `prometheus_client`, which cannot declare a counter whose name does not end in `_total`, as none
of Triton's does.

Source: Triton metrics, "Inference Request Metrics"; Prometheus text format 0.0.4. The histograms' names are those of its open proposal.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, NamedTuple, TypeAlias

from aisle_server.inference_server import InferenceServer, ModelVersionStatistics
from aisle_server.options import MetricsConfig
from aisle_server.statistics import DURATION_BOUNDS_NS, Duration, DurationHistogram, FailureReason, StatisticsSnapshot

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

Labels: TypeAlias = Mapping[str, str]


class _Metric(NamedTuple):
    name: str
    kind: str
    help: str
    value: Callable[[ModelVersionStatistics], float]


def _counter(name: str, text: str, value: Callable[[StatisticsSnapshot], float]) -> _Metric:
    return _Metric(name, "counter", text, lambda row: value(row.snapshot))


_METRICS: Final = (
    _counter("nv_inference_request_success", "Requests answered", lambda s: s.success.count),
    _counter("nv_inference_count", "Rows inferred; cached answers are not counted", lambda s: s.inference_count),
    _counter(
        "nv_inference_exec_count", "Batches executed; cached answers are not counted", lambda s: s.execution_count
    ),
    _counter(
        "nv_inference_request_duration_us",
        "Microseconds from acceptance to answer, over all requests answered",
        lambda s: s.success.ns // 1000,
    ),
    _counter("nv_inference_queue_duration_us", "Microseconds spent in the queue", lambda s: s.queue.ns // 1000),
    _counter(
        "nv_inference_compute_input_duration_us",
        "Microseconds spent gathering inputs; the whole batch counts for each of its requests",
        lambda s: s.compute_input.ns // 1000,
    ),
    _counter(
        "nv_inference_compute_infer_duration_us",
        "Microseconds spent executing; the whole batch counts for each of its requests",
        lambda s: s.compute_infer.ns // 1000,
    ),
    _counter(
        "nv_inference_compute_output_duration_us",
        "Microseconds spent on outputs; the whole batch counts for each of its requests",
        lambda s: s.compute_output.ns // 1000,
    ),
    _Metric(
        "nv_inference_pending_request_count",
        "gauge",
        "Requests accepted that are not executing yet",
        lambda row: row.pending_request_count,
    ),
    _Metric(
        "nv_model_load_duration_secs", "gauge", "Seconds that loading the model took", lambda row: row.load_duration_s
    ),
)
# Of models with a response cache alone.
_CACHE_METRICS: Final = (
    _counter("nv_cache_num_hits_per_model", "Requests answered from the response cache", lambda s: s.cache_hit.count),
    _counter(
        "nv_cache_num_misses_per_model",
        "Requests that the response cache did not know",
        lambda s: s.cache_miss.count,
    ),
    _counter(
        "nv_cache_hit_duration_per_model",
        "Microseconds spent on requests answered from the response cache",
        lambda s: s.cache_hit.ns // 1000,
    ),
    _counter(
        "nv_cache_miss_duration_per_model",
        "Microseconds spent searching the response cache in vain, and keeping answers",
        lambda s: s.cache_miss.ns // 1000,
    ),
)
_COUNTER_LATENCIES: Final = frozenset(each.name for each in (*_METRICS, *_CACHE_METRICS) if "_duration_" in each.name)
_HISTOGRAMS: Final[tuple[tuple[str, str, Callable[[StatisticsSnapshot], DurationHistogram]], ...]] = (
    (
        "nv_inference_request_duration_histogram_us",
        "Microseconds from acceptance to answer of a request",
        lambda s: s.request_histogram,
    ),
    ("nv_inference_queue_duration_histogram_us", "Microseconds of a request in the queue", lambda s: s.queue_histogram),
    (
        "nv_inference_compute_input_duration_histogram_us",
        "Microseconds that gathering inputs took for the batch of a request",
        lambda s: s.compute_input_histogram,
    ),
    (
        "nv_inference_compute_infer_duration_histogram_us",
        "Microseconds that the batch of a request was executed",
        lambda s: s.compute_infer_histogram,
    ),
    (
        "nv_inference_compute_output_duration_histogram_us",
        "Microseconds that cutting outputs took for the batch of a request",
        lambda s: s.compute_output_histogram,
    ),
)
_SUMMARIES: Final[tuple[tuple[str, str, Callable[[StatisticsSnapshot], Duration]], ...]] = (
    ("request", "Microseconds from acceptance to answer of a request", lambda s: s.success),
    ("queue", "Microseconds of a request in the queue", lambda s: s.queue),
    ("compute_input", "Microseconds that gathering inputs took for the batch of a request", lambda s: s.compute_input),
    ("compute_infer", "Microseconds that the batch of a request was executed", lambda s: s.compute_infer),
    ("compute_output", "Microseconds that cutting outputs took for the batch of a request", lambda s: s.compute_output),
)
_NOT_IN_A_NAME: Final = re.compile(r"^[^a-zA-Z_]|[^a-zA-Z0-9_]")
_BOUNDS_US: Final = (*(str(bound // 1000) for bound in DURATION_BOUNDS_NS), "+Inf")
_FAILURES: Final = "nv_inference_request_failure"


def render_metrics(server: InferenceServer, config: MetricsConfig | None = None) -> str:
    """Return the metrics of every ready model version.

    Args:
        server: Whose models they are.
        config: Which of them are wanted; None for the defaults.
    """
    return "".join(f"{line}\n" for line in _lines(server, config or MetricsConfig()))


def _lines(server: InferenceServer, config: MetricsConfig) -> Iterator[str]:
    rows = [(_labels(server, row), row) for row in server.statistics()]
    yield from _head(_FAILURES, "counter", "Requests that failed after they had been accepted, by reason")
    for labels, row in rows:
        for reason in FailureReason:
            yield _sample(_FAILURES, {**labels, "reason": reason.value}, row.snapshot.failures[reason].count)
    cached = [(labels, row) for labels, row in rows if server.model_config(row.name, row.version).response_cache]
    for metrics, shown in ((_METRICS, rows), (_CACHE_METRICS, cached)):
        for metric in metrics if shown else ():
            if metric.name in _COUNTER_LATENCIES and not config.counter_latencies:
                continue
            yield from _head(metric.name, metric.kind, metric.help)
            for labels, row in shown:
                yield _sample(metric.name, labels, metric.value(row))
    for name, text, histogram in _HISTOGRAMS if config.histogram_latencies else ():
        yield from _head(name, "histogram", text)
        for labels, row in rows:
            yield from _histogram_samples(name, labels, histogram(row.snapshot))
    for part, text, duration in _SUMMARIES if config.summary_latencies else ():
        name = f"nv_inference_{part}_summary_us"
        yield from _head(name, "summary", f"{text}; quantiles of the last minute")
        for labels, row in rows:
            total = duration(row.snapshot)
            yield _sample(f"{name}_count", labels, total.count)
            yield _sample(f"{name}_sum", labels, total.ns // 1000)
            for quantile in config.summary_quantiles if part in row.latencies else ():
                value_us = row.latencies[part].quantile(quantile) / 1000
                yield _sample(name, {**labels, "quantile": repr(quantile)}, value_us)


def _histogram_samples(name: str, labels: Labels, histogram: DurationHistogram) -> Iterator[str]:
    for bound, count in zip(_BOUNDS_US, histogram.counts, strict=True):
        yield _sample(f"{name}_bucket", {**labels, "le": bound}, count)
    yield _sample(f"{name}_sum", labels, histogram.ns // 1000)
    yield _sample(f"{name}_count", labels, histogram.counts[-1])


def _labels(server: InferenceServer, row: ModelVersionStatistics) -> Labels:
    # What the configuration adds must neither displace what tells one model from another, nor break the text for all the others.
    tags = server.model_config(row.name, row.version).metric_tags
    named = {_NOT_IN_A_NAME.sub("_", key): value for key, value in tags.items()}
    return {**named, "model": row.name, "version": str(row.version)}


def _head(name: str, kind: str, text: str) -> Iterable[str]:
    return (f"# HELP {name} {text}", f"# TYPE {name} {kind}")


def _sample(name: str, labels: Labels, value: float) -> str:
    text = ",".join(f'{key}="{_escaped(labels[key])}"' for key in sorted(labels))
    return f"{name}{{{text}}} {'NaN' if value != value else repr(value)}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
