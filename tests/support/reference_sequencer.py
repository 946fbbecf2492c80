"""Sequence batching, slow and obvious: what its description says, sentence by sentence.

Everything is worked out anew from plain lists on every question. It shares no code with the server, so that the two can disagree.
"""

from __future__ import annotations

from dataclasses import dataclass, field

FOREVER = float("inf")


@dataclass
class SequenceRules:
    """A sequence batcher's configuration, in nanoseconds and without the server's types."""

    max_batch_size: int
    instances: int
    oldest: bool
    candidates: int = 0
    preferred: list[int] = field(default_factory=list)
    utilization: float = 0.0
    delay: int = 0
    idle: int = 1_000_000

    @property
    def slots(self) -> int:
        return (self.candidates or self.max_batch_size) if self.oldest else self.max_batch_size


@dataclass
class Asked:
    """A request that waits."""

    name: int
    came: int
    starts: bool
    deadline: float
    kind: object


@dataclass(eq=False)
class Run:
    """A sequence: its place is an instance and a row, None in the backlog."""

    sequence_id: int
    waiting: list[Asked] = field(default_factory=list)
    place: tuple[int, int] | None = None
    over: bool = False
    executing: bool = False
    rested: float = FOREVER


class ReferenceSequencer:
    """The batches of a sequence of events."""

    def __init__(self, rules: SequenceRules) -> None:
        self.rules = rules
        self.runs: list[Run] = []
        self.taken: dict[int, list[Run]] = {}
        self.gone: list[tuple[int, str]] = []

    def ask(
        self, name: int, now: int, *, sequence_id: int, start: bool, end: bool, deadline: float, kind: object
    ) -> bool:
        """A request comes. It is refused when it neither starts a sequence nor belongs to one."""
        known = [run for run in self.runs if run.sequence_id == sequence_id and not run.over]
        if not known and not start:
            return False
        run = known[0] if known else Run(sequence_id)
        if not known:
            self.runs.append(run)
            self._fill()
        run.rested = FOREVER
        run.waiting.append(Asked(name, now, start, deadline, kind))
        run.over = end
        return True

    def leave(self, name: int) -> bool:
        """A caller leaves: what waits of the sequence goes too, from its START on and up to another START."""
        for run in self.runs:
            for index, asked in enumerate(run.waiting):
                if asked.name == name:
                    self._drop(run, index)
                    return True
        return False

    @property
    def pending(self) -> int:
        return sum(len(run.waiting) for run in self.runs)

    def expire(self, now: int) -> list[tuple[int, str]]:
        """Deadlines that have passed, those that were given up with others, and sequences that were idle."""
        dropped = []
        while True:
            late = [(a.deadline, a.name) for run in self.runs for a in run.waiting if a.deadline <= now]
            if not late:
                break
            name = min(late)[1]
            self.leave(name)
            dropped.append((name, "deadline"))
        dropped += self.gone
        self.gone = []
        for run in list(self.runs):
            if run.rested + self.rules.idle <= now:
                self.runs.remove(run)
        self._fill()
        return dropped

    def times(self) -> list[float]:
        """Every moment at which something could happen by itself."""
        moments = [run.rested + self.rules.idle for run in self.runs]
        moments += [m for run in self.runs for a in run.waiting for m in (a.deadline, a.came + self.rules.delay)]
        return [moment for moment in moments if moment != FOREVER]

    def take(self, now: int, free: int) -> list[int | None] | None:
        """The next batch of the first instance that is free and has one: names by row, None for empty rows."""
        for instance in range(self.rules.instances):
            if instance not in self.taken:
                chosen = self._choose(instance, now)
                if chosen:
                    return self._send(instance, chosen)
        return None

    def finish(self, instance: int, now: int) -> None:
        """An instance is done."""
        for run in self.taken.pop(instance):
            run.executing = False
            if not run.waiting:
                if run.over:
                    self.runs.remove(run)
                else:
                    run.rested = now
        self._fill()

    def _choose(self, instance: int, now: int) -> list[Run]:
        rules = self.rules
        ready = [run for run in self.runs if run.place and run.place[0] == instance and run.waiting]
        if not ready:
            return []
        ready.sort(key=lambda run: run.waiting[0].name)
        first = ready[0].waiting[0]
        alike = [run for run in ready if run.waiting[0].kind == first.kind]
        late = rules.delay > 0 and now - first.came >= rules.delay
        if not rules.oldest:
            enough = len(ready) / rules.max_batch_size >= rules.utilization
            return alike if rules.delay == 0 or late or enough else []
        fits = alike[: rules.max_batch_size]
        preferred = [size for size in rules.preferred or [rules.max_batch_size] if size <= len(fits)]
        if preferred and not late:
            return fits[: max(preferred)]
        if rules.delay == 0 or late or len(alike) < len(ready):
            return fits
        return []

    def _send(self, instance: int, chosen: list[Run]) -> list[int | None]:
        self.taken[instance] = chosen
        names = {run: run.waiting.pop(0).name for run in chosen}
        for run in chosen:
            run.executing = True
        if self.rules.oldest:
            return [names[run] for run in chosen]
        rows = {run.place[1]: names[run] for run in chosen}
        return [rows.get(row) for row in range(max(rows) + 1)]

    def _drop(self, run: Run, index: int) -> None:
        first, last = index, index + 1
        while first > 0 and not run.waiting[first].starts:
            first -= 1
        while last < len(run.waiting) and not run.waiting[last].starts:
            last += 1
        self.gone += [(a.name, "sequence") for a in run.waiting[first:last] if a is not run.waiting[index]]
        if last == len(run.waiting):
            run.over = True
        del run.waiting[first:last]
        if not run.waiting and not run.executing:
            self.runs.remove(run)
        self._fill()

    def _fill(self) -> None:
        """Free places go to those who have waited longest, the lowest row first, then the lowest instance."""
        used = {run.place for run in self.runs}
        every = sorted((row, i) for row in range(self.rules.slots) for i in range(self.rules.instances))
        places = [(i, row) for row, i in every if (i, row) not in used]
        for run in self.runs:
            if run.place is None and places:
                run.place = places.pop(0)
