"""The metrics text, read back by Prometheus' own parser."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from aisle_server.frontends.gpu_metrics import GpuMetrics
from aisle_server.frontends.host_metrics import HostMetrics
from aisle_server.frontends.metrics import render_metrics
from aisle_server.inference import ComputeTimes
from aisle_server.options import MetricsConfig
from aisle_server.statistics import FailureReason, ModelStatistics
from tests.support.fake_inference_server import IDENTITY, FakeInferenceServer
from tests.support.fake_nvml import FakeNvml


def _samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    # The parser puts `_total` behind a counter's name, after the manner of OpenMetrics; the text has the names as Triton's.
    return {
        (sample.name.removesuffix("_total"), tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if family.type != "histogram"
    }


def test_every_metric_of_triton_is_there_with_its_value() -> None:
    """Statistics come out under Triton's names, durations in microseconds, failures by reason."""
    server = FakeInferenceServer(pending=5)
    times = ComputeTimes(input_ns=1_000, infer_ns=20_000, output_ns=3_000)
    server.books.record_success(batch_size=2, request_ns=90_000, queue_ns=40_000, times=times, now_ms=1)
    server.books.record_execution(batch_size=2, times=times)
    server.books.record_failure(reason=FailureReason.CANCELED, request_ns=7)
    own = (("model", "identity"), ("version", "3"))
    assert _samples(render_metrics(server)) == {
        ("nv_inference_request_success", own): 1,
        ("nv_inference_request_failure", (own[0], ("reason", "REJECTED"), own[1])): 0,
        ("nv_inference_request_failure", (own[0], ("reason", "CANCELED"), own[1])): 1,
        ("nv_inference_request_failure", (own[0], ("reason", "BACKEND"), own[1])): 0,
        ("nv_inference_request_failure", (own[0], ("reason", "OTHER"), own[1])): 0,
        ("nv_inference_count", own): 2,
        ("nv_inference_exec_count", own): 1,
        ("nv_inference_request_duration_us", own): 90,
        ("nv_inference_queue_duration_us", own): 40,
        ("nv_inference_compute_input_duration_us", own): 1,
        ("nv_inference_compute_infer_duration_us", own): 20,
        ("nv_inference_compute_output_duration_us", own): 3,
        ("nv_inference_pending_request_count", own): 5,
        ("nv_model_load_duration_secs", own): 0.25,
    }


def test_a_model_with_a_response_cache_has_its_metrics() -> None:
    """Hits, misses and their durations come under Triton's names, for models that ask for the cache alone."""
    server = FakeInferenceServer(configs=(replace(IDENTITY, response_cache=True),))
    server.books.record_cache_hit(lookup_ns=5_000, now_ms=1)
    server.books.record_cache_miss(ns=7_000)
    own = (("model", "identity"), ("version", "3"))
    samples = _samples(render_metrics(server))
    assert {name: value for (name, labels), value in samples.items() if "cache" in name and labels == own} == {
        "nv_cache_num_hits_per_model": 1,
        "nv_cache_num_misses_per_model": 1,
        "nv_cache_hit_duration_per_model": 5,
        "nv_cache_miss_duration_per_model": 7,
    }
    assert samples["nv_inference_request_duration_us", own] == 12
    assert "nv_cache" not in render_metrics(FakeInferenceServer())


def test_durations_have_histograms() -> None:
    """The durations of a request, of its queue and of the three parts of its execution come as cumulative buckets, in microseconds."""
    server = FakeInferenceServer()
    times = ComputeTimes(input_ns=100_001, infer_ns=200_000, output_ns=300_000)
    for request_ns in (300_000, 300_000, 20_000_000_000):
        server.books.record_success(batch_size=1, request_ns=request_ns, queue_ns=50_000, times=times, now_ms=1)
    families = {family.name: family for family in text_string_to_metric_families(render_metrics(server))}

    def buckets(name: str) -> dict[str, float]:
        samples = families[name].samples
        named = {each.labels["le"]: each.value for each in samples if each.name == f"{name}_bucket"}
        return {bound: named[bound] for bound in ("100", "250", "500", "10000000", "+Inf")}

    parts = ("request", "queue", "compute_input", "compute_infer", "compute_output")
    assert {families[f"nv_inference_{part}_duration_histogram_us"].type for part in parts} == {"histogram"}
    assert list(buckets("nv_inference_request_duration_histogram_us").values()) == [0, 0, 2, 2, 3]
    assert list(buckets("nv_inference_queue_duration_histogram_us").values()) == [3, 3, 3, 3, 3]
    assert list(buckets("nv_inference_compute_input_duration_histogram_us").values()) == [0, 3, 3, 3, 3]
    assert list(buckets("nv_inference_compute_infer_duration_histogram_us").values()) == [0, 3, 3, 3, 3]
    assert list(buckets("nv_inference_compute_output_duration_histogram_us").values()) == [0, 0, 3, 3, 3]
    told = {each.name: each.value for each in families["nv_inference_request_duration_histogram_us"].samples}
    assert told["nv_inference_request_duration_histogram_us_sum"] == 20_000_600
    assert told["nv_inference_request_duration_histogram_us_count"] == 3


def test_names_are_those_of_triton_to_the_letter() -> None:
    """Counters are declared and written without the `_total` that OpenMetrics would put behind them."""
    lines = render_metrics(FakeInferenceServer()).splitlines()
    assert "# TYPE nv_inference_count counter" in lines
    assert 'nv_inference_count{model="identity",version="3"} 0' in lines


def test_metric_tags_are_labels_that_cannot_break_the_text() -> None:
    """Tags of the configuration become labels; odd names and values are escaped, and `model` stays the model."""
    tags = {"shop-floor": 'a "b"\n\\c', "model": "impostor", "1st": "x"}
    server = FakeInferenceServer(configs=(replace(IDENTITY, metric_tags=tags),))
    families = list(text_string_to_metric_families(render_metrics(server)))
    assert families[0].samples[0].labels == {
        "shop_floor": 'a "b"\n\\c',
        "_st": "x",
        "model": "identity",
        "version": "3",
        "reason": "REJECTED",
    }


def test_metrics_can_be_left_out() -> None:
    """`--metrics-config` leaves sums of durations, or their histograms, out, and the counts in."""
    server = FakeInferenceServer()
    text = render_metrics(server, MetricsConfig(counter_latencies=False))
    assert "nv_inference_queue_duration_us" not in text
    assert "nv_inference_queue_duration_histogram_us" in text
    text = render_metrics(server, MetricsConfig(histogram_latencies=False))
    assert "nv_inference_queue_duration_us" in text
    assert "histogram" not in text
    assert "nv_inference_request_success" in text


def test_summaries_are_given_when_asked_for() -> None:
    """Under Triton's names: counts and sums since the start, quantiles of the last minute; NaN while there is nothing to tell of."""
    server = FakeInferenceServer()
    assert "summary" not in render_metrics(server)
    server.books = ModelStatistics(has_windows=True)
    config = MetricsConfig(summary_latencies=True, summary_quantiles=(0.5, 0.99))

    def summary(part: str, suffix: str = "", quantile: str = "") -> float:
        labels = [("model", "identity"), *([("quantile", quantile)] if quantile else []), ("version", "3")]
        return _samples(render_metrics(server, config))[f"nv_inference_{part}_summary_us{suffix}", tuple(labels)]

    assert summary("queue", "_count") == 0
    assert math.isnan(summary("queue", quantile="0.5"))
    now_ms = time.time_ns() // 1_000_000
    for number in range(100):
        server.books.record_success(
            batch_size=1,
            request_ns=(number + 1) * 1_000_000,
            queue_ns=10_000,
            times=ComputeTimes(1_000, 2_000_000, 3_000),
            now_ms=now_ms,
        )
    server.books.record_cache_hit(lookup_ns=4_000, now_ms=now_ms)
    assert (summary("request", "_count"), summary("request", "_sum")) == (101, 5_050_004)
    assert summary("request", quantile="0.5") == pytest.approx(50_000, rel=0.03)
    assert summary("request", quantile="0.99") == pytest.approx(99_000, rel=0.03)
    assert (summary("queue", "_count"), summary("queue", "_sum")) == (101, 1_000)
    for part, us in (("compute_input", 1), ("compute_infer", 2_000), ("compute_output", 3)):
        assert summary(part, "_count") == 100
        assert summary(part, quantile="0.5") == pytest.approx(us, rel=0.011)


def test_the_machine_tells_its_processors_and_its_memory(tmp_path: Path) -> None:
    """Utilization is that of the time since the last look; memory is what nobody else could have."""
    stat, meminfo = tmp_path / "stat", tmp_path / "meminfo"
    stat.write_text("cpu  100 0 100 700 100 0 0 0 50 0\ncpu0 1 2 3\n")
    meminfo.write_text("MemTotal:  1000 kB\nMemFree:  10 kB\nMemAvailable:  400 kB\nHugePages_Total: 0\n")
    host = HostMetrics(tmp_path)
    stat.write_text("cpu  150 0 125 715 110 0 0 0 50 0\n")
    assert _samples(host.render()) == {
        ("nv_cpu_utilization", ()): 0.75,
        ("nv_cpu_memory_total_bytes", ()): 1000 * 1024,
        ("nv_cpu_memory_used_bytes", ()): 600 * 1024,
    }
    assert _samples(host.render())[("nv_cpu_utilization", ())] == 0


def test_a_machine_without_proc_tells_nothing(tmp_path: Path) -> None:
    """On other systems than Linux these metrics are left out."""
    assert HostMetrics(tmp_path).render() == ""


def test_gpus_tell_what_they_know() -> None:
    """A series for each GPU and figure; what a device does not support is left out, and so is what none supports."""
    one, other = (("gpu_uuid", "GPU-100"),), (("gpu_uuid", "GPU-101"),)
    assert _samples(GpuMetrics(FakeNvml()).render()) == {
        ("nv_gpu_utilization", one): 0.75,
        ("nv_gpu_utilization", other): 0.75,
        ("nv_gpu_memory_total_bytes", one): 2**40,
        ("nv_gpu_memory_total_bytes", other): 2**40,
        ("nv_gpu_memory_used_bytes", one): 2**39,
        ("nv_gpu_memory_used_bytes", other): 2**39,
        ("nv_gpu_power_usage", one): 71.5,
        ("nv_energy_consumption", one): 2**50 / 1000,
        ("nv_energy_consumption", other): 2**50 / 1000,
    }


def test_a_machine_without_gpus_tells_nothing() -> None:
    """Where the driver's library is not there, these metrics are left out."""
    assert not GpuMetrics(None)
    assert GpuMetrics(None).render() == ""
