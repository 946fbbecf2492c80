"""Forming batches: which requests of a queue go together, and when. Pure: time comes in as an argument.

Triton forms batches on a thread of its own that looks at the queue whenever a request comes or an instance is free. Here the same
decisions are a state machine, asked at the same moments by `dynamic_batcher.py`.

Source: Triton model configuration, "Dynamic Batcher"; its `GetDynamicBatch`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable
from typing import Generic, TypeAlias

from aisle_server.inference import InferenceRequest
from aisle_server.model_config.schema import DynamicBatching, ModelConfig
from aisle_server.scheduling.alarms import NEVER_NS
from aisle_server.scheduling.request_queue import EntryT, Overdue, RequestQueue

Signature: TypeAlias = Hashable


def signature_for(config: ModelConfig) -> Callable[[InferenceRequest], Signature] | None:
    """Tell what requests must have in common to go into one batch.

    Inputs with a dimension of any size must have equal shapes, unless they allow ragged batches; where inputs are optional, the same
    ones must be present.

    Returns:
        A function of a request whose values are compared; None when all requests of this model go together.
    """
    shaped = tuple(each.name for each in config.inputs if -1 in each.dims and not each.allow_ragged_batch)
    optional = tuple(each.name for each in config.inputs if each.optional and each.name not in shaped)
    if not shaped and not optional:
        return None

    def signature(request: InferenceRequest) -> Signature:
        inputs = request.inputs
        shapes = [inputs[name].data.shape[1:] if name in inputs else None for name in shaped]
        return (*shapes, *(name in inputs for name in optional))

    return signature


class Batch(Generic[EntryT]):
    """Requests that will be executed together.

    Attributes:
        entries: One or more, in the order in which they were taken.
        rows: The sum of theirs.
        signature: What they have in common.
        deadline_ns: When the first of their callers stops waiting.
        is_closed: Whether it takes no more requests.
    """

    __slots__ = ("deadline_ns", "entries", "is_closed", "rows", "signature")

    def __init__(self, signature: Signature) -> None:
        """Make a batch that is still empty."""
        self.entries: list[EntryT] = []
        self.rows = 0
        self.signature = signature
        self.deadline_ns = NEVER_NS
        self.is_closed = False

    def add(self, entries: Iterable[EntryT]) -> None:
        """Let requests in."""
        for entry in entries:
            self.entries.append(entry)
            self.rows += entry.rows
            self.deadline_ns = min(self.deadline_ns, entry.deadline_ns)

    def remove(self, entry: EntryT) -> None:
        """Let a request out."""
        self.entries.remove(entry)
        self.rows -= entry.rows
        self.deadline_ns = min((each.deadline_ns for each in self.entries), default=NEVER_NS)


class BatchFormer(Generic[EntryT]):
    """Decides which requests are executed together, and when.

    A batch is formed when there is a place for it. With a queue policy (levels, timeouts, a bound) that is an instance without
    work: what has entered a batch is out of the policy's reach. Without one, up to twice as many batches as instances are formed
    ahead, and the last of them grows until an instance takes it.

    A batch is sent when it has a preferred size; when it can grow no more, for its size or for the shapes of the next request; or
    when its oldest request has waited `max_queue_delay_microseconds`. Without a delay nothing waits for company: what is queued
    when there is a place goes, cut at the largest preferred size.
    """

    def __init__(
        self,
        batching: DynamicBatching,
        max_batch_size: int,
        instance_count: int,
        signature: Callable[[InferenceRequest], Signature] | None = None,
    ) -> None:
        """Make a former with an empty queue.

        Args:
            batching: Preferred sizes, delay, and policies of the queue.
            max_batch_size: Rows that one execution may have; 0 counts as 1.
            instance_count: Instances that execute.
            signature: What requests of one batch must have in common; None for nothing.
        """
        self._queue: RequestQueue[EntryT] = RequestQueue(batching)
        self._max_rows = max(1, max_batch_size)
        self._preferred = frozenset(batching.preferred_batch_size or (self._max_rows,))
        self._max_preferred = max(self._preferred)
        self._delay_ns = batching.max_queue_delay_microseconds * 1000
        self._signature = signature or _no_signature
        self._places = 0 if batching.has_queue_policy else 2 * instance_count
        self._formed: deque[Batch[EntryT]] = deque()
        # The walk over the queue that waits for company; None when it has to be made anew.
        self._walk: _Walk[EntryT] | None = None

    @property
    def pending_count(self) -> int:
        """Requests that wait, in the queue or in a batch that no instance has taken."""
        return len(self._queue) + sum(len(batch.entries) for batch in self._formed)

    @property
    def wake_ns(self) -> int:
        """When to look again though nothing happens, or a little earlier; NEVER_NS for never."""
        wake_ns = self._queue.next_expiry_ns
        if self._walk is not None and self._delay_ns:
            wake_ns = min(wake_ns, self._walk.oldest_ns + self._delay_ns)
        for batch in self._formed:
            wake_ns = min(wake_ns, batch.deadline_ns)
        return wake_ns

    def enqueue(self, entry: EntryT, now_ns: int) -> None:
        """Put a request into the queue.

        Raises:
            QueueFullError: There is no room; the request has not entered.
        """
        is_last = self._queue.enqueue(entry, now_ns)
        if self._walk is not None:
            if is_last:
                self._walk.step(entry)
            else:
                self._walk = None

    def remove(self, entry: EntryT) -> bool:
        """Take out a request whose caller has left. Returns whether it was still waiting."""
        if self._queue.remove(entry):
            self._walk = None
            return True
        return self._remove_formed(entry)

    def expire(self, now_ns: int) -> list[tuple[EntryT, Overdue]]:
        """Apply timeouts and deadlines that have passed. Returns the requests that were taken out."""
        if self._queue.next_expiry_ns <= now_ns:
            self._walk = None
        dropped = self._queue.expire(now_ns)
        due = [batch for batch in self._formed if batch.deadline_ns <= now_ns]
        for entry in [each for batch in due for each in batch.entries if each.deadline_ns <= now_ns]:
            self._remove_formed(entry)
            dropped.append((entry, Overdue.DEADLINE))
        return dropped

    def take(self, now_ns: int, idle_count: int) -> Batch[EntryT] | None:
        """Take the next batch for an instance, if there is one and an instance waits for it.

        Ask after every event (a request, a free instance, `wake_ns`), and again until it gives None.

        Args:
            now_ns: Monotonic time; `expire` has been called with it.
            idle_count: Instances without work.

        Returns:
            A batch of 1 to `max_batch_size` rows, oldest first; None when there is nothing to do before the next event.
        """
        places = self._places or (1 if idle_count else 0)
        while len(self._formed) < places and self._form(now_ns):
            pass
        if not idle_count or not self._formed:
            return None
        batch = self._formed.popleft()
        self._merge_overdue(batch, now_ns)
        if not self._formed:
            self._walk = None  # it may have counted on the batch that has just gone
        return batch

    def close(self) -> None:
        """Say that no more requests will come, so that none waits for company."""
        self._delay_ns = 0
        self._walk = None

    def _form(self, now_ns: int) -> bool:
        """Move requests from the queue into a batch, if it is time. Returns whether something has changed."""
        if not self._queue:
            return False
        grown = self._formed[-1] if self._formed and not self._formed[-1].is_closed else None
        walk = self._walk or self._walk_queue(grown)
        if not walk.count:  # the batch has no room for the next request
            assert grown is not None
            grown.is_closed = True
            self._walk = None
            return True
        is_late = 0 < self._delay_ns <= now_ns - walk.oldest_ns
        count, is_closed = walk.count, walk.is_saturated
        if walk.preferred_count and not is_late:
            count = walk.preferred_count
            is_closed |= not self._delay_ns
        elif walk.is_full or walk.size >= self._max_preferred:
            is_closed = True
        elif self._delay_ns and not is_late and (grown is None or grown.rows in self._preferred):
            self._walk = walk  # wait for company
            return False
        if grown is None:
            grown = Batch(walk.signature)
            self._formed.append(grown)
        grown.add(self._queue.pop(count))
        grown.is_closed = is_closed
        self._walk = None
        return True

    def _walk_queue(self, grown: Batch[EntryT] | None) -> _Walk[EntryT]:
        walk = _Walk(grown, self._max_rows, self._preferred, self._max_preferred, self._signature)
        for entry in self._queue:
            if walk.is_full:
                break
            walk.step(entry)
        return walk

    def _merge_overdue(self, batch: Batch[EntryT], now_ns: int) -> None:
        """Join batches that have waited for an instance longer than the queue delay: they have lost the reason to be apart."""
        while self._formed and self._delay_ns:
            following = self._formed[0]
            if batch.rows + following.rows > self._max_rows or batch.signature != following.signature:
                return
            if now_ns - following.entries[0].enqueued_ns < self._delay_ns:
                return
            batch.add(following.entries)
            self._formed.popleft()

    def _remove_formed(self, entry: EntryT) -> bool:
        for batch in self._formed:
            if entry in batch.entries:
                batch.remove(entry)
                if not batch.entries:
                    self._formed.remove(batch)
                self._walk = None
                return True
        return False


class _Walk(Generic[EntryT]):
    """What a look along the queue has seen.

    Attributes:
        count: Requests that could go now.
        rows: The sum of theirs.
        preferred_count: How many of them make the largest preferred size that was met; 0 for none.
        oldest_ns: When the oldest of them came.
        signature: Of the batch.
        is_full: The next request does not fit, so there is nothing to wait for.
        is_saturated: The batch will have passed the largest preferred size.
    """

    __slots__ = (
        "_base",
        "_max_preferred",
        "_max_rows",
        "_preferred",
        "_signature",
        "count",
        "is_full",
        "is_saturated",
        "oldest_ns",
        "preferred_count",
        "rows",
        "signature",
    )

    def __init__(
        self,
        grown: Batch[EntryT] | None,
        max_rows: int,
        preferred: frozenset[int],
        max_preferred: int,
        signature: Callable[[InferenceRequest], Signature],
    ) -> None:
        self._base = 0 if grown is None else grown.rows
        self._max_rows = max_rows
        self._preferred = preferred
        self._max_preferred = max_preferred
        self._signature = signature
        self.signature: Signature = None if grown is None else grown.signature
        self.count = self.rows = self.preferred_count = 0
        self.oldest_ns = NEVER_NS
        self.is_full = self.is_saturated = False

    @property
    def size(self) -> int:
        """Rows of the batch if all of them went."""
        return self._base + self.rows

    def step(self, entry: EntryT) -> None:
        """Look at the next request in order."""
        if self.is_full:
            return
        signature = self._signature(entry.request)
        size = self._base + self.rows + entry.rows
        if size == entry.rows:
            self.signature = signature
        else:
            if size > self._max_preferred and not self.preferred_count:
                self.preferred_count, self.is_saturated = self.count, True
            if size > self._max_rows:
                self.is_full = True
                return
            if signature != self.signature:
                self.is_full = self.is_saturated = True
                return
        self.count += 1
        self.rows += entry.rows
        self.oldest_ns = min(self.oldest_ns, entry.enqueued_ns)
        if size in self._preferred:
            self.preferred_count = self.count


def _no_signature(request: InferenceRequest) -> Signature:
    return None
