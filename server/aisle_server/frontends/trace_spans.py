"""Traces as OpenTelemetry spans, sent to a collector by OTLP over HTTP.

A request is a span `InferRequest`, within it one with the name of the model, within that one `compute`; the steps of an ensemble are
spans within the ensemble's. Names, attributes and events are those that a tritonserver was seen to send. The spans are made when the
request is done, so that it never waits for OpenTelemetry; export is on a thread of the library.

The library is an extra, and imported when it is asked for. Its environment variables (`OTEL_...`) hold as everywhere.

Source: Triton, "OpenTelemetry Trace Support"; W3C Trace Context.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from aisle_server.frontends.grpc.call import Call
from aisle_server.frontends.tracing import TracedRequest, TraceParent
from aisle_server.inference import Trace
from aisle_server.options import SpanExport

if TYPE_CHECKING:
    from opentelemetry.context import Context

# What the export of one batch may take, and with it the end of the server when the collector does not answer.
_EXPORT_TIMEOUT_S: Final = 5
_HEADERS: Final = ("traceparent", "tracestate")
_MODEL_EVENTS: Final = ("REQUEST_START", "QUEUE_START", "REQUEST_END")


def check_installed() -> None:
    """See that the library is there.

    Raises:
        ValueError: It is not.
    """
    try:
        import opentelemetry.exporter.otlp.proto.http.trace_exporter
        import opentelemetry.sdk.trace.export  # noqa: F401
    except ImportError as error:
        raise ValueError(
            f"--trace-config mode=opentelemetry needs packages that are not installed ({error.name}): "
            "pip install 'aisle[telemetry]'"
        ) from None


class TraceSpans:
    """Makes spans of traces, and has them exported."""

    def __init__(self, options: SpanExport) -> None:
        """Begin to export; see `check_installed`."""
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ALWAYS_ON
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._api = trace
        self._propagator = TraceContextTextMapPropagator()
        # Who is traced was decided when the request came.
        self._provider = TracerProvider(
            sampler=ALWAYS_ON,
            resource=Resource.create({"service.name": "aisle", **dict(options.resource)}),
            shutdown_on_exit=False,
        )
        exporter = OTLPSpanExporter(endpoint=options.url, timeout=_EXPORT_TIMEOUT_S)
        self._provider.add_span_processor(
            BatchSpanProcessor(
                exporter,
                max_queue_size=options.bsp_max_queue_size,
                schedule_delay_millis=options.bsp_schedule_delay,
                max_export_batch_size=options.bsp_max_export_batch_size,
            )
        )
        self._tracer = self._provider.get_tracer("aisle-server")

    def parent_of(self, call: Call) -> TraceParent | None:
        """Return the span that the header `traceparent` names; None without one, or with one that is wrong."""
        metadata = call.metadata()
        headers = {name: metadata[name] for name in _HEADERS if name in metadata}
        if not headers:
            return None
        context = self._propagator.extract(headers)
        span = self._api.get_current_span(context).get_span_context()
        return TraceParent(context, span.trace_flags.sampled) if span.is_valid else None

    def write(self, traced: TracedRequest, log_frequency: int) -> None:
        """Take a trace, see `TraceSink.write`."""
        to_epoch_ns = time.time_ns() - time.monotonic_ns()
        context = (
            traced.parent.context
            if traced.parent is not None
            else self._api.set_span_in_context(self._api.INVALID_SPAN)
        )
        end_ns = max(ns for _, ns in (*traced.events, *traced.trace.events))
        inner = self._span("InferRequest", context, {}, traced.events, (traced.start_ns, end_ns), to_epoch_ns)
        self._write_model(traced.trace, inner, to_epoch_ns)

    def close(self) -> None:
        """Export what is left."""
        self._provider.shutdown()

    def _write_model(self, trace: Trace, context: Context, to_epoch_ns: int) -> None:
        if trace.request is None:  # a step that was refused
            return
        attributes = {
            "triton.model_name": trace.request.model_name,
            "triton.model_version": trace.model_version,
            "triton.trace_id": trace.id,
            "triton.trace_parent_id": trace.parent_id,
            "triton.request_id": trace.request.id,
        }
        events = sorted(trace.events, key=lambda event: event[1])
        own = [event for event in events if event[0] in _MODEL_EVENTS]
        inner = self._span(trace.request.model_name, context, attributes, own, (own[0][1], own[-1][1]), to_epoch_ns)
        compute = [event for event in events if event[0] not in _MODEL_EVENTS]
        if compute:
            self._span("compute", inner, {}, compute, (compute[0][1], compute[-1][1]), to_epoch_ns)
        for child in trace.children:
            self._write_model(child, inner, to_epoch_ns)

    def _span(
        self,
        name: str,
        context: Context,
        attributes: dict[str, Any],
        events: list[tuple[str, int]],
        bounds_ns: tuple[int, int],
        to_epoch_ns: int,
    ) -> Context:
        """Make a span and end it. Returns the context for those within it."""
        start_ns, end_ns = bounds_ns
        span = self._tracer.start_span(
            name, context, self._api.SpanKind.SERVER, attributes, start_time=start_ns + to_epoch_ns
        )
        for event, ns in events:
            span.add_event(event, timestamp=ns + to_epoch_ns)
        span.end(end_ns + to_epoch_ns)
        return self._api.set_span_in_context(span)
