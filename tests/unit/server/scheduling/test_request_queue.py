"""The order, the bounds and the timeouts of a queue."""

from __future__ import annotations

import gc
import weakref

import pytest

from aisle_server.errors import QueueFullError
from aisle_server.inference import InferenceRequest
from aisle_server.model_config.schema import DynamicBatching, QueuePolicy, TimeoutAction
from aisle_server.scheduling.alarms import NEVER_NS
from aisle_server.scheduling.request_queue import Overdue, QueuedRequest, RequestQueue

US = 1_000
FREE = QueuePolicy()
DELAY, REJECT = TimeoutAction.DELAY, TimeoutAction.REJECT


class Entry(QueuedRequest):
    """A queued request that can be referred to weakly."""

    __slots__ = ("__weakref__",)


def entry(name: str, **fields) -> Entry:
    """A request that may be queued."""
    return Entry(InferenceRequest("m", {}, id=name, **fields))


def queue(policy: QueuePolicy = FREE, levels: int = 0, default: int = 0, **policies) -> RequestQueue[Entry]:
    """A queue with these policies."""
    by_level = {int(name.removeprefix("level_")): each for name, each in policies.items()}
    return RequestQueue(DynamicBatching((), 0, False, levels, default, policy, by_level))


def order(waiting: RequestQueue[Entry]) -> str:
    """Ids in the order in which requests are to be taken."""
    return "".join(each.request.id for each in waiting)


def expired(waiting: RequestQueue[Entry], now_us: int) -> list[tuple[str, Overdue]]:
    """Ids of those that are taken out at this time, with the reason."""
    return [(each.request.id, overdue) for each, overdue in waiting.expire(now_us * US)]


def test_levels_go_in_order_and_requests_of_a_level_as_they_came():
    """The lowest number first; no priority, or one that does not exist, is the default level."""
    waiting = queue(levels=3, default=2)
    for name, priority in [("a", 3), ("b", 0), ("c", 1), ("d", 2), ("e", 4), ("f", 1), ("g", 2**64 - 1)]:
        waiting.enqueue(entry(name, priority=priority), 0)
    assert order(waiting) == "cfbdega"


def test_without_levels_priorities_mean_nothing():
    """All requests stand in one line."""
    waiting = queue()
    for name, priority in [("a", 3), ("b", 1)]:
        waiting.enqueue(entry(name, priority=priority), 0)
    assert order(waiting) == "ab"


def test_a_newcomer_knows_whether_it_stands_last():
    """Only then do those before it stand where they stood."""
    waiting = queue(levels=2, default=2)
    assert waiting.enqueue(entry("a", priority=2), 0)
    assert not waiting.enqueue(entry("b", priority=1), 0)
    assert waiting.enqueue(entry("c", priority=2), 0)


def test_each_level_has_its_own_bound():
    """A full level refuses while others have room; a request that leaves makes room."""
    waiting = queue(QueuePolicy(max_queue_size=1), levels=2, default=1, level_2=QueuePolicy(max_queue_size=2))
    first = entry("a", priority=1)
    waiting.enqueue(first, 0)
    with pytest.raises(QueueFullError, match=r"^\[request id: b\] Exceeds maximum queue size$"):
        waiting.enqueue(entry("b", priority=1), 0)
    waiting.enqueue(entry("c", priority=2), 0)
    waiting.enqueue(entry("d", priority=2), 0)
    with pytest.raises(QueueFullError):
        waiting.enqueue(entry("e", priority=2), 0)
    assert waiting.remove(first)
    waiting.enqueue(entry("f", priority=1), 0)
    assert order(waiting) == "fcd"


def test_delayed_requests_count_towards_the_bound():
    """A request that its timeout has sent back still takes a place."""
    waiting = queue(QueuePolicy(DELAY, 10, False, 1))
    waiting.enqueue(entry("a"), 0)
    assert expired(waiting, 10) == []
    with pytest.raises(QueueFullError):
        waiting.enqueue(entry("b"), 10 * US)


@pytest.mark.parametrize(
    ("default_us", "may_override", "asked_us", "waits_us"),
    [(100, True, 40, 40), (100, True, 400, 100), (100, True, 0, 100), (100, False, 40, 100), (0, True, 40, None)],
)
def test_a_request_may_wait_less_than_the_default_if_allowed(default_us, may_override, asked_us, waits_us):
    """Its own timeout counts when it is smaller than a default that may be overridden, and never otherwise."""
    waiting = queue(QueuePolicy(REJECT, default_us, may_override, 0))
    waiting.enqueue(entry("a", timeout_us=asked_us), 0)
    assert waiting.next_expiry_ns == (NEVER_NS if waits_us is None else waits_us * US)
    if waits_us is not None:
        assert expired(waiting, waits_us - 1) == []
        assert expired(waiting, waits_us) == [("a", Overdue.QUEUE_TIMEOUT)]
        assert len(waiting) == 0


def test_delayed_requests_stand_behind_their_level_and_before_the_next():
    """DELAY sends a request back once; it never times out again."""
    waiting = queue(QueuePolicy(DELAY, 10, False, 0), levels=2, default=1)
    waiting.enqueue(entry("a", priority=1), 0)
    waiting.enqueue(entry("b", priority=2), 0)
    waiting.enqueue(entry("c", priority=1), 5 * US)
    assert expired(waiting, 10) == []
    assert order(waiting) == "cab"
    waiting.enqueue(entry("d", priority=1), 11 * US)
    assert order(waiting) == "cdab"
    assert expired(waiting, 1000) == []
    assert order(waiting) == "acdb"
    assert waiting.next_expiry_ns == NEVER_NS


@pytest.mark.parametrize("action", [REJECT, DELAY])
def test_a_deadline_is_final(action):
    """A request whose caller waits no longer is dropped, whatever the timeout's action; the earlier of the two is the reason."""
    waiting = queue(QueuePolicy(action, 50, False, 0))
    waiting.enqueue(entry("a", deadline_ns=20 * US), 0)
    waiting.enqueue(entry("b", deadline_ns=80 * US), 0)
    waiting.enqueue(entry("c", deadline_ns=50 * US), 0)
    assert expired(waiting, 20) == [("a", Overdue.DEADLINE)]
    timed_out = [("b", Overdue.QUEUE_TIMEOUT), ("c", Overdue.QUEUE_TIMEOUT)]
    assert sorted(expired(waiting, 50)) == (timed_out if action is REJECT else [("c", Overdue.DEADLINE)])
    assert expired(waiting, 80) == ([] if action is REJECT else [("b", Overdue.DEADLINE)])
    assert len(waiting) == 0
    assert waiting.next_expiry_ns == NEVER_NS


def test_requests_that_have_left_are_forgotten():
    """Their tensors are free at once, and ten thousand of them leave no ten thousand alarms behind."""
    waiting = queue()
    entries = [entry(str(number), deadline_ns=10**12 + number) for number in range(10_000)]
    for each in entries:
        waiting.enqueue(each, 0)
    popped = waiting.pop(9_000)
    last = weakref.ref(entries[-1])
    for each in entries[9_000:]:
        assert waiting.remove(each)
    assert not waiting.remove(entries[0])
    del entries, popped, each
    gc.collect()
    assert last() is None
    assert len(waiting._alarms._heap) < 100
