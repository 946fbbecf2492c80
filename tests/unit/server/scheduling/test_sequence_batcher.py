"""The asyncio shell of the sequence batcher: callers, controls, empty rows, shutdown."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from aisle_server.errors import (
    CancelledError,
    DeadlineExceededError,
    InternalError,
    InvalidArgumentError,
    UnavailableError,
)
from aisle_server.inference import InferenceRequest, Tensor
from aisle_server.model_config.schema import ModelConfig, ModelInput, ModelOutput
from aisle_server.model_config.sequence import (
    ControlKind,
    DirectStrategy,
    OldestStrategy,
    SequenceBatching,
    SequenceControl,
    SequenceControlInput,
    SequenceState,
)
from aisle_server.scheduling.factory import create_scheduler
from aisle_server.scheduling.sequence_states import load_initial_states
from aisle_server.statistics import FailureReason, ModelStatistics
from tests.support.fake_clock import FakeClock
from tests.support.fake_instance_group import FakeInstanceGroup

MS = 1_000_000
CONTROLS = (
    SequenceControlInput("START", (SequenceControl(ControlKind.CONTROL_SEQUENCE_START, int32_false_true=(0, 1)),)),
    SequenceControlInput("END", (SequenceControl(ControlKind.CONTROL_SEQUENCE_END, fp32_false_true=(-1.0, 1.0)),)),
    SequenceControlInput(
        "READY", (SequenceControl(ControlKind.CONTROL_SEQUENCE_READY, bool_false_true=(False, True)),)
    ),
    SequenceControlInput("CORRID", (SequenceControl(ControlKind.CONTROL_SEQUENCE_CORRID, datatype="UINT64"),)),
)


class House:
    """A scheduler with its fakes, and the callers that came."""

    def __init__(
        self,
        strategy: DirectStrategy | OldestStrategy | None = None,
        *,
        instances: int = 1,
        max_batch_size: int = 4,
        controls: tuple[SequenceControlInput, ...] = CONTROLS,
        states: tuple[SequenceState, ...] = (),
    ) -> None:
        config = ModelConfig(
            "m",
            max_batch_size=max_batch_size,
            inputs=(ModelInput("A", "FP32", (1,)),),
            outputs=(ModelOutput("A", "FP32", (1,)),),
            sequence_batching=SequenceBatching(strategy, 10_000, controls, states),
        )
        self.clock = FakeClock()
        self.group = FakeInstanceGroup(self.clock, instances)
        self.statistics = ModelStatistics()
        self.scheduler = create_scheduler(
            config, self.group, self.statistics, self.clock, load_initial_states(config, Path("no files here"))
        )
        self.callers: dict[str, asyncio.Task] = {}

    async def come(self, name: str, sequence_id: int | str, flags: str = "", **fields) -> asyncio.Task:
        """A request comes; `flags` are of `S` for start and `E` for end."""
        request = InferenceRequest(
            "m",
            {"A": Tensor("A", "FP32", np.full((1, 1), 7, np.float32))},
            id=name,
            sequence_id=sequence_id,
            sequence_start="S" in flags,
            sequence_end="E" in flags,
            **fields,
        )
        self.callers[name] = asyncio.ensure_future(self.scheduler.infer(request))
        await settle()
        return self.callers[name]

    def inputs(self, row: int = 0) -> dict[str, object]:
        """What the instance that began last was told in a row of its batch."""
        return {
            name: tensor.data.reshape(-1).tolist()[0]
            for name, tensor in self.group.executing[-1].requests[row].inputs.items()
        }


async def settle() -> None:
    """Let every task run as far as it can."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_model_is_told_where_its_sequences_begin_and_end():
    """Control tensors say START, END, READY and the correlation id of each request, in the values of the configuration."""
    house = House()
    await house.come("a", 5, "S")
    assert house.inputs() == {"A": 7, "START": 1, "END": -1, "READY": True, "CORRID": 5}
    assert {tensor.datatype for tensor in house.group.executing[0].requests[0].inputs.values()} == {
        "FP32", "INT32", "BOOL", "UINT64",
    }  # fmt: skip
    house.group.finish()
    await house.come("b", 5)
    assert house.inputs() == {"A": 7, "START": 0, "END": -1, "READY": True, "CORRID": 5}
    house.group.finish()
    await house.come("c", 5, "E")
    assert house.inputs() == {"A": 7, "START": 0, "END": 1, "READY": True, "CORRID": 5}


async def test_controls_have_a_batch_dimension_when_the_model_has():
    """A control tensor is one element, in shape [1, 1] for a model that batches and [1] for one that does not."""
    for max_batch_size, shape in ((4, (1, 1)), (0, (1,))):
        house = House(max_batch_size=max_batch_size)
        await house.come("a", 5, "S")
        request = house.group.executing[0].requests[0]
        assert [request.inputs[name].shape for name in ("START", "CORRID")] == [shape, shape]


async def test_requests_of_a_sequence_are_executed_one_after_another():
    """A second request waits for the answer to the first, also where the batch had room for it."""
    house = House()
    for name, flags in (("a", "S"), ("b", ""), ("c", "E")):
        await house.come(name, 5, flags)
    for _ in range(3):
        house.group.finish()
    assert house.group.batches == [["a"], ["b"], ["c"]]
    assert (await house.callers["c"]).id == "c"


async def test_a_sequence_keeps_its_row_and_the_rows_between_are_empty():
    """With the direct strategy a row without a request goes along as zeros that are not ready, and answers nobody."""
    house = House()
    await house.come("x", 9, "S")
    await house.come("a", 5, "S")
    house.group.finish()
    house.group.finish()
    first = await house.come("b", 5)
    assert house.group.batches == [["x"], ["", "a"], ["", "b"]]
    assert house.inputs(0) == {"A": 0, "START": 0, "END": -1, "READY": False, "CORRID": 0}
    assert house.inputs(1)["CORRID"] == 5
    house.group.finish()
    assert (await first).id == "b"
    figures = house.statistics.snapshot()
    assert (figures.inference_count, sorted(figures.batches)) == (3, [1, 2])


async def test_the_oldest_strategy_combines_what_is_ready():
    """With the oldest strategy requests of several sequences share an execution without empty rows."""
    house = House(OldestStrategy(max_candidate_sequences=8))
    await house.come("x", 9, "S")
    for number in range(3):
        await house.come(f"s{number}", 10 + number, "S")
    house.group.finish()
    assert house.group.batches == [["x"], ["s0", "s1", "s2"]]


async def test_a_sequence_stays_on_its_instance():
    """Its later requests go to the instance that has its state, though another one is free."""
    house = House(instances=2)
    await house.come("a", 5, "S")
    await house.come("x", 6, "S")
    assert [each.instance for each in house.group.executing] == [0, 1]
    house.group.finish()
    house.group.finish()
    await house.come("y", 6)
    assert [each.instance for each in house.group.executing] == [1]


async def test_a_sequence_without_a_free_slot_waits_for_one():
    """When every slot is taken a new sequence waits, and is executed when an earlier one ends."""
    house = House(max_batch_size=1)
    await house.come("a", 5, "S")
    await house.come("x", 6, "SE")
    house.group.finish()
    assert house.group.batches == [["a"]]
    assert house.scheduler.pending_request_count == 1
    await house.come("b", 5, "E")
    house.group.finish()
    assert house.group.batches == [["a"], ["b"], ["x"]]


async def test_a_sequence_that_was_idle_too_long_is_over():
    """Its slot is given away, and its next request is told that it must start a sequence."""
    house = House(max_batch_size=1)
    await house.come("a", 5, "S")
    await house.come("x", 6, "SE")
    house.group.finish()
    house.clock.advance(ms=9)
    assert house.group.batches == [["a"]]
    house.clock.advance(ms=1)
    assert house.group.batches == [["a"], ["x"]]
    text = (
        "inference request for sequence 5 to model 'm' must specify the START flag on the first request of the sequence"
    )
    with pytest.raises(InvalidArgumentError, match=f"^{text}$"):
        await (await house.come("b", 5))


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"sequence_id": 0}, "inference request to model 'm' must specify a non-zero or non-empty correlation ID"),
        ({"sequence_id": ""}, "inference request to model 'm' must specify a non-zero or non-empty correlation ID"),
        (
            {"sequence_id": 3, "batch_size": 2},
            "inference request to model 'm' must specify batch-size 1 due to requirements of sequence batcher",
        ),
        (
            {"sequence_id": "shoes"},
            "inference request to model 'm' has the text 'shoes' as its correlation ID; expected a number, which is what its "
            "input 'CORRID' of datatype UINT64 can hold",
        ),
    ],
)
async def test_what_no_sequence_can_be_is_refused(fields, text):
    """A request without a sequence, with several rows, or with an id that the model cannot be told is refused, and not booked."""
    house = House()
    with pytest.raises(InvalidArgumentError, match=f"^{text}$"):
        await (await house.come("a", flags="S", **fields))
    assert house.statistics.snapshot().fail.count == 0


async def test_text_ids_are_ids_of_their_own():
    """Sequence "5" is not sequence 5, and a model with a BYTES control is told either as text."""
    corrid = SequenceControlInput("CORRID", (SequenceControl(ControlKind.CONTROL_SEQUENCE_CORRID, datatype="BYTES"),))
    house = House(controls=(corrid,))
    await house.come("a", 5, "S")
    assert house.inputs()["CORRID"] == b"5"
    house.group.finish()
    with pytest.raises(InvalidArgumentError, match="inference request for sequence 5 to model"):
        await (await house.come("b", "5"))
    await house.come("c", "5", "S")
    assert house.inputs(1)["CORRID"] == b"5"


async def test_a_caller_that_leaves_takes_its_sequence_along():
    """What waits of the sequence is told so, its slot is free, and other sequences notice nothing."""
    house = House()
    await house.come("a", 5, "S")
    for name in ("b", "c", "d"):
        await house.come(name, 5)
    other = await house.come("x", 6, "S")
    house.callers["c"].cancel()
    await settle()
    for name in ("b", "d"):
        with pytest.raises(CancelledError, match="another request of its sequence was given up"):
            await house.callers[name]
    house.group.finish()
    assert house.group.batches == [["a"], ["", "x"]]
    house.group.finish()
    assert (await other).id == "x"
    assert (await house.callers["a"]).id == "a"
    assert house.statistics.snapshot().failures[FailureReason.CANCELED].count == 3
    with pytest.raises(InvalidArgumentError, match="must specify the START flag"):
        await (await house.come("e", 5))


async def test_a_deadline_that_passes_ends_the_sequence():
    """A queued request whose caller waits no longer is told so then, and those behind it go too."""
    house = House()
    await house.come("a", 5, "S")
    late = await house.come("b", 5, deadline_ns=3 * MS)
    behind = await house.come("c", 5, "E")
    house.clock.advance(ms=3)
    with pytest.raises(DeadlineExceededError):
        await late
    with pytest.raises(CancelledError):
        await behind


async def test_rows_are_waited_for_no_longer_than_the_delay():
    """With the direct strategy an instance waits for the share of its rows that is wanted, or for the delay."""
    house = House(DirectStrategy(max_queue_delay_microseconds=500, minimum_slot_utilization=0.5))
    await house.come("a", 5, "S")
    assert house.group.batches == []
    await house.come("x", 6, "S")
    assert house.group.batches == [["a", "x"]]
    house.group.finish()
    await house.come("b", 5)
    house.clock.advance(us=500)
    assert house.group.batches == [["a", "x"], ["b"]]


async def test_state_is_carried_from_answer_to_request():
    """A sequence starts from zeros and goes on from its last answer; a request that fails leaves the state as it was."""
    house = House(controls=(), states=(SequenceState("S", "A", "FP32", (-1,)),))
    await house.come("a", 5, "S")
    assert house.inputs() == {"A": 7, "S": 0}
    house.group.finish()
    failing = await house.come("b", 5)
    assert house.inputs() == {"A": 7, "S": 7}
    house.group.finish(error=InternalError("out of memory"))
    with pytest.raises(InternalError):
        await failing
    answered = await house.come("c", 5)
    assert house.inputs() == {"A": 7, "S": 7}
    house.group.finish()
    assert [each.name for each in (await answered).outputs] == ["A"]
    await house.come("d", 5, "S")
    assert house.inputs() == {"A": 7, "S": 0}
    house.group.finish()
    await house.come("x", 6, "S")
    assert house.inputs(1)["S"] == 0


async def test_stopping_answers_what_was_accepted_and_waits_for_no_sequence():
    """What waits is executed, the backlog too; sequences that have not ended do not hold up the stop."""
    house = House(max_batch_size=1)
    await house.come("a", 5, "S")
    await house.come("b", 5)
    waiting = await house.come("x", 6, "S")
    stopping = asyncio.ensure_future(house.scheduler.stop())
    await settle()
    with pytest.raises(UnavailableError, match="Server is stopping"):
        await (await house.come("c", 5))
    for _ in range(3):
        house.group.finish()
    await stopping
    assert (await waiting).id == "x"
    assert house.group.batches == [["a"], ["b"], ["x"]]
    assert house.clock.timer_count == 0
