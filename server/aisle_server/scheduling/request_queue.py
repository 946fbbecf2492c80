"""The queue of a dynamic batcher: priority levels, queue policies, deadlines. Pure: time comes in as an argument.

Source: Triton model configuration, "Dynamic Batcher", "Priority Levels" and "Queue Policy".
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from enum import Enum
from operator import attrgetter
from typing import Generic, TypeAlias, TypeVar

from aisle_server import messages
from aisle_server.errors import QueueFullError
from aisle_server.inference import InferenceRequest
from aisle_server.model_config.schema import DynamicBatching, TimeoutAction
from aisle_server.scheduling.alarms import NEVER_NS, Alarms

# Level, whether its timeout has sent it behind the others of its level, turn.
Rank: TypeAlias = tuple[int, bool, int]

_rank = attrgetter("rank")


class Overdue(Enum):
    """Why a request was taken out of the queue without being executed."""

    QUEUE_TIMEOUT = "it waited longer than its queue policy allows"
    DEADLINE = "its caller waits no longer"
    SEQUENCE = "another request of its sequence was given up"


class QueuedRequest:
    """A request and its place in the queue.

    Attributes:
        request: As the caller sent it.
        rows: What it adds to the size of a batch: 1 or more.
        level: Priority level; set by the queue, as are the ones below.
        enqueued_ns: When it came.
        expires_ns: When its queue timeout runs out.
        deadline_ns: When its caller stops waiting.
        rank: Its place: the queue is sorted by it, and no two are equal.
    """

    __slots__ = ("deadline_ns", "enqueued_ns", "expires_ns", "level", "rank", "request", "rows")

    def __init__(self, request: InferenceRequest) -> None:
        """Make an entry that stands in no queue yet."""
        self.request = request
        self.rows = request.batch_size or 1
        self.level = 0
        self.enqueued_ns = 0
        self.expires_ns = NEVER_NS
        self.deadline_ns = NEVER_NS if request.deadline_ns is None else request.deadline_ns
        self.rank: Rank = (0, False, 0)


EntryT = TypeVar("EntryT", bound=QueuedRequest)


class RequestQueue(Generic[EntryT]):
    """Requests in the order in which they are to be taken.

    Lower levels go first. Within a level requests go in the order in which they came; behind them those whose timeout has passed
    under the DELAY action, in the order in which it passed.

    One list sorted by rank holds all of it: a newcomer nearly always goes to the end, and moving the pointers behind a removed one
    is a `memmove`, 2 us with ten thousand waiting.
    """

    def __init__(self, batching: DynamicBatching) -> None:
        """Make an empty queue.

        Args:
            batching: Priority levels and queue policies.
        """
        self._batching = batching
        self._entries: list[EntryT] = []
        self._sizes: dict[int, int] = {}
        self._turn = 0
        self._alarms = Alarms[EntryT]()

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[EntryT]:
        return iter(self._entries)

    def enqueue(self, entry: EntryT, now_ns: int) -> bool:
        """Give a request its place.

        Args:
            entry: One that stands in no queue.
            now_ns: Monotonic time.

        Returns:
            Whether it is the last in order, so that those before it stand where they stood.

        Raises:
            QueueFullError: As many requests as `max_queue_size` wait in its level; the request has not entered.
        """
        request, batching = entry.request, self._batching
        level = _level_of(request.priority, batching)
        policy = batching.policy_of(level)
        size = self._sizes.get(level, 0)
        if policy.max_queue_size and size >= policy.max_queue_size:
            raise QueueFullError(messages.queue_full(request.log_prefix()))
        timeout_us = policy.default_timeout_microseconds
        if timeout_us and policy.allow_timeout_override and request.timeout_us:
            timeout_us = min(timeout_us, request.timeout_us)  # a caller may wait less than the default, never more
        entry.level = level
        entry.enqueued_ns = now_ns
        entry.expires_ns = now_ns + timeout_us * 1000 if timeout_us else NEVER_NS
        self._sizes[level] = size + 1
        return self._place(entry, is_delayed=False)

    def remove(self, entry: EntryT) -> bool:
        """Take a request out, wherever it stands. Returns whether it stood in the queue."""
        index = bisect_left(self._entries, entry.rank, key=_rank)
        if index == len(self._entries) or self._entries[index] is not entry:
            return False
        del self._entries[index]
        self._release(entry)
        return True

    def pop(self, count: int) -> list[EntryT]:
        """Take out the first so many requests, in order."""
        taken = self._entries[:count]
        del self._entries[:count]
        for entry in taken:
            self._release(entry)
        return taken

    def expire(self, now_ns: int) -> list[tuple[EntryT, Overdue]]:
        """Apply timeouts and deadlines that have passed.

        Args:
            now_ns: Monotonic time.

        Returns:
            Requests that were taken out, with the reason. One whose timeout passed under the DELAY action is not among them: it
            stays, behind the others of its level.
        """
        if self._alarms.next_ns > now_ns:
            return []
        dropped = []
        for entry in self._alarms.ring(now_ns):
            delays = self._batching.policy_of(entry.level).timeout_action is TimeoutAction.DELAY
            if entry.expires_ns <= entry.deadline_ns and not delays:
                dropped.append((entry, Overdue.QUEUE_TIMEOUT))
            elif entry.deadline_ns <= now_ns:
                dropped.append((entry, Overdue.DEADLINE))
            else:
                self._delay(entry)
        for entry, _ in dropped:
            self.remove(entry)
        return dropped

    @property
    def next_expiry_ns(self) -> int:
        """When `expire` will next have something to do, or a little earlier; NEVER_NS for never."""
        return self._alarms.next_ns

    def _place(self, entry: EntryT, *, is_delayed: bool) -> bool:
        self._turn += 1
        entry.rank = (entry.level, is_delayed, self._turn)
        due_ns = min(entry.expires_ns, entry.deadline_ns)
        if due_ns != NEVER_NS:
            self._alarms.set(self._turn, entry, due_ns)
        if not self._entries or self._entries[-1].rank < entry.rank:
            self._entries.append(entry)
            return True
        insort(self._entries, entry, key=_rank)
        return False

    def _delay(self, entry: EntryT) -> None:
        del self._entries[bisect_left(self._entries, entry.rank, key=_rank)]
        entry.expires_ns = NEVER_NS
        self._place(entry, is_delayed=True)

    def _release(self, entry: EntryT) -> None:
        self._alarms.cancel(entry.rank[2])
        left = self._sizes[entry.level] - 1
        if left:
            self._sizes[entry.level] = left
        else:  # a caller may name any of 2**64 levels
            del self._sizes[entry.level]


def _level_of(priority: int, batching: DynamicBatching) -> int:
    if not batching.priority_levels:
        return 0
    return priority if 0 < priority <= batching.priority_levels else batching.default_priority_level
