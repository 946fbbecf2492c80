"""Which requests are traced, and what their doors add: when they were read, and when their answers were sent.

What models do with a request is noted in its `Trace` where it happens. A request that is not traced pays one look at a dictionary.

Source: Triton, trace extension; its sampling: one request in `trace_rate`, `trace_count` of them.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol

from aisle_server.errors import InvalidArgumentError
from aisle_server.frontends.grpc.call import Call
from aisle_server.frontends.trace_settings import CHANGEABLE, parse_change
from aisle_server.inference import Trace
from aisle_server.options import TraceValues


class TraceParent(NamedTuple):
    """The span that a caller says its request is part of.

    Attributes:
        context: As the sink knows it.
        is_sampled: Whether the caller records it.
    """

    context: Any
    is_sampled: bool


class TracedRequest:
    """A request that is traced, as its door sees it.

    Attributes:
        trace: For the model.
        start_ns: Monotonic time when the door had read it.
        events: Of the door: names and monotonic times.
        parent: Of a caller who traces too; None of others.
        has_timestamps: Whether times are told.
    """

    __slots__ = (
        "_is_closed",
        "_is_complete",
        "_is_over",
        "_send_event",
        "_when_done",
        "events",
        "has_timestamps",
        "parent",
        "start_ns",
        "trace",
    )

    def __init__(
        self,
        trace_events: tuple[str, str],
        read_ns: tuple[int, int],
        new_id: Callable[[], int],
        levels: Sequence[str],
        parent: TraceParent | None,
        when_done: Callable[[TracedRequest], None],
    ) -> None:
        """Begin when the request has been read.

        Args:
            trace_events: Of its call.
            read_ns: Monotonic times when the door began to read it, and was done.
            new_id: Counts traces.
            levels: What is to be kept.
            parent: Of the caller.
            when_done: Is told once door and model have added all they have.
        """
        received, self._send_event = trace_events
        self.trace = Trace(new_id, has_tensors="TENSORS" in levels, when_over=self._end_of_model)
        self.has_timestamps = "TIMESTAMPS" in levels
        self.parent = parent
        self.start_ns = read_ns[1]
        self.events = [(f"{received}_START", read_ns[0]), (f"{received}_END", read_ns[1])]
        self._when_done = when_done
        self._is_over = self._is_closed = self._is_complete = False

    def send(self) -> None:
        """Note that a response is there, and is about to be sent."""
        now_ns = time.monotonic_ns()
        if not self._is_complete:  # of several, the first counts
            self._is_complete = True
            self.events.append(("INFER_RESPONSE_COMPLETE", now_ns))
        self.events.append((f"{self._send_event}_START", now_ns))

    def sent(self) -> None:
        """Note that a response has been sent."""
        self.events.append((f"{self._send_event}_END", time.monotonic_ns()))

    def close(self) -> None:
        """Say that the door is done. A request that no model ever got leaves no trace."""
        self._is_closed = True
        if self._is_over:
            self._when_done(self)

    def _end_of_model(self) -> None:
        self._is_over = True
        if self._is_closed:
            self._when_done(self)


class TraceSink(Protocol):
    """Where traces go."""

    def parent_of(self, call: Call) -> TraceParent | None:
        """Return the span that a call says it is part of, if the sink knows such."""
        ...

    def write(self, traced: TracedRequest, log_frequency: int) -> None:
        """Take a trace.

        Args:
            traced: Nothing will be added to it.
            log_frequency: Of the settings of its model.
        """
        ...

    def close(self) -> None:
        """Write what is left."""
        ...


@dataclass(slots=True)
class _Sampling:
    values: TraceValues
    seen: int = 0
    left: int = field(init=False)

    def __post_init__(self) -> None:
        self.left = self.values.count

    def takes(self, *, is_wanted: bool = False) -> bool:
        """Count a request, and tell whether it is one to trace; one whose caller traces it is, whatever the rate."""
        if not self.values.levels or not self.left:
            return False
        self.seen += 1
        if self.seen % self.values.rate and not is_wanted:
            return False
        self.left -= self.left > 0
        return True


class Tracer:
    """Keeps the settings, those of single models beside those of all, and begins traces."""

    def __init__(self, values: TraceValues | None = None, sink: TraceSink | None = None) -> None:
        """Begin with the settings that the process was given; they are what clearing goes back to.

        Args:
            values: Settings; None for those of a process that was given none.
            sink: Where traces go; None for nowhere.
        """
        self._start = values or TraceValues()
        self._sink = sink
        self._all = _Sampling(self._start)
        self._models: dict[str, tuple[dict[str, Any], _Sampling]] = {}
        self._ids = itertools.count(1)

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
        parsed = [each for name, values in changes.items() if (each := parse_change(name, values)) is not None]
        if self._start.mode != "triton":
            of_files = [
                name for name in ("log_frequency", "TENSORS") if name in (*changes, *changes.get("trace_level", ()))
            ]
            if of_files:
                raise InvalidArgumentError(f"'{of_files[0]}' is of mode triton, and the mode is {self._start.mode}")
        own = dict(self._models[model][0]) if model in self._models else {}
        base = self._all.values if model else self._start
        if not model:
            own = {each: getattr(self._all.values, each) for each in CHANGEABLE.values()}
        for setting, value in parsed:
            if value is None:
                own.pop(setting, None)
            else:
                own[setting] = value
        sampling = _Sampling(replace(base, **own))
        if model:
            self._models[model] = (own, sampling)
            return
        self._all = sampling
        for name, (theirs, _) in self._models.items():
            self._models[name] = (theirs, _Sampling(replace(sampling.values, **theirs)))

    def begin(self, model: str, call: Call, read_ns: tuple[int, int]) -> TracedRequest | None:
        """Begin to trace a request that has come, if it is one to trace.

        Args:
            model: That it is for.
            call: That it came by.
            read_ns: Monotonic times when the door began to read it, and was done.
        """
        sampling = self._models[model][1] if model in self._models else self._all
        levels = sampling.values.levels
        if not levels or self._sink is None:
            return None
        parent = self._sink.parent_of(call)
        if not sampling.takes(is_wanted=parent is not None and parent.is_sampled):
            return None
        return TracedRequest(call.trace_events, read_ns, lambda: next(self._ids), levels, parent, self._write)

    def close(self) -> None:
        """Write what is left."""
        if self._sink is not None:
            self._sink.close()

    def _write(self, traced: TracedRequest) -> None:
        if self._sink is not None and traced.trace.request is not None:
            self._sink.write(traced, self.values(traced.trace.request.model_name).log_frequency)
