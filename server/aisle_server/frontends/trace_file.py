"""Traces as Triton writes them: a JSON file of events, each with the number of its trace.

Names, order and forms are those that a tritonserver was seen to write. Two things it writes are no JSON, BYTES elements and INT8
ones; these are written as text and as numbers here.

Source: Triton, trace extension, "JSON Trace Output".
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from aisle_server.frontends.grpc.call import Call
from aisle_server.frontends.tracing import TracedRequest
from aisle_server.inference import Tensor, Trace

_log = logging.getLogger(__name__)
# Traces that wait for a file, when none is written in between.
_KEPT: Final = 1000
# Elements of a tensor, and bytes of an element, that are told. The others would fill memory and disk.
MAX_ELEMENTS: Final = 1024
MAX_ELEMENT_BYTES: Final = 1024


class TraceFile:
    """Gathers traces and writes them: a file after every `log_frequency` of them, or one at the end."""

    def __init__(self, path: str) -> None:
        """Name the file; those before the last get a number behind it."""
        self._path = path
        self._traces: list[list[dict[str, object]]] = []
        self._files_written = 0

    def parent_of(self, call: Call) -> None:
        """Return None: a file knows no callers' spans."""
        return None

    def write(self, traced: TracedRequest, log_frequency: int) -> None:
        """Take a trace, see `TraceSink.write`."""
        self._traces.append(list(_events(traced)))
        if log_frequency and len(self._traces) >= log_frequency:
            self._write(f".{self._files_written}")
        elif len(self._traces) > _KEPT:
            del self._traces[0]

    def close(self) -> None:
        """Write what is left."""
        if self._traces:
            self._write(f".{self._files_written}" if self._files_written else "")

    def _write(self, suffix: str) -> None:
        events = [event for trace in self._traces for event in trace]
        self._traces.clear()
        self._files_written += 1
        path = Path(self._path + suffix)
        try:
            path.write_text(json.dumps(events))
        except OSError as error:
            _log.error("cannot write traces to '%s': %s", path, error.strerror)


def _events(traced: TracedRequest) -> Iterator[dict[str, object]]:
    yield from _model_events(traced.trace, has_timestamps=traced.has_timestamps)
    if traced.has_timestamps:
        yield from _stamps(traced.trace.id, traced.events)


def _model_events(trace: Trace, *, has_timestamps: bool) -> Iterator[dict[str, object]]:
    if trace.request is None:  # a step that was refused
        return
    for child in trace.children:
        yield from _model_events(child, has_timestamps=has_timestamps)
    head: dict[str, object] = {
        "id": trace.id,
        "model_name": trace.request.model_name,
        "model_version": trace.model_version,
        "request_id": trace.request.id,
    }
    yield head | ({"parent_id": trace.parent_id} if trace.parent_id else {})
    if has_timestamps:
        yield from _stamps(trace.id, sorted(trace.events, key=lambda event: event[1]))
    for activity, tensor in trace.tensors:
        yield {"id": trace.id, "activity": activity, "tensor": _described(tensor)}


def _stamps(number: int, events: list[tuple[str, int]]) -> Iterator[dict[str, object]]:
    for name, ns in events:
        yield {"id": number, "timestamps": [{"name": name, "ns": ns}]}


def _described(tensor: Tensor) -> dict[str, str]:
    return {
        "name": tensor.name,
        "data": _text(tensor),
        "shape": ",".join(map(str, tensor.shape)),
        "dtype": tensor.datatype,
    }


def _text(tensor: Tensor) -> str:
    values: Any = tensor.data.reshape(-1)[:MAX_ELEMENTS]
    if tensor.datatype == "BF16":
        values = (values.astype(np.uint32) << 16).view(np.float32)
    elements = [_element(value) for value in values.tolist()]
    return ",".join([*elements, "..."] if tensor.data.size > MAX_ELEMENTS else elements)


def _element(value: Any) -> str:
    if isinstance(value, bytes):
        text = value[:MAX_ELEMENT_BYTES].decode(errors="backslashreplace")
        return f'"{text}..."' if len(value) > MAX_ELEMENT_BYTES else f'"{text}"'
    return f"{value:g}" if isinstance(value, float) else str(int(value))
