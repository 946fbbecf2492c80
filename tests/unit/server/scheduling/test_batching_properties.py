"""The batcher against its description: the same events give the same batches at the same times."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import cycle, islice, product
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from aisle_server.errors import QueueFullError
from aisle_server.inference import InferenceRequest, Tensor
from aisle_server.model_config.schema import DynamicBatching, ModelConfig, ModelInput, QueuePolicy, TimeoutAction
from aisle_server.scheduling.alarms import NEVER_NS
from aisle_server.scheduling.batch import BatchFormer, signature_for
from aisle_server.scheduling.request_queue import Overdue, QueuedRequest
from tests.support.reference_batcher import FOREVER, ReferenceBatcher, Rules

US = 1_000
MODEL = ModelConfig(
    "m", max_batch_size=1, inputs=(ModelInput("A", "UINT8", (-1,)), ModelInput("B", "UINT8", (1,), optional=True))
)


@dataclass
class Arrival:
    """A request comes."""

    rows: int
    priority: int
    timeout_us: int
    deadline_us: int | None
    length: int
    has_b: bool


@dataclass
class Departure:
    """The caller of the request with this number, counted from the newest, leaves."""

    back: int


@dataclass
class Finish:
    """An instance is done with its batch."""


@dataclass
class Pass:
    """Time passes."""

    us: int


def rules() -> st.SearchStrategy[Rules]:
    """Configurations: half of them without any queue policy, which is what allows batches to be formed ahead."""

    @st.composite
    def build(draw: st.DrawFn) -> Rules:
        size = draw(st.integers(1, 8))
        preferred = draw(st.sets(st.integers(1, size), max_size=3))
        plain = Rules(
            max_batch_size=size,
            instances=draw(st.integers(1, 2)),
            preferred=sorted(preferred),
            delay=draw(st.sampled_from([0, 0, 50 * US, 100 * US])),
        )
        if draw(st.booleans()):
            return plain
        plain.levels = draw(st.integers(0, 3))
        plain.default_level = draw(st.integers(1, plain.levels)) if plain.levels else 0
        plain.timeout = draw(st.sampled_from([0, 30 * US, 120 * US]))
        plain.timeout_delays = draw(st.booleans())
        plain.may_override = draw(st.booleans())
        plain.max_queue_size = draw(st.integers(0, 5))
        return plain

    return build()


def events(max_rows: int) -> st.SearchStrategy[list[Any]]:
    """Sequences of events; requests never have more rows than the model takes, for those were refused before.

    A byte stands for an event: one draw for all of them, so that sequences may be long enough to fill queues.
    """
    plain = [Arrival(rows, 0, 0, None, 1, True) for rows in (1, 1, 1, 2, 3, 5, max_rows) if rows <= max_rows]
    shapes = [Arrival(1, 0, 0, None, length, has_b) for length in (1, 2) for has_b in (True, False)]
    hurried = [Arrival(1, 0, 0, deadline_us, 1, True) for deadline_us in (0, 20, 60, 90)]
    policed = [
        Arrival(rows, priority, timeout_us, deadline_us, 1, True)
        for priority, timeout_us, deadline_us, rows in product((1, 2, 9), (10, 40, 500), (None, 40), (1, max_rows))
    ]
    others = [Departure(back) for back in range(4)] + [Finish()] * 8 + [Pass(us) for us in (1, 10, 20, 30, 50, 60, 100)]
    kinds = [islice(cycle(kind), 36) for kind in (plain, plain, shapes, hurried, policed, others, others)]
    pool = [event for kind in kinds for event in kind]
    return st.binary(min_size=10, max_size=100).map(lambda draws: [pool[draw % len(pool)] for draw in draws])


@dataclass
class Log:
    """What came of a sequence of events."""

    entries: list[tuple[int, str, Any]] = field(default_factory=list)
    accepted: dict[int, Arrival] = field(default_factory=dict)
    came: dict[int, int] = field(default_factory=dict)


class Numbered(QueuedRequest):
    """A queued request with a number."""

    __slots__ = ("name",)

    def __init__(self, name: int, request: InferenceRequest) -> None:
        super().__init__(request)
        self.name = name


class Product:
    """The server's batcher under the reference's names."""

    def __init__(self, r: Rules) -> None:
        policy = QueuePolicy(
            TimeoutAction.DELAY if r.timeout_delays else TimeoutAction.REJECT,
            r.timeout // US,
            r.may_override,
            r.max_queue_size,
        )
        batching = DynamicBatching(tuple(r.preferred), r.delay // US, False, r.levels, r.default_level, policy)
        self.former: BatchFormer[Numbered] = BatchFormer(batching, r.max_batch_size, r.instances, signature_for(MODEL))
        self.entries: dict[int, Numbered] = {}

    @property
    def pending(self) -> int:
        return self.former.pending_count

    def arrive(self, name: int, now: int, arrival: Arrival) -> bool:
        inputs = {"A": Tensor("A", "UINT8", np.zeros((arrival.rows, arrival.length), np.uint8))}
        if arrival.has_b:
            inputs["B"] = Tensor("B", "UINT8", np.zeros((arrival.rows, 1), np.uint8))
        deadline = None if arrival.deadline_us is None else now + arrival.deadline_us * US
        request = InferenceRequest(
            "m",
            inputs,
            priority=arrival.priority,
            timeout_us=arrival.timeout_us,
            deadline_ns=deadline,
            batch_size=arrival.rows,
        )
        self.entries[name] = Numbered(name, request)
        try:
            self.former.enqueue(self.entries[name], now)
        except QueueFullError:
            return False
        return True

    def leave(self, name: int) -> bool:
        return self.former.remove(self.entries[name])

    def expire(self, now: int) -> list[tuple[int, str]]:
        names = {Overdue.QUEUE_TIMEOUT: "timeout", Overdue.DEADLINE: "deadline"}
        return [(entry.name, names[overdue]) for entry, overdue in self.former.expire(now)]

    def take(self, now: int, free: int) -> list[int] | None:
        batch = self.former.take(now, free)
        if batch is None:
            return None
        assert batch.rows == sum(entry.rows for entry in batch.entries)
        return [entry.name for entry in batch.entries]

    def next_time(self, now: int) -> float:
        wake = self.former.wake_ns
        assert wake > now, "a timer that is due already would ring for ever"
        return FOREVER if wake == NEVER_NS else wake


class Reference:
    """The reference under the names of this test."""

    def __init__(self, r: Rules) -> None:
        self.batcher = ReferenceBatcher(r)
        self.leave = self.batcher.leave
        self.expire = self.batcher.expire
        self.take = self.batcher.take

    @property
    def pending(self) -> int:
        return self.batcher.pending

    def arrive(self, name: int, now: int, arrival: Arrival) -> bool:
        deadline = FOREVER if arrival.deadline_us is None else now + arrival.deadline_us * US
        return self.batcher.enqueue(
            name,
            now,
            rows=arrival.rows,
            priority=arrival.priority,
            timeout=arrival.timeout_us * US,
            deadline=deadline,
            kind=(arrival.length, arrival.has_b),
        )

    def next_time(self, now: int) -> float:
        return min((moment for moment in self.batcher.times() if moment > now), default=FOREVER)


def play(machine: Product | Reference, r: Rules, sequence: list[Any]) -> Log:
    """Do what the asyncio shell does: look after every event, and whenever the machine wants to be woken."""
    log = Log()
    now, free = 0, r.instances

    def look() -> None:
        nonlocal free
        log.entries += [(now, reason, name) for name, reason in sorted(machine.expire(now))]
        while (batch := machine.take(now, free)) is not None:
            free -= 1
            log.entries.append((now, "batch", batch))

    for number, event in enumerate(sequence):
        match event:
            case Arrival():
                if machine.arrive(number, now, event):
                    log.accepted[number] = event
                    log.came[number] = now
                else:
                    log.entries.append((now, "full", number))
            case Departure(back):
                waiting = sorted(log.accepted, reverse=True)
                if back < len(waiting) and machine.leave(waiting[back]):
                    log.entries.append((now, "left", waiting[back]))
            case Finish():
                free = min(r.instances, free + 1)
            case Pass(us):
                until = now + us * US
                while (moment := machine.next_time(now)) <= until:
                    now = int(moment)
                    look()
                now = until
        look()
        log.entries.append((now, "pending", machine.pending))
    return log


@st.composite
def plays(draw: st.DrawFn) -> tuple[Rules, list[Any]]:
    """A configuration and events for it."""
    r = draw(rules())
    return r, draw(events(r.max_batch_size))


@settings(max_examples=400, deadline=None)
@given(plays())
def test_batches_are_those_of_the_description(play_of):
    """The same requests, departures and free instances give the same batches, refusals and timeouts at the same times."""
    r, sequence = play_of
    assert play(Product(r), r, sequence).entries == play(Reference(r), r, sequence).entries


@settings(max_examples=100, deadline=None)
@given(plays())
def test_every_request_has_one_fate(play_of):
    """A request is executed, dropped, left or refused once, or still waits; a batch never has too many rows."""
    r, sequence = play_of
    product = Product(r)
    log = play(product, r, sequence)
    fates = [name for _, what, names in log.entries if what == "batch" for name in names]
    fates += [name for _, what, name in log.entries if what in ("timeout", "deadline", "left")]
    assert len(fates) == len(set(fates))
    assert len(log.accepted) - len(fates) == product.pending
    for _, what, names in log.entries:
        if what == "batch":
            assert 0 < sum(log.accepted[name].rows for name in names) <= r.max_batch_size
            assert len({(log.accepted[name].length, log.accepted[name].has_b) for name in names}) == 1


@settings(max_examples=100, deadline=None)
@given(plays())
def test_requests_of_a_level_go_in_order(play_of):
    """Requests of one priority level are executed in the order in which they came, unless a timeout delays them."""
    r, sequence = play_of
    r.timeout_delays = False
    log = play(Product(r), r, sequence)
    taken = [name for _, what, names in log.entries if what == "batch" for name in names]
    for level in range(r.levels + 1):
        same = [name for name in taken if _level(r, log.accepted[name]) == level]
        assert same == sorted(same)


@settings(max_examples=100, deadline=None)
@given(plays())
def test_nobody_waits_for_company_beyond_the_delay(play_of):
    """While an instance is free no request waits longer than the queue delay."""
    r, sequence = play_of
    # Work never ends the wait here: every instance is free again as soon as it has a batch.
    machine, now = Product(r), 0
    came: dict[int, int] = {}

    def look() -> None:
        for name, _ in machine.expire(now):
            came.pop(name)
        while (batch := machine.take(now, 1)) is not None:
            for name in batch:
                assert now - came.pop(name) <= r.delay

    for number, event in enumerate(sequence):
        if isinstance(event, Arrival) and machine.arrive(number, now, event):
            came[number] = now
        if isinstance(event, Pass):
            until = now + event.us * US
            while (moment := machine.next_time(now)) <= until:
                now = int(moment)
                look()
            now = until
        look()
        assert all(now - then < r.delay for then in came.values())


@given(st.integers(1, 20), st.integers(0, 40))
def test_a_full_queue_refuses_exactly_those_that_do_not_fit(bound, count):
    """With nothing executed, `max_queue_size` requests wait and every other one is refused."""
    r = Rules(max_batch_size=4, instances=1, max_queue_size=bound)
    product = Product(r)
    accepted = [product.arrive(number, 0, Arrival(1, 0, 0, None, 1, True)) for number in range(count)]
    assert accepted == [True] * min(bound, count) + [False] * max(0, count - bound)


def _level(r: Rules, arrival: Arrival) -> int:
    if not r.levels:
        return 0
    return arrival.priority if 1 <= arrival.priority <= r.levels else r.default_level
