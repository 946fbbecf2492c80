"""Metrics that models define: shared by name and labels, shown as long as they are kept."""

import gc
import re

import pytest

from aisle_server.backends.metric_families import FamilyDescription, MetricFamilies, MetricKind
from aisle_server.frontends.model_metrics import render_model_metrics

REQUESTS = FamilyDescription("requests_seen", "Requests\nseen", MetricKind.COUNTER)
LEVEL = FamilyDescription("level", "A level", MetricKind.GAUGE)
SIZES = FamilyDescription("sizes", "Sizes", MetricKind.HISTOGRAM)


def test_metrics_are_rendered_as_prometheus_text():
    """Counters and gauges are a line each; a histogram has cumulative buckets, a sum and a count."""
    families = MetricFamilies()
    counter = families.metric(REQUESTS, {"model": 'a"b', "aisle": "1"}, ())
    gauge, histogram = families.metric(LEVEL, {}, ()), families.metric(SIZES, {"unit": "B"}, (1, 2.5))
    counter.increment(2)
    counter.increment(0.5)
    gauge.set(7)
    gauge.increment(-3)
    for size in (1, 2, 3):
        histogram.observe(size)
    assert render_model_metrics(families).splitlines() == [
        "# HELP level A level",
        "# TYPE level gauge",
        "level 4.0",
        r"# HELP requests_seen Requests\nseen",
        "# TYPE requests_seen counter",
        r'requests_seen{aisle="1",model="a\"b"} 2.5',
        "# HELP sizes Sizes",
        "# TYPE sizes histogram",
        'sizes_bucket{unit="B",le="1.0"} 1',
        'sizes_bucket{unit="B",le="2.5"} 2',
        'sizes_bucket{unit="B",le="+Inf"} 3',
        'sizes_sum{unit="B"} 6.0',
        'sizes_count{unit="B"} 3',
    ]


def test_two_that_ask_for_one_series_share_it():
    """Instances of a model count together."""
    families = MetricFamilies()
    first, second = (families.metric(REQUESTS, {"model": "m"}, ()) for _ in range(2))
    first.increment(1)
    second.increment(1)
    assert first.value() == second.value() == 2


def test_a_metric_that_nobody_keeps_is_gone():
    """What a model lets go of is not shown any more, and its family with it."""
    families = MetricFamilies()
    metric = families.metric(REQUESTS, {}, ())
    assert [description for description, _ in families.snapshot()] == [REQUESTS]
    del metric
    gc.collect()
    assert families.snapshot() == []


@pytest.mark.parametrize(
    ("family", "labels", "buckets", "text"),
    [
        (FamilyDescription("no name", "", MetricKind.GAUGE), {}, (), "'no name' is no name of a metric"),
        (FamilyDescription("nv_inference_count", "", MetricKind.GAUGE), {}, (), "begins with 'nv_'"),
        (LEVEL, {"a-b": "1"}, (), "'a-b' is no label"),
        (SIZES, {"le": "1"}, (1,), "'le' is no label"),
        (LEVEL, {}, (1,), "is a gauge and has buckets"),
        (SIZES, {}, (), "expected one or more, ascending"),
        (SIZES, {}, (2, 1), "expected one or more, ascending"),
        (
            FamilyDescription("kept", "", MetricKind.GAUGE),
            {},
            (),
            "is a counter described as 'Kept'; expected the same",
        ),
        (FamilyDescription("kept_sizes", "", MetricKind.HISTOGRAM), {}, (3,), "has buckets [1.0]; expected the same"),
    ],
)
def test_what_prometheus_could_not_read_is_refused(family, labels, buckets, text):
    """A wrong name, a wrong label, wrong buckets and a second meaning are told to the model."""
    families = MetricFamilies()
    kept = families.metric(FamilyDescription("kept", "Kept", MetricKind.COUNTER), {}, ())
    sizes = families.metric(FamilyDescription("kept_sizes", "", MetricKind.HISTOGRAM), {}, (1,))
    with pytest.raises(ValueError, match=re.escape(text)):
        families.metric(family, labels, buckets)
    assert (kept.value(), sizes.bounds) == (0, (1,))


@pytest.mark.parametrize(
    ("family", "buckets", "operation", "arguments", "text"),
    [
        (REQUESTS, (), "increment", (-1,), "cannot be incremented by -1; expected 0 or more"),
        (REQUESTS, (), "set", (1,), "set is not an operation of a counter"),
        (LEVEL, (), "observe", (1,), "observe is not an operation of a gauge"),
        (SIZES, (1,), "increment", (1,), "increment is not an operation of a histogram"),
        (SIZES, (1,), "value", (), "value is not an operation of a histogram"),
    ],
)
def test_an_operation_of_another_kind_is_refused(family, buckets, operation, arguments, text):
    """A metric does what its kind does."""
    metric = MetricFamilies().metric(family, {}, buckets)
    with pytest.raises(ValueError, match=text):
        getattr(metric, operation)(*arguments)
