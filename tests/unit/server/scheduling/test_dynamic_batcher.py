"""The asyncio shell of the batcher: callers, timers, shutdown, books."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from aisle_server.errors import (
    DeadlineExceededError,
    InternalError,
    InvalidArgumentError,
    QueueFullError,
    QueueTimeoutError,
    UnavailableError,
)
from aisle_server.inference import InferenceRequest, Tensor
from aisle_server.model_config.schema import DynamicBatching, ModelConfig, ModelInput, QueuePolicy
from aisle_server.scheduling.factory import create_scheduler
from aisle_server.statistics import FailureReason, ModelStatistics
from tests.support.fake_clock import FakeClock
from tests.support.fake_instance_group import TIMES, FakeInstanceGroup

MS = 1_000_000


def request(number: int, rows: int = 1, **fields) -> InferenceRequest:
    """A request whose rows hold its number."""
    data = np.full((rows, 1), number, np.float32)
    return InferenceRequest("m", {"A": Tensor("A", "FP32", data)}, id=str(number), batch_size=rows, **fields)


class House:
    """A scheduler with its fakes, and the callers that came."""

    def __init__(self, batching: DynamicBatching | None, instances: int = 1, max_batch_size: int = 4) -> None:
        config = ModelConfig(
            "m", max_batch_size=max_batch_size, inputs=(ModelInput("A", "FP32", (1,)),), dynamic_batching=batching
        )
        self.clock = FakeClock()
        self.group = FakeInstanceGroup(self.clock, instances)
        self.statistics = ModelStatistics()
        self.scheduler = create_scheduler(config, self.group, self.statistics, self.clock)
        self.callers: dict[int, asyncio.Task] = {}

    async def come(self, *numbers: int, **fields) -> None:
        for number in numbers:
            self.callers[number] = asyncio.ensure_future(self.scheduler.infer(request(number, **fields)))
        await settle()

    async def answered(self) -> list[int]:
        await settle()
        return [number for number, caller in self.callers.items() if caller.done()]

    async def value(self, number: int) -> float:
        response = await self.callers[number]
        return response.output("A").data[0, 0]


async def settle() -> None:
    """Let every task run as far as it can."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_request_goes_at_once_to_a_free_instance():
    """Without a queue delay a request waits for nobody."""
    house = House(DynamicBatching())
    await house.come(1)
    assert house.group.batches == [["1"]]
    house.group.finish()
    assert await house.value(1) == 1


async def test_requests_that_meet_in_the_queue_share_an_execution():
    """What came while the instance was busy is executed together, and everyone gets his own rows."""
    house = House(DynamicBatching())
    await house.come(1, 2, 3, 4)
    house.group.finish()
    assert house.group.batches == [["1"], ["2", "3", "4"]]
    house.group.finish()
    assert [await house.value(number) for number in (1, 2, 3, 4)] == [1, 2, 3, 4]


async def test_company_is_waited_for_no_longer_than_the_delay():
    """With a queue delay a lone request is executed when the delay has passed."""
    house = House(DynamicBatching(max_queue_delay_microseconds=500))
    await house.come(1)
    house.clock.advance(us=499)
    assert house.group.batches == []
    house.clock.advance(us=1)
    assert house.group.batches == [["1"]]


async def test_a_timer_that_is_no_longer_needed_is_harmless():
    """A batch that filled up before its delay leaves a timer behind, which finds nothing to do."""
    house = House(DynamicBatching(max_queue_delay_microseconds=500), max_batch_size=2)
    await house.come(1, 2)
    house.group.finish()
    house.clock.advance(ms=5)
    assert house.group.batches == [["1", "2"]]
    assert house.clock.timer_count == 0


async def test_queue_timeout_fires_on_time():
    """A request that waited longer than its queue policy allows is told so then, not when the instance is free again."""
    house = House(DynamicBatching(default_queue_policy=QueuePolicy(default_timeout_microseconds=1000)))
    await house.come(1, 2)
    house.clock.advance(us=999)
    assert await house.answered() == []
    house.clock.advance(us=1)
    assert await house.answered() == [2]
    with pytest.raises(QueueTimeoutError, match=r"^Request timeout expired$"):
        await house.callers[2]
    fail = house.statistics.snapshot().failures[FailureReason.REJECTED]
    assert (fail.count, fail.ns) == (1, MS)


async def test_a_full_queue_refuses_at_once_and_books_nothing():
    """Exactly the requests that find no room are refused, and they are in no figure."""
    house = House(DynamicBatching(default_queue_policy=QueuePolicy(max_queue_size=2)))
    await house.come(1, 2, 3, 4, 5)
    assert await house.answered() == [4, 5]
    for number in (4, 5):
        with pytest.raises(QueueFullError, match=rf"^\[request id: {number}\] Exceeds maximum queue size$"):
            await house.callers[number]
    assert house.statistics.snapshot().fail.count == 0


async def test_a_caller_that_leaves_takes_its_request_along():
    """A cancelled request leaves the queue at once, and its neighbours are answered."""
    house = House(DynamicBatching())
    await house.come(1, 2, 3, 4)
    assert house.scheduler.pending_request_count == 3
    house.callers[3].cancel()
    await settle()
    assert house.scheduler.pending_request_count == 2
    house.group.finish()
    assert house.group.batches[1] == ["2", "4"]
    house.group.finish()
    assert await house.value(4) == 4
    assert house.statistics.snapshot().failures[FailureReason.CANCELED].count == 1


async def test_a_caller_that_leaves_makes_room():
    """The place of a cancelled request in a bounded queue is free for the next."""
    house = House(DynamicBatching(default_queue_policy=QueuePolicy(max_queue_size=1)))
    await house.come(1, 2)
    house.callers[2].cancel()
    await house.come(3)
    house.group.finish()
    assert house.group.batches == [["1"], ["3"]]


async def test_a_caller_that_leaves_during_execution_disturbs_nobody():
    """The others of its batch get their own rows; its own are dropped and booked as cancelled."""
    house = House(DynamicBatching())
    await house.come(1, 2, 3)
    house.group.finish()
    house.callers[2].cancel()
    await settle()
    house.group.finish()
    assert await house.value(3) == 3
    figures = house.statistics.snapshot()
    assert (figures.success.count, figures.failures[FailureReason.CANCELED].count) == (2, 1)


async def test_a_caller_that_leaves_as_the_answer_comes_is_booked_once():
    """An answer and a cancellation in the same turn of the loop make one request, not two."""
    house = House(DynamicBatching())
    await house.come(1)
    house.group.finish()
    house.callers[1].cancel()
    await settle()
    figures = house.statistics.snapshot()
    assert figures.success.count + figures.fail.count == 1
    await house.scheduler.stop()


@pytest.mark.parametrize("policy", [QueuePolicy(), QueuePolicy(max_queue_size=9)])
async def test_a_deadline_that_passes_empties_the_place(policy):
    """A queued request whose caller waits no longer is dropped at its deadline, also from a batch that was formed ahead."""
    house = House(DynamicBatching(default_queue_policy=policy))
    await house.come(1)
    await house.come(2, deadline_ns=3 * MS)
    await house.come(3)
    house.clock.advance(ms=3)
    assert await house.answered() == [2]
    with pytest.raises(DeadlineExceededError, match=r"^\[request id: 2\] the deadline passed"):
        await house.callers[2]
    house.group.finish()
    assert house.group.batches[1] == ["3"]
    assert house.statistics.snapshot().failures[FailureReason.CANCELED].count == 1


async def test_a_deadline_in_the_past_is_never_executed():
    """A request that comes too late is refused without an execution, though an instance is free."""
    house = House(DynamicBatching())
    house.clock.advance(ms=5)
    await house.come(1, deadline_ns=4 * MS)
    with pytest.raises(DeadlineExceededError):
        await house.callers[1]
    assert house.group.batches == []


async def test_one_refusal_in_a_batch_is_told_to_its_caller_alone():
    """The model refuses one request of three: two are answered."""
    house = House(DynamicBatching())
    await house.come(1, 2, 3, 4)
    house.group.finish()
    house.group.refuse(1, InvalidArgumentError("row 0 is blank"))
    assert await house.value(2) == 2
    with pytest.raises(InvalidArgumentError, match="row 0 is blank"):
        await house.callers[3]
    assert await house.value(4) == 4
    assert house.statistics.snapshot().failures[FailureReason.BACKEND].count == 1


async def test_a_batch_that_fails_is_told_to_all_and_the_next_runs():
    """A failed execution is no execution, and the instance goes on with the next batch."""
    house = House(DynamicBatching())
    await house.come(1, 2, 3)
    house.group.finish(error=InternalError("model 'm' failed to execute the request"))
    house.group.finish()
    with pytest.raises(InternalError, match="model 'm' failed"):
        await house.callers[1]
    assert [await house.value(number) for number in (2, 3)] == [2, 3]
    figures = house.statistics.snapshot()
    assert (figures.execution_count, figures.success.count, figures.fail.count) == (1, 2, 1)


async def test_lower_levels_go_first():
    """Level 1 is executed before level 2, whenever it came; no priority is the default level."""
    house = House(DynamicBatching(priority_levels=2, default_priority_level=2), max_batch_size=1)
    await house.come(0)
    await house.come(1, priority=2)
    await house.come(2)
    await house.come(3, priority=1)
    await house.come(4, priority=9)
    for _ in range(5):
        house.group.finish()
    assert house.group.batches == [["0"], ["3"], ["1"], ["2"], ["4"]]


async def test_answers_keep_the_order_of_the_batches_when_asked_to():
    """With preserve_ordering a faster instance waits for a slower one."""
    house = House(DynamicBatching(preserve_ordering=True), instances=2)
    await house.come(1)
    await house.come(2)
    house.group.finish(1)
    assert await house.answered() == []
    house.group.finish(0)
    assert await house.answered() == [1, 2]


async def test_order_is_not_held_up_by_those_who_left():
    """With preserve_ordering a caller that left does not keep the others waiting for ever."""
    house = House(DynamicBatching(preserve_ordering=True), instances=2)
    await house.come(1)
    await house.come(2)
    house.callers[1].cancel()
    house.group.finish(0)
    house.group.finish(0)
    assert await house.value(2) == 2


async def test_answers_may_overtake_each_other_otherwise():
    """Without preserve_ordering the faster instance answers first."""
    house = House(DynamicBatching(), instances=2)
    await house.come(1)
    await house.come(2)
    house.group.finish(1)
    assert await house.answered() == [2]


async def test_b26_stopping_answers_what_was_accepted_and_refuses_the_rest():
    """After stop a new request is told that the server stops; those accepted are executed without waiting for company."""
    house = House(DynamicBatching(max_queue_delay_microseconds=10_000_000))
    await house.come(1, 2)
    stopping = asyncio.ensure_future(house.scheduler.stop())
    await settle()
    text = r"^\[request id: 3\] Server is stopping, scheduler for model has stopped accepting new inference requests$"
    with pytest.raises(UnavailableError, match=text):
        await house.scheduler.infer(request(3))
    assert not stopping.done()
    house.group.finish()
    await stopping
    await house.scheduler.stop()
    assert [await house.value(number) for number in (1, 2)] == [1, 2]
    assert house.clock.timer_count == 0


async def test_stopping_does_not_wait_for_callers_that_left():
    """A cancelled request does not hold up a shutdown."""
    house = House(DynamicBatching(max_queue_delay_microseconds=10_000_000))
    await house.come(1)
    house.callers[1].cancel()
    await settle()
    await house.scheduler.stop()


async def test_the_books_add_up():
    """Queue, compute and batch figures are Triton's: a batch's times are charged in full to each of its requests."""
    house = House(DynamicBatching())
    await house.come(1)
    await house.come(2, rows=2)
    await house.come(3)
    house.clock.advance(ms=4)
    house.group.finish()
    house.clock.advance(ms=1)
    house.group.finish()
    figures = house.statistics.snapshot()
    assert (figures.inference_count, figures.execution_count) == (4, 2)
    assert (figures.success.count, figures.success.ns) == (3, (4 + 5 + 5) * MS)
    assert (figures.queue.count, figures.queue.ns) == (3, (0 + 4 + 4) * MS)
    assert (figures.compute_infer.count, figures.compute_infer.ns) == (3, 3 * TIMES.infer_ns)
    assert {size: batch.compute_infer.count for size, batch in figures.batches.items()} == {1: 1, 3: 1}
    assert figures.last_inference_ms == house.clock.epoch_ms()
    assert (await house.callers[3]).times == TIMES


async def test_a_direct_scheduler_executes_each_request_alone_in_order():
    """Without dynamic batching nothing is combined, and one request is under way for each instance."""
    house = House(None, instances=2)
    await house.come(1, 2, 3, 4)
    assert house.group.batches == [["1"], ["2"]]
    house.callers[3].cancel()
    await house.come(5)
    house.group.finish()
    house.group.finish()
    assert house.group.batches == [["1"], ["2"], ["4"], ["5"]]


async def test_a_direct_scheduler_takes_requests_of_many_rows():
    """A request goes through whole, whatever its rows."""
    house = House(None)
    await house.come(1, rows=3)
    house.group.finish()
    assert (await house.callers[1]).output("A").data.shape == (3, 1)
    assert house.statistics.snapshot().inference_count == 3
