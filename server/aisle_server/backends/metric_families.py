"""Metrics that models define for themselves, until Prometheus asks for them.

A metric lives as long as the model keeps it, a family as long as one of its metrics or the model keeps that. Two that ask for the same
series share it, so instances of a model count together.

Source: Triton's python backend, "Custom Metrics"; Prometheus data model.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from threading import Lock
from typing import Final, Protocol, TypeAlias
from weakref import WeakValueDictionary

_NAME: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
# The server's own; two families of one name would make the whole text unreadable.
_RESERVED_PREFIX: Final = "nv_"

Labels: TypeAlias = tuple[tuple[str, str], ...]


class MetricKind(Enum):
    """What a metric does; the values are Prometheus' words."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class FamilyDescription:
    """What the metrics of a family have in common.

    Attributes:
        name: As Prometheus knows it.
        description: For people.
        kind: What they do.
    """

    name: str
    description: str
    kind: MetricKind


class Metric(Protocol):
    """One series. Any thread may call."""

    def increment(self, value: float) -> None:
        """Add to a counter, or to a gauge, where it may be negative.

        Raises:
            ValueError: The metric does not do that, or not with such a value. Likewise below.
        """
        ...

    def set(self, value: float) -> None:
        """Set a gauge."""
        ...

    def observe(self, value: float) -> None:
        """Count a value into the buckets of a histogram."""
        ...

    def value(self) -> float:
        """Return the value of a counter or a gauge."""
        ...


class Metrics(Protocol):
    """Where models get their metrics."""

    def metric(self, family: FamilyDescription, labels: Mapping[str, str], buckets: Sequence[float]) -> Metric:
        """Return a series, a new one unless somebody has it.

        Args:
            family: That it belongs to.
            labels: What tells it from the others of its family.
            buckets: Upper bounds of a histogram, ascending; empty for other metrics.

        Raises:
            ValueError: A name is none for Prometheus, is the server's own or means something else already; or the buckets are wrong.
        """
        ...


@dataclass(frozen=True, slots=True)
class SeriesSnapshot:
    """One series at one moment.

    Attributes:
        labels: By name, ascending.
        value: Of a counter or a gauge; the sum of a histogram.
        buckets: Of a histogram: upper bound and how many values were no greater, ascending; the last bound is infinite.
    """

    labels: Labels
    value: float
    buckets: tuple[tuple[float, int], ...] = ()


class MetricFamilies:
    """All metrics of all models in the server."""

    def __init__(self) -> None:
        """Begin with none."""
        self._lock = Lock()
        self._families: WeakValueDictionary[str, _Family] = WeakValueDictionary()

    def metric(self, family: FamilyDescription, labels: Mapping[str, str], buckets: Sequence[float]) -> Metric:
        """Return a series; see `Metrics.metric`."""
        _check_names(family, labels)
        bounds = _checked_bounds(family, buckets)
        with self._lock:
            known = self._families.get(family.name)
            if known is None:
                known = self._families[family.name] = _Family(family)
            if known.description != family:
                raise ValueError(
                    f"metric family '{family.name}' is a {known.description.kind.value} described as"
                    f" '{known.description.description}'; expected the same"
                )
            key = tuple(sorted(labels.items()))
            series = known.series.get(key)
            if series is None:
                series = known.series[key] = _Series(known, key, bounds)
            if series.bounds != bounds:
                raise ValueError(f"metric '{family.name}' has buckets {list(series.bounds)}; expected the same")
            return series

    def snapshot(self) -> list[tuple[FamilyDescription, list[SeriesSnapshot]]]:
        """Return every series of every family that has any, by name and labels."""
        with self._lock:
            families = sorted(self._families.values(), key=lambda family: family.description.name)
            listed = [
                (family.description, sorted(family.series.values(), key=lambda s: s.labels)) for family in families
            ]
        return [(description, [each.snapshot() for each in series]) for description, series in listed if series]


class _Family:
    def __init__(self, description: FamilyDescription) -> None:
        self.description = description
        self.series: WeakValueDictionary[Labels, _Series] = WeakValueDictionary()


class _Series:
    def __init__(self, family: _Family, labels: Labels, bounds: tuple[float, ...]) -> None:
        self.labels = labels
        self.bounds = bounds
        self._family = family
        self._lock = Lock()
        self._value = 0.0
        self._counts = [0] * (len(bounds) + 1)

    def increment(self, value: float) -> None:
        self._require("increment", MetricKind.COUNTER, MetricKind.GAUGE)
        if value < 0 and self._family.description.kind is MetricKind.COUNTER:
            raise ValueError(f"counter '{self._name}' cannot be incremented by {value}; expected 0 or more")
        with self._lock:
            self._value += value

    def set(self, value: float) -> None:
        self._require("set", MetricKind.GAUGE)
        with self._lock:
            self._value = float(value)

    def observe(self, value: float) -> None:
        self._require("observe", MetricKind.HISTOGRAM)
        with self._lock:
            self._value += value
            self._counts[bisect_left(self.bounds, value)] += 1

    def value(self) -> float:
        self._require("value", MetricKind.COUNTER, MetricKind.GAUGE)
        return self._value

    def snapshot(self) -> SeriesSnapshot:
        with self._lock:
            if self._family.description.kind is not MetricKind.HISTOGRAM:
                return SeriesSnapshot(self.labels, self._value)
            total, buckets = 0, []
            for bound, count in zip((*self.bounds, float("inf")), self._counts, strict=True):
                total += count
                buckets.append((bound, total))
            return SeriesSnapshot(self.labels, self._value, tuple(buckets))

    @property
    def _name(self) -> str:
        return self._family.description.name

    def _require(self, operation: str, *kinds: MetricKind) -> None:
        kind = self._family.description.kind
        if kind not in kinds:
            raise ValueError(f"{operation} is not an operation of a {kind.value}, which '{self._name}' is")


def _check_names(family: FamilyDescription, labels: Mapping[str, str]) -> None:
    if not _NAME.fullmatch(family.name):
        raise ValueError(f"'{family.name}' is no name of a metric; expected letters, digits, '_' and ':'")
    if family.name.startswith(_RESERVED_PREFIX):
        raise ValueError(f"'{family.name}' begins with '{_RESERVED_PREFIX}', as the server's own metrics do")
    for label in labels:
        if not _LABEL.fullmatch(label) or label == "le":
            raise ValueError(f"'{label}' is no label of metric '{family.name}'; expected letters, digits and '_'")


def _checked_bounds(family: FamilyDescription, buckets: Sequence[float]) -> tuple[float, ...]:
    bounds = tuple(float(bound) for bound in buckets)
    if family.kind is not MetricKind.HISTOGRAM and bounds:
        raise ValueError(f"metric '{family.name}' is a {family.kind.value} and has buckets; expected none")
    if family.kind is MetricKind.HISTOGRAM and (not bounds or list(bounds) != sorted(set(bounds))):
        raise ValueError(f"histogram '{family.name}' has buckets {list(bounds)}; expected one or more, ascending")
    return bounds
