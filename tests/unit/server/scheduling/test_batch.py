"""Which requests go together, and when: the cases that the description names."""

from __future__ import annotations

import numpy as np
import pytest

from aisle_server.inference import InferenceRequest, Tensor
from aisle_server.model_config.schema import DynamicBatching, ModelConfig, ModelInput, QueuePolicy
from aisle_server.scheduling.batch import BatchFormer, signature_for
from aisle_server.scheduling.request_queue import QueuedRequest

US = 1_000
BOUNDED = QueuePolicy(max_queue_size=100)


class Line:
    """A former, and requests that are called by their ids."""

    def __init__(self, max_batch_size=8, instances=1, config=None, **batching) -> None:
        signature = None if config is None else signature_for(config)
        self.former = BatchFormer(DynamicBatching(**batching), max_batch_size, instances, signature)
        self.entries = {}

    def come(self, *names: str, rows: int = 1, now_us: int = 0, priority: int = 0, inputs=()) -> None:
        for name in names:
            tensors = {each.name: each for each in inputs}
            request = InferenceRequest("m", tensors, id=name, batch_size=rows, priority=priority)
            self.entries[name] = QueuedRequest(request)
            self.former.enqueue(self.entries[name], now_us * US)

    def leave(self, name: str) -> bool:
        return self.former.remove(self.entries[name])

    def take(self, now_us: int = 0, idle: int = 1) -> str | None:
        self.former.expire(now_us * US)
        batch = self.former.take(now_us * US, idle)
        return None if batch is None else "".join(entry.request.id for entry in batch.entries)


def test_without_a_delay_what_is_queued_goes():
    """A free instance takes all that waits, up to the maximum batch size."""
    line = Line(max_batch_size=4, default_queue_policy=BOUNDED)
    line.come(*"abcdef")
    assert [line.take(), line.take(), line.take()] == ["abcd", "ef", None]


def test_the_largest_preferred_size_is_cut_off():
    """Of five waiting requests a batch of the preferred size 4 goes first."""
    line = Line(preferred_batch_size=(2, 4), default_queue_policy=BOUNDED)
    line.come(*"abcde")
    assert [line.take(), line.take()] == ["abcd", "e"]


def test_a_request_larger_than_every_preferred_size_goes_at_once():
    """There is no preferred size left for it to wait for."""
    line = Line(preferred_batch_size=(4,), max_queue_delay_microseconds=100)
    line.come("a", rows=5)
    assert line.take() == "a"


def test_past_the_delay_preferred_sizes_are_forgotten():
    """All that fits goes when the oldest request has waited long enough."""
    line = Line(preferred_batch_size=(2, 8), max_queue_delay_microseconds=100, default_queue_policy=BOUNDED)
    line.come("a", rows=3)
    line.come("b", "c", now_us=50)
    assert line.take(99) is None
    assert line.take(100) == "abc"


def test_rows_that_do_not_fit_end_the_wait():
    """A request that would make the batch too large sends those before it."""
    line = Line(max_queue_delay_microseconds=100, default_queue_policy=BOUNDED)
    line.come("a", rows=5)
    assert line.take() is None
    line.come("b", rows=4)
    assert [line.take(), line.take(), line.take(100)] == ["a", None, "b"]


def test_a_batch_formed_ahead_grows_until_an_instance_takes_it():
    """While all instances work requests gather in a batch, which keeps a preferred size once it has it."""
    line = Line(preferred_batch_size=(4, 8))
    for name in "abcdefg":
        line.come(name)
        assert line.take(idle=0) is None
    assert [line.take(), line.take(), line.take()] == ["abcd", "efg", None]


def test_no_more_than_two_batches_an_instance_are_formed_ahead():
    """What comes after them waits in the queue, where batches become as large as they may."""
    line = Line(max_batch_size=8, preferred_batch_size=(1, 8), instances=1)
    for name in "abcdefghij":
        line.come(name)
        line.take(idle=0)
    assert [line.take(), line.take(), line.take()] == ["a", "b", "cdefghij"]


def test_with_a_queue_policy_nothing_is_formed_ahead():
    """A batch is formed when an instance is free, so that a later request of level 1 is in it."""
    line = Line(max_batch_size=2, priority_levels=2, default_priority_level=2)
    line.come("a", "b", "c", priority=2)
    line.take(idle=0)
    line.come("d", priority=1)
    assert [line.take(), line.take()] == ["da", "bc"]


def test_a_growing_batch_does_not_wait_for_the_delay():
    """A batch that waits for an instance anyway takes newcomers in at once; at a preferred size they wait for the next."""
    line = Line(preferred_batch_size=(3, 8), max_queue_delay_microseconds=100)
    line.come("a", "b", rows=1)
    assert line.take(idle=0) is None
    line.take(100, idle=0)
    line.come("c", now_us=110)
    line.take(110, idle=0)
    line.come("d", now_us=120)
    assert line.take(120, idle=1) == "abc"
    assert [line.take(219), line.take(220)] == [None, "d"]


def test_newcomers_are_counted_from_nothing_once_their_batch_is_gone():
    """Requests that waited beside a growing batch make a preferred size of their own when it has been taken."""
    line = Line(preferred_batch_size=(2, 8), max_queue_delay_microseconds=100)
    line.come("a", "b")
    assert line.take(idle=0) is None
    line.come("c")
    assert line.take(idle=0) is None
    assert line.take() == "ab"
    line.come("d")
    assert line.take() == "cd"


def test_batches_that_waited_past_the_delay_are_merged():
    """An instance that is free at last takes them together, up to the maximum batch size."""
    line = Line(max_batch_size=6, preferred_batch_size=(2,), max_queue_delay_microseconds=100)
    line.come(*"abc")
    line.take(idle=0)
    line.come(*"de", now_us=10)
    line.take(10, idle=0)
    assert line.take(110) == "abcde"
    assert line.take(110) is None


def test_a_request_of_a_lower_level_joins_the_wait():
    """A request that overtakes the waiting ones is counted with them."""
    line = Line(max_batch_size=4, max_queue_delay_microseconds=100, priority_levels=2, default_priority_level=2)
    line.come("a", rows=2, priority=2)
    assert line.take() is None
    line.come("b", rows=3, priority=1, now_us=10)
    assert [line.take(10), line.take(10), line.take(100)] == ["b", None, "a"]
    line = Line(
        preferred_batch_size=(3, 8), max_queue_delay_microseconds=100, priority_levels=2, default_priority_level=2
    )
    line.come("a", "b", rows=2)
    assert line.take() is None
    line.come("c", priority=1)
    assert line.take() == "ca"


def test_a_request_that_leaves_takes_its_rows_along():
    """A wait that had counted on it goes on without it, in the queue and in a batch formed ahead."""
    line = Line(preferred_batch_size=(4,), max_queue_delay_microseconds=100, default_queue_policy=BOUNDED)
    line.come(*"abc")
    assert line.take() is None
    assert line.leave("b")
    assert not line.leave("b")
    line.come("d")
    assert line.take() is None
    line.come("e")
    assert line.take() == "acde"
    line = Line(preferred_batch_size=(4,))
    line.come(*"abc")
    line.take(idle=0)
    assert line.leave("b")
    line.come(*"de")
    line.take(idle=0)
    assert line.former.pending_count == 4
    assert line.take() == "acde"
    assert not line.leave("a")


def test_newcomers_beside_a_batch_are_counted_anew_when_it_shrinks():
    """A request that leaves a batch formed ahead lets those that wait beside it reach another preferred size."""
    line = Line(preferred_batch_size=(2, 4, 8), max_queue_delay_microseconds=100)
    line.come("a", "b", rows=2)
    assert line.take(idle=0) is None
    line.come("c")
    assert line.take(idle=0) is None
    assert line.leave("a")
    line.come("d")
    assert line.take() == "bcd"


def test_a_batch_whose_requests_have_all_left_is_gone():
    """A batch formed ahead that has become empty is never executed, and makes room."""
    line = Line(max_batch_size=1)
    line.come(*"abc")
    line.take(idle=0)
    assert line.leave("a")
    assert [line.take(), line.take(), line.take()] == ["b", "c", None]


def test_closing_ends_every_wait():
    """When no more requests come there is no company to wait for."""
    line = Line(max_queue_delay_microseconds=1000)
    line.come("a")
    assert line.take() is None
    line.former.close()
    assert line.take() == "a"


def tensor(name: str, *shape: int) -> Tensor:
    """Zeros of a shape."""
    return Tensor(name, "UINT8", np.zeros(shape, np.uint8))


VARIABLE = ModelConfig("m", inputs=(ModelInput("A", "UINT8", (-1,)), ModelInput("B", "UINT8", (2,))))
RAGGED = ModelConfig("m", inputs=(ModelInput("A", "UINT8", (-1,), allow_ragged_batch=True),))
OPTIONAL = ModelConfig(
    "m", inputs=(ModelInput("A", "UINT8", (2,), optional=True), ModelInput("B", "UINT8", (-1,), optional=True))
)


@pytest.mark.parametrize(
    ("config", "first", "second", "together"),
    [
        (VARIABLE, (tensor("A", 1, 3), tensor("B", 1, 2)), (tensor("A", 2, 3), tensor("B", 2, 2)), True),
        (VARIABLE, (tensor("A", 1, 3), tensor("B", 1, 2)), (tensor("A", 1, 4), tensor("B", 1, 2)), False),
        (RAGGED, (tensor("A", 1, 3),), (tensor("A", 1, 4),), True),
        (OPTIONAL, (tensor("A", 1, 2),), (tensor("A", 3, 2),), True),
        (OPTIONAL, (tensor("A", 1, 2),), (tensor("B", 1, 2),), False),
        (OPTIONAL, (tensor("A", 1, 2), tensor("B", 1, 2)), (tensor("A", 1, 2), tensor("B", 1, 3)), False),
        (OPTIONAL, (), (), True),
    ],
)
def test_requests_of_a_batch_stack(config, first, second, together):
    """Variable dimensions must be equal unless ragged batches are allowed, and optional inputs present in all or in none."""
    line = Line(config=config, default_queue_policy=BOUNDED)
    line.come("a", inputs=first)
    line.come("b", inputs=second)
    assert [line.take(), line.take()] == (["ab", None] if together else ["a", "b"])


def test_a_request_of_another_shape_ends_the_wait():
    """Those before it go at once: nobody who comes later may overtake it."""
    line = Line(config=VARIABLE, max_queue_delay_microseconds=100)
    line.come("a", inputs=(tensor("A", 1, 3),))
    assert line.take() is None
    line.come("b", inputs=(tensor("A", 1, 4),))
    assert [line.take(), line.take(), line.take(100)] == ["a", None, "b"]


def test_a_growing_batch_that_met_another_shape_grows_no_more():
    """It is complete, and the others make batches of their own behind it."""
    line = Line(config=VARIABLE)
    for name, length in zip("abc", (3, 4, 3), strict=True):
        line.come(name, inputs=(tensor("A", 1, length),))
        line.take(idle=0)
    assert [line.take(), line.take(), line.take()] == ["a", "b", "c"]


def test_a_preferred_size_before_another_shape_is_complete():
    """What waits between the two makes a batch of its own."""
    line = Line(config=VARIABLE, preferred_batch_size=(2, 8), max_queue_delay_microseconds=100)
    line.come("a", "b", "c", inputs=(tensor("A", 1, 3),))
    line.come("d", inputs=(tensor("A", 1, 4),))
    assert line.take(idle=0) is None
    assert [line.take(), line.take(), line.take()] == ["ab", "c", None]


def test_models_whose_requests_always_stack_compare_nothing():
    """Fixed shapes and required inputs need no look at the request."""
    assert signature_for(ModelConfig("m", inputs=(ModelInput("A", "UINT8", (2,)),))) is None
    assert signature_for(RAGGED) is None
