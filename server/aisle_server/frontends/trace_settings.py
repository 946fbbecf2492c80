"""Settings of the tracer: told, changed by callers, and read off flags.

Source: Triton, trace extension; its flag `--trace-config`, and the texts of its refusals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from aisle_server.errors import InvalidArgumentError, UnsupportedError
from aisle_server.options import SpanExport, TraceValues

OFF: Final = "OFF"
LEVELS: Final = ("TIMESTAMPS", "TENSORS")
# Name in the protocol -> field of TraceValues; those that callers may change.
CHANGEABLE: Final = {
    "trace_level": "levels",
    "trace_rate": "rate",
    "trace_count": "count",
    "log_frequency": "log_frequency",
}
# The least and the largest value.
_BOUNDS: Final = {
    "trace_rate": (1, 2**32 - 1),
    "trace_count": (-1, 2**31 - 1),
    "log_frequency": (0, 2**32 - 1),
}
_GLOBAL_FLAGS: Final = ("level", "rate", "count", "mode")
_SPAN_NUMBERS: Final = ("bsp_max_queue_size", "bsp_schedule_delay", "bsp_max_export_batch_size")


def told(values: TraceValues) -> dict[str, list[str]]:
    """Return settings as the protocol tells them."""
    texts: dict[str, list[str]] = {
        "trace_level": list(values.levels) or [OFF],
        "trace_rate": [str(values.rate)],
        "trace_count": [str(values.count)],
        "trace_mode": [values.mode],
    }
    if values.mode == "triton":
        of_mode = {"log_frequency": [str(values.log_frequency)], "trace_file": [values.file]}
    else:
        of_mode = {name: [str(getattr(values.spans, name))] for name in _SPAN_NUMBERS}
        of_mode["url"] = [values.spans.url]
        of_mode["resource"] = [f"{key}={value}" for key, value in values.spans.resource]
    return texts | of_mode


def parse_change(name: str, values: Sequence[str]) -> tuple[str, Any] | None:
    """Return the field of TraceValues that a setting is, and its new value; None for a setting to pass over.

    The value is None where the setting goes back to what holds without it. Names that are no settings, and the mode, are passed over,
    as on Triton.

    Raises:
        UnsupportedError: The file is not for callers to choose.
        InvalidArgumentError: A value that a setting cannot have.
    """
    if name == "trace_file":
        raise UnsupportedError("trace file location can not be updated through network protocol")
    if name not in CHANGEABLE:
        return None
    field = CHANGEABLE[name]
    if not values:
        return field, None
    return field, _levels(values) if name == "trace_level" else _number(name, values)


def parse_trace_config(texts: Sequence[str]) -> TraceValues:
    """Return what the flags `--trace-config [<mode>,]<setting>=<value>` say, those of all requests.

    Raises:
        ValueError: An unknown setting, a value that it cannot have, or settings that contradict each other.
    """
    values, levels, modes = TraceValues(), list[str](), set[str]()
    for text in texts:
        mode, comma, rest = text.partition(",")
        if not comma or "=" in mode:
            mode, rest = "", text
        name, equals, value = rest.partition("=")
        try:
            if not equals or not value:
                raise InvalidArgumentError("it has no value")
            if name == "level":
                levels.append(value)
            elif name == "mode" and value in ("triton", "opentelemetry"):
                values = replace(values, mode=value)  # type: ignore[arg-type]
            elif mode == "opentelemetry" and name not in _GLOBAL_FLAGS:
                modes.add(mode)
                values = replace(values, spans=_spans(values.spans, name, value))
            elif name == "file" and mode != "opentelemetry":
                modes.add("triton")
                values = replace(values, file=value)
            elif name in ("rate", "count", "log-frequency"):
                setting = "log_frequency" if name == "log-frequency" else f"trace_{name}"
                changes: Mapping[str, Any] = {CHANGEABLE[setting]: _number(setting, [value])}
                values = replace(values, **changes)
            else:
                raise InvalidArgumentError(
                    "there is no such setting; expected mode=triton or opentelemetry, level=, rate=, count=, "
                    "triton,file=, triton,log-frequency=, opentelemetry,url=, opentelemetry,resource=<key>=<value> or "
                    + ", ".join(f"opentelemetry,{each}=" for each in _SPAN_NUMBERS)
                )
        except InvalidArgumentError as error:
            raise ValueError(f"--trace-config is '{text}': {error.message}") from None
    if levels:
        try:
            values = replace(values, levels=_levels(levels))
        except InvalidArgumentError as error:
            raise ValueError(f"--trace-config has level {', '.join(levels)}: {error.message}") from None
    if modes - {values.mode}:
        raise ValueError(f"--trace-config has settings of mode {modes.pop()}, and the mode is {values.mode}")
    if values.mode == "opentelemetry" and "TENSORS" in values.levels:
        raise ValueError("--trace-config has level TENSORS, which is of mode triton, and the mode is opentelemetry")
    if values.mode == "triton" and values.levels and not values.file:
        raise ValueError("--trace-config has a level and no file; expected file=<path> with it")
    return values


def _levels(texts: Sequence[str]) -> tuple[str, ...]:
    if OFF in texts and len(texts) > 1:
        raise InvalidArgumentError("Expect only one trace level 'OFF' is specified")
    wrong = [text for text in texts if text not in (OFF, *LEVELS)]
    if wrong:
        raise InvalidArgumentError(f"trace level is '{wrong[0]}'; expected {OFF}, {' or '.join(LEVELS)}")
    return tuple(level for level in LEVELS if level in texts)


def _number(name: str, values: Sequence[str]) -> int:
    least, largest = _BOUNDS[name]
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
    return int(text)


def _spans(spans: SpanExport, name: str, value: str) -> SpanExport:
    if name == "url" and value.startswith(("http://", "https://")):
        return replace(spans, url=value)
    if name == "url":
        raise InvalidArgumentError("expected http:// or https://")
    if name == "resource":
        key, equals, text = value.partition("=")
        if not equals or not key:
            raise InvalidArgumentError("expected resource=<key>=<value>")
        return replace(spans, resource=(*spans.resource, (key, text)))
    if name not in _SPAN_NUMBERS:
        raise InvalidArgumentError(f"expected url, resource, {', '.join(_SPAN_NUMBERS)}")
    if not (value.isascii() and value.isdecimal() and 0 < int(value[:10]) < 2**31):
        raise InvalidArgumentError("expected a number of at least 1")
    changes: Mapping[str, Any] = {name: int(value)}
    return replace(spans, **changes)
