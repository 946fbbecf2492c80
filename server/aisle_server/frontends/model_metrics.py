"""Metrics that models have defined for themselves, as Prometheus text.

Source: Prometheus text format 0.0.4.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from aisle_server.backends.metric_families import FamilyDescription, MetricFamilies, SeriesSnapshot


def render_model_metrics(families: MetricFamilies) -> str:
    """Return every series of every family."""
    return "".join(f"{line}\n" for description, series in families.snapshot() for line in _family(description, series))


def _family(description: FamilyDescription, series: list[SeriesSnapshot]) -> Iterator[str]:
    help_text = description.description.replace("\\", r"\\").replace("\n", r"\n")
    yield f"# HELP {description.name} {help_text}"
    yield f"# TYPE {description.name} {description.kind.value}"
    for each in series:
        if not each.buckets:
            yield _sample(description.name, each.labels, each.value)
            continue
        for bound, count in each.buckets:
            le = "+Inf" if math.isinf(bound) else repr(bound)
            yield _sample(f"{description.name}_bucket", (*each.labels, ("le", le)), count)
        yield _sample(f"{description.name}_sum", each.labels, each.value)
        yield _sample(f"{description.name}_count", each.labels, each.buckets[-1][1])


def _sample(name: str, labels: tuple[tuple[str, str], ...], value: float) -> str:
    text = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels)
    return f"{name}{{{text}}} {value!r}" if text else f"{name} {value!r}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
