"""The sequence former against its description: the same events give the same batches at the same times."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from aisle_server.errors import InvalidArgumentError
from aisle_server.inference import InferenceRequest, Tensor
from aisle_server.model_config.schema import ModelConfig, ModelInput
from aisle_server.model_config.sequence import DirectStrategy, OldestStrategy, SequenceBatching
from aisle_server.scheduling.alarms import NEVER_NS
from aisle_server.scheduling.batch import signature_for
from aisle_server.scheduling.request_queue import Overdue, QueuedRequest
from aisle_server.scheduling.sequence_former import SequenceBatch, SequenceFormer
from tests.support.reference_sequencer import FOREVER, ReferenceSequencer, SequenceRules

US = 1_000
MODEL = ModelConfig("m", max_batch_size=1, inputs=(ModelInput("A", "UINT8", (-1,)),))
REASONS = {Overdue.DEADLINE: "deadline", Overdue.SEQUENCE: "sequence"}


@dataclass
class Arrival:
    """A request comes."""

    sequence_id: int
    start: bool
    end: bool
    deadline_us: int | None = None
    length: int = 1


@dataclass
class Departure:
    """The caller of the request with this number, counted from the newest, leaves."""

    back: int


@dataclass
class Finish:
    """The instance that has executed longest is done."""


@dataclass
class Pass:
    """Time passes."""

    us: int


@st.composite
def plays(draw: st.DrawFn) -> tuple[SequenceRules, list[Any]]:
    """A configuration and events for it."""
    size = draw(st.integers(1, 4))
    rules = SequenceRules(
        max_batch_size=size,
        instances=draw(st.integers(1, 2)),
        oldest=draw(st.booleans()),
        candidates=draw(st.integers(0, 5)),
        preferred=sorted(draw(st.sets(st.integers(1, size), max_size=2))),
        utilization=draw(st.sampled_from([0.0, 0.5, 1.0])),
        delay=draw(st.sampled_from([0, 0, 30 * US])),
        idle=draw(st.sampled_from([40 * US, 1_000_000])),
    )
    ids = range(1, 7)
    pool: list[Any] = [Arrival(i, start, end) for i, start, end in product(ids, (True, False), (True, False))]
    pool += [Arrival(i, True, False) for i in ids] * 2 + [Arrival(i, False, False) for i in ids] * 3
    pool += [Arrival(i, False, False, deadline_us) for i, deadline_us in product(ids, (0, 15))]
    pool += [Arrival(i, start, False, None, 2) for i, start in product(ids, (True, False))]
    pool += [Departure(back) for back in range(4)] * 2 + [Finish()] * 24 + [Pass(us) for us in (1, 10, 20, 45)] * 4
    draws = draw(st.binary(min_size=10, max_size=120))
    return rules, [pool[each % len(pool)] for each in draws]


@dataclass
class Log:
    """What came of a sequence of events."""

    entries: list[tuple[int, str, Any]] = field(default_factory=list)
    accepted: dict[int, Arrival] = field(default_factory=dict)


class Numbered(QueuedRequest):
    """A queued request with a number."""

    __slots__ = ("name",)

    def __init__(self, name: int, request: InferenceRequest) -> None:
        super().__init__(request)
        self.name = name


class Product:
    """The server's former under the reference's names."""

    def __init__(self, r: SequenceRules) -> None:
        strategy: DirectStrategy | OldestStrategy = DirectStrategy(r.delay // US, r.utilization)
        if r.oldest:
            strategy = OldestStrategy(r.candidates, tuple(r.preferred or [r.max_batch_size]), r.delay // US)
        batching = SequenceBatching(strategy, r.idle // US)
        self.former: SequenceFormer[Numbered] = SequenceFormer(
            batching, r.max_batch_size, r.instances, signature_for(MODEL)
        )
        self.entries: dict[int, Numbered] = {}
        self.taken: dict[int, SequenceBatch[Numbered]] = {}
        self.free = r.instances

    @property
    def pending(self) -> int:
        return self.former.pending_count

    def arrive(self, name: int, now: int, arrival: Arrival) -> bool:
        request = InferenceRequest(
            "m",
            {"A": Tensor("A", "UINT8", np.zeros((1, arrival.length), np.uint8))},
            deadline_ns=None if arrival.deadline_us is None else now + arrival.deadline_us * US,
            sequence_id=arrival.sequence_id,
            sequence_start=arrival.start,
            sequence_end=arrival.end,
        )
        self.entries[name] = Numbered(name, request)
        try:
            self.former.enqueue(self.entries[name], now)
        except InvalidArgumentError:
            return False
        return True

    def leave(self, name: int) -> bool:
        return self.former.remove(self.entries[name])

    def expire(self, now: int) -> list[tuple[int, str]]:
        return [(entry.name, REASONS[overdue]) for entry, overdue in self.former.expire(now)]

    def take(self, now: int) -> list[int | None] | None:
        batch = self.former.take(now, self.free)
        if batch is None:
            return None
        self.free -= 1
        assert batch.instance not in self.taken, "an instance was given a second batch"
        assert [place for place in batch.places if place] == batch.entries
        self.taken[batch.instance] = batch
        return [place and place.name for place in batch.places]

    def finish(self, now: int) -> None:
        if self.taken:
            self.free += 1
            self.former.finish(self.taken.pop(next(iter(self.taken))), now)

    def next_time(self, now: int) -> float:
        wake = self.former.wake_ns
        assert wake > now, "a timer that is due already would ring for ever"
        return FOREVER if wake == NEVER_NS else wake


class Reference:
    """The reference under the names of this test."""

    def __init__(self, r: SequenceRules) -> None:
        self.sequencer = ReferenceSequencer(r)
        self.leave = self.sequencer.leave
        self.expire = self.sequencer.expire

    @property
    def pending(self) -> int:
        return self.sequencer.pending

    def arrive(self, name: int, now: int, arrival: Arrival) -> bool:
        return self.sequencer.ask(
            name,
            now,
            sequence_id=arrival.sequence_id,
            start=arrival.start,
            end=arrival.end,
            deadline=FOREVER if arrival.deadline_us is None else now + arrival.deadline_us * US,
            kind=arrival.length,
        )

    def take(self, now: int) -> list[int | None] | None:
        return self.sequencer.take(now, 1)

    def finish(self, now: int) -> None:
        if self.sequencer.taken:
            self.sequencer.finish(next(iter(self.sequencer.taken)), now)

    def next_time(self, now: int) -> float:
        return min((moment for moment in self.sequencer.times() if moment > now), default=FOREVER)


def play(machine: Product | Reference, events: list[Any]) -> Log:
    """Do what the asyncio shell does: look after every event, and whenever the machine wants to be woken."""
    log = Log()
    now = 0

    def look() -> None:
        log.entries.extend((now, reason, name) for name, reason in sorted(machine.expire(now)))
        while (batch := machine.take(now)) is not None:
            log.entries.append((now, "batch", batch))

    for number, event in enumerate(events):
        match event:
            case Arrival():
                if machine.arrive(number, now, event):
                    log.accepted[number] = event
                else:
                    log.entries.append((now, "refused", number))
            case Departure(back):
                newest = sorted(log.accepted, reverse=True)
                if back < len(newest) and machine.leave(newest[back]):
                    log.entries.append((now, "left", newest[back]))
            case Finish():
                machine.finish(now)
            case Pass(us):
                until = now + us * US
                while (moment := machine.next_time(now)) <= until:
                    now = int(moment)
                    look()
                now = until
        look()
        log.entries.append((now, "pending", machine.pending))
    return log


@settings(max_examples=400, deadline=None)
@given(plays())
def test_batches_are_those_of_the_description(play_of):
    """The same requests, departures and free instances give the same batches, refusals and ends at the same times."""
    rules, events = play_of
    assert play(Product(rules), events).entries == play(Reference(rules), events).entries


@settings(max_examples=200, deadline=None)
@given(plays())
def test_every_request_has_one_fate_and_sequences_keep_their_order(play_of):
    """A request is executed, dropped or left once, or still waits; those of one sequence are executed in order, one at a time."""
    rules, events = play_of
    machine = Product(rules)
    log = play(machine, events)
    batches = [[name for name in names if name is not None] for _, what, names in log.entries if what == "batch"]
    fates = [name for batch in batches for name in batch]
    fates += [name for _, what, name in log.entries if what in ("deadline", "sequence", "left")]
    assert len(fates) == len(set(fates))
    assert len(log.accepted) - len(fates) == machine.pending
    assert all(len(batch) <= rules.max_batch_size for batch in batches)
    lives = _lives(log.accepted)
    for life in set(lives.values()):
        mine = [name for batch in batches for name in batch if lives[name] == life]
        assert mine == sorted(mine)


def _lives(accepted: dict[int, Arrival]) -> dict[int, tuple[int, int]]:
    """Tell the sequences of one id apart: each START begins another one, which may overtake the former on another instance."""
    begun: Counter[int] = Counter()
    lives = {}
    for name, arrival in sorted(accepted.items()):
        begun[arrival.sequence_id] += arrival.start
        lives[name] = (arrival.sequence_id, begun[arrival.sequence_id])
    return lives
