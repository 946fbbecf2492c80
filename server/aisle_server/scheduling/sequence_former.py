"""Which requests of which sequences are executed together, and when. Pure: time comes in as an argument.

Source: Triton model configuration, "Sequence Batcher", strategies "Direct" and "Oldest"; "Request Cancellation".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic

from aisle_server import messages
from aisle_server.errors import InvalidArgumentError
from aisle_server.inference import InferenceRequest, SequenceId
from aisle_server.model_config.sequence import DirectStrategy, OldestStrategy, SequenceBatching
from aisle_server.scheduling.alarms import NEVER_NS, Alarms
from aisle_server.scheduling.batch import Signature
from aisle_server.scheduling.request_queue import EntryT, Overdue
from aisle_server.scheduling.sequence_slots import RequestSequence, SequenceSlots


class SequenceBatch(Generic[EntryT]):
    """Requests that an instance executes together, no two of one sequence.

    Attributes:
        instance: The one that has their sequences.
        sequences: Of the entries, in their order.
        entries: One or more, in the order of their rows.
        places: The entries in the rows that they must have, with None for the rows between.
    """

    __slots__ = ("entries", "instance", "places", "sequences")

    def __init__(self, instance: int, sequences: Sequence[RequestSequence[EntryT]], *, is_direct: bool) -> None:
        """Take the first request of each of these sequences."""
        self.instance = instance
        self.sequences = sorted(sequences, key=_row_of) if is_direct else sequences
        self.entries = [sequence.requests.popleft() for sequence in self.sequences]
        self.places: list[EntryT | None] = list(self.entries)
        if is_direct:
            self.places = [None] * (_row_of(self.sequences[-1]) + 1)
            for sequence, entry in zip(self.sequences, self.entries, strict=True):
                self.places[_row_of(sequence)] = entry

    @property
    def rows(self) -> int:
        """Rows of the execution, the empty ones included."""
        return len(self.places)


class SequenceFormer(Generic[EntryT]):
    """Keeps the requests of each sequence in order and on one instance, and combines those of different sequences.

    A sequence holds a slot of an instance from its first request to its last, and has one request under way at a time. A sequence
    that finds no slot waits in the backlog. One that neither waits nor executes for `max_sequence_idle_microseconds` is over.

    Direct: a slot is a row of the instance's batches, and rows that have nothing to execute go along empty, up to the last that has.
    Oldest: a batch is what is ready, oldest first, by the rules of dynamic batching.

    Whoever gives up a request that waits ends its sequence, for the state that the others would meet is not theirs any more: they
    are given back too. What a later START has begun anew stays.
    """

    def __init__(
        self,
        batching: SequenceBatching,
        max_batch_size: int,
        instance_count: int,
        signature: Callable[[InferenceRequest], Signature] | None = None,
    ) -> None:
        """Make a former without sequences.

        Args:
            batching: Strategy and patience, complete.
            max_batch_size: Rows that one execution may have; 0 counts as 1.
            instance_count: Instances that execute.
            signature: What requests of one batch must have in common; None for nothing.
        """
        self._max_rows = max(1, max_batch_size)
        self._idle_ns = batching.max_sequence_idle_microseconds * 1000
        self._signature = signature
        strategy = batching.strategy or DirectStrategy()
        self._delay_ns = strategy.max_queue_delay_microseconds * 1000
        self._strategy = strategy
        slot_count = self._max_rows
        if isinstance(strategy, OldestStrategy) and strategy.max_candidate_sequences:
            slot_count = strategy.max_candidate_sequences
        self._slots = SequenceSlots[EntryT](instance_count, slot_count)
        self._is_busy = [False] * instance_count
        # When an instance that waits for company will have waited enough.
        self._due_ns = [NEVER_NS] * instance_count
        # Those that may still be asked for, and the sequence of each request that waits.
        self._open: dict[SequenceId, RequestSequence[EntryT]] = {}
        self._sequences: dict[int, RequestSequence[EntryT]] = {}
        self._turn = 0
        self._deadlines = Alarms[EntryT]()
        self._idle = Alarms[RequestSequence[EntryT]]()
        self._given_up: list[tuple[EntryT, Overdue]] = []

    @property
    def pending_count(self) -> int:
        """Requests that wait, in a slot or in the backlog."""
        return len(self._sequences)

    @property
    def wake_ns(self) -> int:
        """When to look again though nothing happens, or a little earlier; NEVER_NS for never."""
        return min(self._deadlines.next_ns, self._idle.next_ns, *self._due_ns)

    def enqueue(self, entry: EntryT, now_ns: int) -> None:
        """Put a request behind the others of its sequence.

        Raises:
            InvalidArgumentError: Its sequence is not known, and it does not start one; it has not entered.
        """
        request = entry.request
        sequence = self._open.get(request.sequence_id)
        if sequence is None:
            if not request.sequence_start:
                raise InvalidArgumentError(messages.sequence_not_started(request.sequence_id, request.model_name))
            sequence = self._open[request.sequence_id] = RequestSequence(request.sequence_id)
            self._slots.place(sequence)
        self._idle.cancel(sequence.alarm)
        self._turn += 1
        entry.rank = (0, False, self._turn)
        entry.enqueued_ns = now_ns
        sequence.requests.append(entry)
        self._sequences[self._turn] = sequence
        if entry.deadline_ns != NEVER_NS:
            self._deadlines.set(self._turn, entry, entry.deadline_ns)
        if request.sequence_end:
            self._end(sequence)

    def remove(self, entry: EntryT) -> bool:
        """Take out a request whose caller has left. Returns whether it was still waiting.

        The next `expire` gives back those that go with it.
        """
        sequence = self._sequences.get(entry.rank[2])
        if sequence is None:
            return False
        self._give_up(sequence, entry)
        return True

    def expire(self, now_ns: int) -> list[tuple[EntryT, Overdue]]:
        """Apply deadlines that have passed, and end sequences that were idle for too long. Returns the requests that were taken out."""
        dropped: list[tuple[EntryT, Overdue]] = []
        for entry in self._deadlines.ring(now_ns):
            sequence = self._sequences.get(entry.rank[2])
            if sequence is not None:
                dropped.append((entry, Overdue.DEADLINE))
                self._give_up(sequence, entry)
        dropped += self._given_up
        self._given_up = []
        for sequence in self._idle.ring(now_ns):
            self._end(sequence)
            self._slots.release(sequence)
        return dropped

    def take(self, now_ns: int, idle_count: int) -> SequenceBatch[EntryT] | None:
        """Take the next batch, if there is one and its instance waits for work.

        Ask after every event (a request, a free instance, `wake_ns`), and again until it gives None.

        Args:
            now_ns: Monotonic time; `expire` has been called with it.
            idle_count: Instances without work, whichever they are.

        Returns:
            A batch of 1 to `max_batch_size` rows; None when there is nothing to do before the next event.
        """
        if not self._sequences:
            self._due_ns = [NEVER_NS] * len(self._is_busy)
        if not self._sequences or not idle_count:
            return None
        for instance, is_busy in enumerate(self._is_busy):
            chosen = () if is_busy else self._choose(instance, now_ns)
            if chosen:
                return self._form(instance, chosen)
        return None

    def finish(self, batch: SequenceBatch[EntryT], now_ns: int) -> None:
        """Say that an instance is done with a batch."""
        self._is_busy[batch.instance] = False
        for sequence in batch.sequences:
            sequence.is_executing = False
            if sequence.is_at_rest:
                self._rest(sequence, now_ns)

    def close(self) -> None:
        """Say that no more requests will come, so that none waits for company and no sequence for its next request."""
        self._delay_ns = 0
        for sequence in list(self._open.values()):
            self._end(sequence)
            if sequence.is_at_rest:
                self._idle.cancel(sequence.alarm)
                self._slots.release(sequence)

    def _choose(self, instance: int, now_ns: int) -> Sequence[RequestSequence[EntryT]]:
        """Return the sequences whose next requests an instance shall execute now; none when it has none or waits for company."""
        self._due_ns[instance] = NEVER_NS
        ready = [each for each in self._slots.sequences(instance) if each.requests]
        if not ready:
            return ()
        ready.sort(key=_turn_of)
        oldest = ready[0].requests[0]
        alike = ready
        if self._signature is not None:
            signature = self._signature(oldest.request)
            alike = [each for each in ready if self._signature(each.requests[0].request) == signature]
        is_late = 0 < self._delay_ns <= now_ns - oldest.enqueued_ns
        count = self._count(len(ready), len(alike), is_late=is_late)
        if not count:
            self._due_ns[instance] = oldest.enqueued_ns + self._delay_ns
        return alike[:count]

    def _count(self, ready: int, alike: int, *, is_late: bool) -> int:
        """Return how many of the requests that could go together shall go, 0 for waiting."""
        if isinstance(self._strategy, DirectStrategy):
            share = self._strategy.minimum_slot_utilization
            waits = self._delay_ns and share and not is_late and ready < share * self._max_rows
            return 0 if waits else alike
        count = min(alike, self._max_rows)
        preferred = max((size for size in self._strategy.preferred_batch_size if size <= count), default=0)
        if preferred and not is_late:
            return preferred
        # Nobody who could still come would fit where requests differ.
        waits = self._delay_ns and not is_late and alike == ready
        return 0 if waits else count

    def _form(self, instance: int, chosen: Sequence[RequestSequence[EntryT]]) -> SequenceBatch[EntryT]:
        batch = SequenceBatch(instance, chosen, is_direct=isinstance(self._strategy, DirectStrategy))
        self._is_busy[instance] = True
        for sequence, entry in zip(chosen, batch.entries, strict=True):
            sequence.is_executing = True
            self._forget(entry)
        return batch

    def _give_up(self, sequence: RequestSequence[EntryT], entry: EntryT) -> None:
        waiting = list(sequence.requests)
        first = waiting.index(entry)
        last = first + 1
        while first and not waiting[first].request.sequence_start:
            first -= 1
        while last < len(waiting) and not waiting[last].request.sequence_start:
            last += 1
        for each in waiting[first:last]:
            self._forget(each)
        self._given_up += [(each, Overdue.SEQUENCE) for each in waiting[first:last] if each is not entry]
        sequence.requests.clear()
        sequence.requests.extend(waiting[:first] + waiting[last:])
        if last == len(waiting):
            self._end(sequence)
        if sequence.is_at_rest:
            self._slots.release(sequence)

    def _forget(self, entry: EntryT) -> None:
        turn = entry.rank[2]
        del self._sequences[turn]
        self._deadlines.cancel(turn)

    def _end(self, sequence: RequestSequence[EntryT]) -> None:
        """Let no more requests into a sequence: the next one of its id must start another."""
        if not sequence.is_over:
            sequence.is_over = True
            del self._open[sequence.id]

    def _rest(self, sequence: RequestSequence[EntryT], now_ns: int) -> None:
        """Free the slot of a sequence that is over, or see how long it stays idle."""
        if sequence.is_over:
            self._slots.release(sequence)
            return
        self._turn += 1
        sequence.alarm = self._turn
        self._idle.set(self._turn, sequence, now_ns + self._idle_ns)


def _row_of(sequence: RequestSequence[EntryT]) -> int:
    assert sequence.slot is not None, "only sequences with a slot are executed"
    return sequence.slot.row


def _turn_of(sequence: RequestSequence[EntryT]) -> int:
    return sequence.requests[0].rank[2]
