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

        Names that are no settings, and the mode, are passed over, as on Triton.

        Raises:
            UnsupportedError: The file is not for callers to choose.
            InvalidArgumentError: A value that a setting cannot have.
        """
        parsed = [each for name, values in changes.items() if (each := _parsed(name, values)) is not None]
        own = dict(self._models[model][0]) if model in self._models else {}
        base = self._all.values if model else self._start
        if not model:
            own = {each: getattr(self._all.values, each) for each in ("level", "rate", "count", "log_frequency")}
        for setting, value in parsed:
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


# Wire name -> ours, the least and the largest value.
_NUMBERS: Final = {
    "trace_rate": ("rate", 1, 2**32 - 1),
    "trace_count": ("count", -1, 2**31 - 1),
    "log_frequency": ("log_frequency", 0, 2**32 - 1),
}


def _parsed(name: str, values: Sequence[str]) -> tuple[str, int | str | None] | None:
    """Return one setting and its value, None for a value that goes back; None alone for a setting to pass over."""
    if name == "trace_file":
        raise UnsupportedError("trace file location can not be updated through network protocol")
    if name == "trace_level":
        return "level", _level(values) if values else None
    if name not in _NUMBERS:
        return None  # as Triton does, whose mode too is what the process was started with
    setting, least, largest = _NUMBERS[name]
    if not values:
        return setting, None
    if len(values) != 1:
        raise InvalidArgumentError(f"expect only 1 value for '{name}', got {len(values)}")
    (text,) = values
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal()):
        raise InvalidArgumentError(f"Unable to parse '{name}', got: {text}")
    if name == "trace_count" and text.startswith("-") and text != "-1":
        raise InvalidArgumentError(f"Unable to parse '{name}'. Expecting value >= -1, got: {text}")
    # Few digits, so that nobody computes with thousands of them.
    if len(digits) > 10 or not least <= int(text) <= largest:
        raise InvalidArgumentError(
            f"Unable to parse '{name}', value is out of range [ {least}, {largest} ], got: {text}"
        )
    return setting, int(text)


def _level(values: Sequence[str]) -> str:
    if any(value not in LEVELS for value in values):
        raise InvalidArgumentError(f"trace setting 'trace_level' is {list(values)}; expected {' or '.join(LEVELS)}")
    if "OFF" in values and len(values) > 1:
        raise InvalidArgumentError("Expect only one trace level 'OFF' is specified")
    return values[0]


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
                parsed = _parsed(wire, [value])
            except InvalidArgumentError as error:
                raise ValueError(f"--trace-config: {error.message}") from None
            assert parsed is not None
            values = replace(values, **dict([parsed]))  # type: ignore[arg-type]
        else:
            raise ValueError(
                f"--trace-config is '{text}'; expected level=, rate=, count=, log-frequency=, file= or mode=triton"
            )
    if values.level != "OFF" and not values.file:
        raise ValueError("--trace-config has a level and no file; expected file=<path> with it")
    return values
