"""Dynamic batching, slow and obvious: what the batcher's description says, sentence by sentence.

Everything is worked out anew from a plain list on every question. It shares no code with the server, so that the two can disagree.
"""

from __future__ import annotations

from dataclasses import dataclass, field

FOREVER = float("inf")


@dataclass
class Rules:
    """A dynamic batcher's configuration, in nanoseconds and without the server's types."""

    max_batch_size: int
    instances: int
    preferred: list[int] = field(default_factory=list)
    delay: int = 0
    levels: int = 0
    default_level: int = 0
    timeout: int = 0
    timeout_delays: bool = False
    may_override: bool = False
    max_queue_size: int = 0

    @property
    def has_policy(self) -> bool:
        return bool(self.levels or self.timeout or self.timeout_delays or self.may_override or self.max_queue_size)


@dataclass
class Waiting:
    """A request that waits."""

    name: int
    rows: int
    level: int
    came: int
    kind: object
    expires: float
    deadline: float
    delayed: int | None = None


class ReferenceBatcher:
    """The batches of a sequence of events."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.queue: list[Waiting] = []
        self.formed: list[list[Waiting]] = []
        self.closed: list[bool] = []
        self.delayings = 0

    def enqueue(
        self, name: int, now: int, *, rows: int, priority: int, timeout: int, deadline: float, kind: object
    ) -> bool:
        """A request comes. It is refused when its level is full."""
        rules = self.rules
        level = priority if 1 <= priority <= rules.levels else rules.default_level
        level = level if rules.levels else 0
        if rules.max_queue_size and len([w for w in self.queue if w.level == level]) >= rules.max_queue_size:
            return False
        wait = rules.timeout
        if rules.may_override and timeout != 0 and timeout < rules.timeout:
            wait = timeout
        expires = now + wait if wait else FOREVER
        self.queue.append(Waiting(name, max(1, rows), level, now, kind, expires, deadline))
        return True

    def leave(self, name: int) -> bool:
        """A caller leaves."""
        before = self.pending
        self.queue = [w for w in self.queue if w.name != name]
        self.formed = [[w for w in batch if w.name != name] for batch in self.formed]
        self._drop_empty()
        return self.pending < before

    @property
    def pending(self) -> int:
        return len(self.queue) + sum(len(batch) for batch in self.formed)

    def in_order(self) -> list[Waiting]:
        """Lower levels first; in a level those on time as they came, then those delayed as they were delayed."""
        on_time = [w for w in self.queue if w.delayed is None]
        late = sorted((w for w in self.queue if w.delayed is not None), key=lambda w: w.delayed)
        return sorted(on_time + late, key=lambda w: w.level)

    def expire(self, now: int) -> list[tuple[int, str]]:
        """Timeouts and deadlines that have passed, each in the order of its time."""
        dropped = []
        for w in sorted(self.queue, key=lambda w: (min(w.expires, w.deadline), w.delayed or 0)):
            timed_out = w.expires <= now and w.expires <= w.deadline
            if timed_out and not self.rules.timeout_delays:
                dropped.append((w.name, "timeout"))
            elif w.deadline <= now:
                dropped.append((w.name, "deadline"))
            elif timed_out:
                self.delayings += 1
                w.delayed = self.delayings
                w.expires = FOREVER
        for batch in self.formed:
            dropped += [(w.name, "deadline") for w in batch if w.deadline <= now]
        for name, _ in dropped:
            self.leave(name)
        return dropped

    def times(self) -> list[float]:
        """Every moment at which something could happen by itself."""
        everyone = self.queue + [w for batch in self.formed for w in batch]
        moments = [moment for w in everyone for moment in (w.expires, w.deadline, w.came + self.rules.delay)]
        return [moment for moment in moments if moment != FOREVER]

    def take(self, now: int, free: int) -> list[int] | None:
        """The next batch for a free instance."""
        places = (1 if free else 0) if self.rules.has_policy else 2 * self.rules.instances
        while len(self.formed) < places and self._form(now):
            pass
        if not free or not self.formed:
            return None
        batch = self.formed.pop(0)
        self.closed.pop(0)
        # Batches that have waited past the delay are merged, up to the maximum, when an instance takes them.
        while self.rules.delay and self.formed:
            other = self.formed[0]
            fits = sum(w.rows for w in batch + other) <= self.rules.max_batch_size
            if not fits or other[0].kind != batch[0].kind or min(w.came for w in other) + self.rules.delay > now:
                break
            batch = batch + other
            self.formed.pop(0)
            self.closed.pop(0)
        return [w.name for w in batch]

    def _form(self, now: int) -> bool:
        rules = self.rules
        preferred = rules.preferred or [rules.max_batch_size]
        payload = self.formed[-1] if self.formed and not self.closed[-1] else []
        payload_rows = sum(w.rows for w in payload)
        kind = payload[0].kind if payload else None
        pending: list[Waiting] = []
        best: list[Waiting] = []
        saturated = send_now = False
        for w in self.in_order():
            rows = payload_rows + sum(p.rows for p in pending)
            if not payload and not pending:
                kind = w.kind
            else:
                if rows + w.rows > max(preferred) and not best:
                    best = list(pending)
                    saturated = True
                if rows + w.rows > rules.max_batch_size:
                    send_now = True
                    break
                if w.kind != kind:
                    send_now = saturated = True
                    break
            pending.append(w)
            if rows + w.rows in preferred:
                best = list(pending)
        total = payload_rows + sum(p.rows for p in pending)
        delay_exceeded = bool(rules.delay and pending) and now - min(p.came for p in pending) >= rules.delay
        if best and not delay_exceeded:
            # Without a delay a batch that has reached a preferred size keeps it: Triton calls it saturated.
            return self._send(best, payload, closed=saturated or rules.delay == 0)
        if not pending:
            if payload and self.queue:
                self.closed[-1] = True
                return True
            return False
        if send_now or total >= max(preferred):
            return self._send(pending, payload, closed=True)
        if delay_exceeded or rules.delay == 0:
            return self._send(pending, payload, closed=saturated)
        if payload and payload_rows not in preferred:
            return self._send(pending, payload, closed=saturated)
        return False

    def _send(self, chosen: list[Waiting], payload: list[Waiting], *, closed: bool) -> bool:
        self.queue = [w for w in self.queue if w not in chosen]
        if payload:
            payload.extend(chosen)
            self.closed[-1] = closed
        else:
            self.formed.append(list(chosen))
            self.closed.append(closed)
        return True

    def _drop_empty(self) -> None:
        kept = [(batch, closed) for batch, closed in zip(self.formed, self.closed, strict=True) if batch]
        self.formed = [batch for batch, _ in kept]
        self.closed = [closed for _, closed in kept]
