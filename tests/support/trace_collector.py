"""A collector of OpenTelemetry spans, as small as one can be: OTLP over HTTP, kept in memory."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class TraceCollector:
    """What was exported so far.

    Attributes:
        url: Where to export to.
        requests: As the protocol has them.
    """

    def __init__(self, url: str, requests: list[Any]) -> None:
        self.url = url
        self.requests = requests

    @property
    def resource(self) -> dict[str, str]:
        """Of whoever exported first."""
        return _attributes(self.requests[0].resource_spans[0].resource)

    @property
    def spans(self) -> list[Any]:
        """In the order of their export."""
        return [
            span
            for request in self.requests
            for of_resource in request.resource_spans
            for of_scope in of_resource.scope_spans
            for span in of_scope.spans
        ]

    def within(self, parent: Any) -> list[Any]:
        """Return the spans within a span, by the time of their start."""
        own = [each for each in self.spans if (each.trace_id, each.parent_span_id) == (parent.trace_id, parent.span_id)]
        return sorted(own, key=lambda each: each.start_time_unix_nano)


def attributes_of(span: Any) -> dict[str, Any]:
    """Return the attributes of a span."""
    return _attributes(span)


def _attributes(owner: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in owner.attributes}


@contextlib.contextmanager
def trace_collector() -> Iterator[TraceCollector]:
    """Collect on a free port, until the end of the block."""
    requests: list[Any] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            requests.append(ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_arguments: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield TraceCollector(f"http://127.0.0.1:{server.server_address[1]}/v1/traces", requests)
        finally:
            server.shutdown()
            thread.join()
