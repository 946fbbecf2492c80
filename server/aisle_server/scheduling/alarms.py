"""Many things that are due at some time, and the first of them at hand. Pure: time comes in as an argument."""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import Generic, TypeVar

# A time that never comes; spares every comparison a case for None.
NEVER_NS = 1 << 63

EntryT = TypeVar("EntryT")


class Alarms(Generic[EntryT]):
    """What is due when, by a number that each has to itself.

    The heap holds numbers alone: a request that has left is forgotten at once, and so are its tensors, while its number stays
    until it is due or until more than half of the heap is such numbers.
    """

    def __init__(self) -> None:
        """Make a clock face without alarms."""
        self._heap: list[tuple[int, int]] = []
        self._entries: dict[int, EntryT] = {}

    @property
    def next_ns(self) -> int:
        """When the next one may ring, or a little earlier; NEVER_NS for never."""
        return self._heap[0][0] if self._heap else NEVER_NS

    def set(self, turn: int, entry: EntryT, due_ns: int) -> None:
        """Have something ring at a time. Its number has no alarm yet."""
        self._entries[turn] = entry
        heappush(self._heap, (due_ns, turn))

    def cancel(self, turn: int) -> None:
        """Forget an alarm, if there is one of that number."""
        if self._entries.pop(turn, None) is not None and len(self._heap) > 2 * len(self._entries) + 64:
            self._heap = [alarm for alarm in self._heap if alarm[1] in self._entries]
            heapify(self._heap)

    def ring(self, now_ns: int) -> list[EntryT]:
        """Take out all that is due by now, in the order in which it became due."""
        due = []
        while self._heap and self._heap[0][0] <= now_ns:
            entry = self._entries.pop(heappop(self._heap)[1], None)
            if entry is not None:
                due.append(entry)
        return due
