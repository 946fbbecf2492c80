"""`pb_utils.MetricFamily` and `pb_utils.Metric`: what a model counts for itself, shown beside the server's metrics.

Source: Triton's python backend, "Custom Metrics".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, TypeVar

from aisle_server.backends.metric_families import FamilyDescription, MetricKind, Metrics
from aisle_server.backends.metric_families import Metric as ServerMetric
from aisle_server.backends.python.current_model import current_model
from aisle_server.backends.python.errors import TritonModelException

Result = TypeVar("Result")


class MetricFamily:
    """Metrics of one name and kind, told apart by labels."""

    COUNTER: ClassVar[MetricKind] = MetricKind.COUNTER
    GAUGE: ClassVar[MetricKind] = MetricKind.GAUGE
    HISTOGRAM: ClassVar[MetricKind] = MetricKind.HISTOGRAM

    def __init__(self, name: str, description: str, kind: MetricKind) -> None:
        """Describe a family.

        Args:
            name: As Prometheus shall know it.
            description: For people.
            kind: COUNTER, GAUGE or HISTOGRAM.

        Raises:
            TritonModelException: The kind is none of these, or the code that calls belongs to no model.
        """
        if not isinstance(kind, MetricKind):
            raise TritonModelException(f"{kind!r} is no kind of metric; expected one of MetricFamily's constants")
        model = current_model()
        if model is None or model.metrics is None:
            raise TritonModelException(
                "metrics can be made by a model's code alone, and here is no server to show them"
            )
        self._metrics: Metrics = model.metrics
        self._description = FamilyDescription(name, description, kind)

    def Metric(self, labels: Mapping[str, str] | None = None, buckets: Sequence[float] | None = None) -> Metric:
        """Return the metric with these labels; it is shown as long as the model keeps it.

        Args:
            labels: What tells it from the others of the family.
            buckets: For a histogram, upper bounds, ascending.

        Raises:
            TritonModelException: A name is none for Prometheus, is the server's own or means something else, or the buckets are wrong.
        """
        named = {str(key): str(value) for key, value in (labels or {}).items()}
        return Metric(_told(lambda: self._metrics.metric(self._description, named, buckets or ())))


class Metric:
    """One of a family's metrics. A MetricFamily makes it.

    Every method raises TritonModelException when the kind of metric does not do such a thing.
    """

    def __init__(self, metric: ServerMetric) -> None:
        """Wrap the server's."""
        self._metric = metric

    def increment(self, value: float) -> None:
        """Add to a counter, or to a gauge, where it may be negative."""
        _told(lambda: self._metric.increment(value))

    def set(self, value: float) -> None:
        """Set a gauge."""
        _told(lambda: self._metric.set(value))

    def observe(self, value: float) -> None:
        """Count a value into the buckets of a histogram."""
        _told(lambda: self._metric.observe(value))

    def value(self) -> float:
        """Return the value of a counter or a gauge."""
        return _told(self._metric.value)


def _told(function: Callable[[], Result]) -> Result:
    try:
        return function()
    except ValueError as error:
        raise TritonModelException(str(error)) from None
