"""Timestamps of single requests, in Triton's trace file.

Events are made from the times that the scheduler books anyway, when the request is done: a request that is not traced pays one
look at a dictionary.

Source: Triton, trace extension; the JSON of its trace files, and its sampling: one request in `trace_rate`, `trace_count` of them.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from aisle_server.errors import InvalidArgumentError, UnsupportedError
from aisle_server.inference import InferenceRequest, InferenceResponse
from aisle_server.options import TraceValues

_log = logging.getLogger(__name__)
LEVELS: Final = ("OFF", "TIMESTAMPS")
# Traces that wait for a file, when none is written in between.
_KEPT: Final = 1000


def told(values: TraceValues) -> dict[str, list[str]]:
    """Return settings as the protocol tells them."""
    return {
        "trace_level": [values.level],
        "trace_rate": [str(values.rate)],
        "trace_count": [str(values.count)],
        "log_frequency": [str(values.log_frequency)],
        "trace_file": [values.file],
        "trace_mode": ["triton"],
    }


@dataclass(slots=True)
class _Sampling:
    values: TraceValues
    seen: int = 0
    left: int = field(init=False)

    def __post_init__(self) -> None:
        self.left = self.values.count

    def takes(self) -> bool:
        """Count a request, and tell whether it is one to trace."""
        if self.values.level == "OFF" or not self.left:
            return False
        self.seen += 1
        if self.seen % self.values.rate:
            return False
        self.left -= self.left > 0
        return True


class Tracer:
    """Keeps the settings, those of single models beside those of all, and the traces until they are written."""

    def __init__(self, values: TraceValues | None = None) -> None:
        """Begin with the settings that the process was given; they are what clearing goes back to."""
        self._start = values or TraceValues()
        self._all = _Sampling(self._start)
        self._models: dict[str, tuple[dict[str, int | str], _Sampling]] = {}
        self._traces: list[list[dict[str, object]]] = []
        self._last_id = 0
        self._files_written = 0

    def values(self, model: str = "") -> TraceValues:
        """Return the settings of a model, or of all that have none of their own."""
        return self._models[model][1].values if model in self._models else self._all.values

    def update(self, model: str, changes: Mapping[str, Sequence[str]]) -> None:
        """Change settings of a model, or of all; an empty value goes back to what holds for all, or held at the start.

        Raises:
            UnsupportedError: The file and the mode are not for callers to choose.
            InvalidArgumentError: An unknown setting, or a value that it cannot have.
        """
        parsed = {name: _parsed(name, values) for name, values in changes.items()}
        own = dict(self._models[model][0]) if model in self._models else {}
        base = self._all.values if model else self._start
        if not model:
            own = {each: getattr(self._all.values, each) for each in ("level", "rate", "count", "log_frequency")}
        for setting, value in parsed.values():
            if value is None:
                own.pop(setting, None)
            else:
                own[setting] = value
        sampling = _Sampling(replace(base, **own))  # type: ignore[arg-type]
        if model:
            self._models[model] = (own, sampling)
            return
        self._all = sampling
        for name, (theirs, _) in self._models.items():
            self._models[name] = (theirs, _Sampling(replace(sampling.values, **theirs)))  # type: ignore[arg-type]

    def takes(self, model: str) -> bool:
        """Tell whether a request that has come is one to trace."""
        return (self._models[model][1] if model in self._models else self._all).takes()

    def record(self, request: InferenceRequest, response: InferenceResponse, start_ns: int) -> None:
        """Keep the trace of a request that was answered.

        Args:
            request: What was asked.
            response: Its answer, with its times.
            start_ns: Monotonic time at which it came.
        """
        self._last_id += 1
        trace_id = self._last_id
        stamps = [("REQUEST_START", start_ns)]
        if response.timeline is not None:
            queued_ns, executed_ns = response.timeline
            times = response.times
            ends = (executed_ns + times.input_ns, executed_ns + times.input_ns + times.infer_ns)
            stamps += [
                ("QUEUE_START", queued_ns),
                ("COMPUTE_START", executed_ns),
                ("COMPUTE_INPUT_END", ends[0]),
                ("COMPUTE_OUTPUT_START", ends[1]),
                ("COMPUTE_END", ends[1] + times.output_ns),
            ]
        end_ns = time.monotonic_ns()
        stamps += [("INFER_RESPONSE_COMPLETE", end_ns), ("REQUEST_END", end_ns)]
        head: dict[str, object] = {
            "id": trace_id,
            "model_name": response.model_name,
            "model_version": response.model_version,
            "request_id": request.id,
        }
        self._traces.append(
            [head, *({"id": trace_id, "timestamps": [{"name": name, "ns": ns}]} for name, ns in stamps)]
        )
        frequency = self.values(request.model_name).log_frequency
        if frequency and len(self._traces) >= frequency:
            self._write(f".{self._files_written}")
        elif len(self._traces) > _KEPT:
            del self._traces[0]

    def close(self) -> None:
        """Write what is left."""
        if self._traces:
            self._write(f".{self._files_written}" if self._files_written else "")

    def _write(self, suffix: str) -> None:
        if not self._start.file:
            self._traces.clear()
            return
        events = [event for trace in self._traces for event in trace]
        self._traces.clear()
        self._files_written += 1
        path = Path(self._start.file + suffix)
        try:
            path.write_text(json.dumps(events))
        except OSError as error:
            _log.error("cannot write traces to '%s': %s", path, error.strerror)


_SETTINGS: Final = {
    "trace_level": "level",
    "trace_rate": "rate",
    "trace_count": "count",
    "log_frequency": "log_frequency",
}
_LEAST: Final = {"trace_rate": 1, "trace_count": -1, "log_frequency": 0}


def _parsed(name: str, values: Sequence[str]) -> tuple[str, int | str | None]:
    if name in ("trace_file", "trace_mode"):
        word = "file location" if name == "trace_file" else "mode"
        raise UnsupportedError(f"trace {word} can not be updated through network protocol")
    if name not in _SETTINGS:
        raise InvalidArgumentError(f"unknown trace setting '{name}'; expected {', '.join(_SETTINGS)}")
    if not values:
        return _SETTINGS[name], None
    if name == "trace_level":
        if any(value not in LEVELS for value in values):
            raise InvalidArgumentError(f"trace setting '{name}' is {list(values)}; expected {' or '.join(LEVELS)}")
        return "level", "TIMESTAMPS" if "TIMESTAMPS" in values else "OFF"
    text = values[0]
    digits = text.removeprefix("-")
    if (
        len(values) != 1
        or not (digits.isascii() and digits.isdecimal() and len(digits) < 10)
        or int(text) < _LEAST[name]
    ):
        raise InvalidArgumentError(
            f"trace setting '{name}' is {list(values)}; expected an integer of at least {_LEAST[name]}"
        )
    return _SETTINGS[name], int(text)


def parse_trace_config(texts: Sequence[str]) -> TraceValues:
    """Return what `--trace-config <setting>=<value>` says.

    Raises:
        ValueError: An unknown setting, or a value that it cannot have.
    """
    values = TraceValues()
    for text in texts:
        name, equals, value = text.removeprefix("triton,").partition("=")
        if name == "file" and value:
            values = replace(values, file=value)
        elif name == "mode" and value == "triton":
            continue
        elif name in ("level", "rate", "count", "log-frequency") and equals:
            wire = "log_frequency" if name == "log-frequency" else f"trace_{name}"
            try:
                setting, parsed = _parsed(wire, [value])
            except InvalidArgumentError as error:
                raise ValueError(f"--trace-config: {error.message}") from None
            values = replace(values, **{setting: parsed})  # type: ignore[arg-type]
        else:
            raise ValueError(
                f"--trace-config is '{text}'; expected level=, rate=, count=, log-frequency=, file= or mode=triton"
            )
    if values.level != "OFF" and not values.file:
        raise ValueError("--trace-config has a level and no file; expected file=<path> with it")
    return values
