"""Where sequences are: each in a slot of an instance, or in the backlog until one is free. Pure.

Source: Triton model configuration, "Sequence Batcher".
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from typing import Generic, NamedTuple, TypeVar

from aisle_server.inference import SequenceId, Tensor

EntryT = TypeVar("EntryT")


class Slot(NamedTuple):
    """A place for a sequence. The lowest is taken first, so that sequences spread over the instances.

    Attributes:
        row: Among the slots of the instance; with the direct strategy the row in its batches.
        instance: Which instance.
    """

    row: int
    instance: int


class RequestSequence(Generic[EntryT]):
    """A sequence, from its first request until nothing of it is left to do.

    Attributes:
        id: As the callers know it.
        requests: Those that wait, in order.
        slot: None while it is in the backlog.
        is_over: No more requests will come.
        is_executing: An instance has one of its requests.
        state: Implicit state by input, as its last answer left it; empty at its start.
        alarm: Number of the alarm that ends it when it is idle; 0 for none.
    """

    __slots__ = ("alarm", "id", "is_executing", "is_over", "requests", "slot", "state")

    def __init__(self, sequence_id: SequenceId) -> None:
        """Make a sequence that has asked nothing yet."""
        self.id = sequence_id
        self.requests: deque[EntryT] = deque()
        self.slot: Slot | None = None
        self.is_over = False
        self.is_executing = False
        self.state: dict[str, Tensor] = {}
        self.alarm = 0

    @property
    def is_at_rest(self) -> bool:
        """Whether none of its requests waits or executes."""
        return not self.requests and not self.is_executing


class SequenceSlots(Generic[EntryT]):
    """The slots of all instances, and the sequences that wait for one, first come first served."""

    def __init__(self, instance_count: int, slots_per_instance: int) -> None:
        """Make slots that are all free.

        Args:
            instance_count: Instances that execute.
            slots_per_instance: Sequences that an instance has at a time.
        """
        self._taken: list[list[RequestSequence[EntryT] | None]] = [
            [None] * slots_per_instance for _ in range(instance_count)
        ]
        self._free = [Slot(row, instance) for instance in range(instance_count) for row in range(slots_per_instance)]
        heapify(self._free)
        # A dict for its order: one that is given up leaves from the middle.
        self._backlog: dict[RequestSequence[EntryT], None] = {}

    def sequences(self, instance: int) -> Iterator[RequestSequence[EntryT]]:
        """Go through the sequences that have a slot of an instance, in the order of the slots."""
        return (sequence for sequence in self._taken[instance] if sequence is not None)

    def place(self, sequence: RequestSequence[EntryT]) -> None:
        """Give a new sequence a slot, or let it wait for one."""
        if self._free:
            self._put(sequence, heappop(self._free))
        else:
            self._backlog[sequence] = None

    def release(self, sequence: RequestSequence[EntryT]) -> None:
        """Let a sequence go. Its slot goes to the one that has waited longest."""
        slot = sequence.slot
        if slot is None:
            del self._backlog[sequence]
            return
        sequence.slot = None
        self._taken[slot.instance][slot.row] = None
        if self._backlog:
            following = next(iter(self._backlog))
            del self._backlog[following]
            self._put(following, slot)
        else:
            heappush(self._free, slot)

    def _put(self, sequence: RequestSequence[EntryT], slot: Slot) -> None:
        sequence.slot = slot
        self._taken[slot.instance][slot.row] = sequence
