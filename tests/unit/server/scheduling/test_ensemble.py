"""Ensembles: what runs when, what it is given, and what becomes of errors, absent tensors and callers that leave."""

from __future__ import annotations

import asyncio
import logging

import numpy as np
import pytest

from aisle_server.errors import InternalError, InvalidArgumentError, QueueFullError, UnavailableError
from aisle_server.inference import ComputeTimes, InferenceRequest, Tensor
from aisle_server.model_config.schema import (
    EnsembleScheduling,
    EnsembleStep,
    ModelConfig,
    ModelInput,
    ModelOutput,
)
from aisle_server.scheduling.ensemble import EnsembleScheduler
from aisle_server.statistics import FailureReason, ModelStatistics
from tests.support.fake_clock import FakeClock
from tests.support.fake_models import FakeModels, model, settle

LOOK = model("look", "PICTURE", "SEEN")
READ = model("read", "TITLE", "HEARD")
FUSE = model("fuse", "A B", "OUT", optional=True)


def step(config: ModelConfig, version: int = -1, **tensors: str) -> tuple[EnsembleStep, ModelConfig]:
    """A step, and the model it runs: each of the model's tensors and the ensemble's that it is mapped to."""
    inputs = {name: tensors[name] for name in tensors if config.input(name)}
    outputs = {name: tensors[name] for name in tensors if config.output(name)}
    return EnsembleStep(config.name, version, inputs, outputs), config


LOOKS = step(LOOK, PICTURE="PICTURE", SEEN="seen")
READS = step(READ, TITLE="TITLE", HEARD="heard")
FUSES = step(FUSE, A="seen", B="heard", OUT="CATEGORY")


class Stage:
    """An ensemble `e` over fake models."""

    def __init__(self, *steps, outputs="CATEGORY", max_batch_size=4, dims=(1,), max_inflight_requests=0) -> None:
        config = ModelConfig(
            "e",
            platform="ensemble",
            max_batch_size=max_batch_size,
            inputs=tuple(ModelInput(name, "FP32", dims, optional=True) for name in ("PICTURE", "TITLE")),
            outputs=tuple(ModelOutput(name, "FP32", dims) for name in outputs.split()),
            ensemble_scheduling=EnsembleScheduling(tuple(each for each, _ in steps), max_inflight_requests),
        )
        self.models = FakeModels()
        self.clock = FakeClock()
        self.statistics = ModelStatistics()
        configs = [each for _, each in steps]
        self.scheduler = EnsembleScheduler(
            config, 3, self.models.infer, self.statistics, self.clock, step_configs=configs
        )

    async def ask(self, rows: int = 1, **fields) -> asyncio.Task:
        fields.setdefault("inputs", tensors(rows, PICTURE=1.0, TITLE=2.0))
        caller = asyncio.ensure_future(self.scheduler.infer(InferenceRequest("e", batch_size=rows, **fields)))
        await settle()
        return caller


def tensors(rows: int, **values: float) -> dict[str, Tensor]:
    """Inputs of so many equal rows."""
    return {name: Tensor(name, "FP32", np.full((rows, 1), value, np.float32)) for name, value in values.items()}


async def test_independent_steps_run_side_by_side_and_others_when_their_tensors_exist():
    """Picture and title are looked at together; what fuses them starts with the later of the two."""
    stage = Stage(FUSES, LOOKS, READS)
    caller = await stage.ask()
    assert sorted(stage.models.waiting) == ["look", "read"]
    await stage.models.answer("read", HEARD=5)
    assert stage.models.waiting == ["look"]
    await stage.models.answer("look", SEEN=4)
    assert stage.models.waiting == ["fuse"]
    given = stage.models.request("fuse").inputs
    assert (given["A"].data.item(), given["B"].data.item()) == (4, 5)
    await stage.models.answer("fuse", OUT=9)
    response = await caller
    assert (response.model_name, response.model_version) == ("e", 3)
    assert [(each.name, each.data.item()) for each in response.outputs] == [("CATEGORY", 9)]


@pytest.mark.parametrize("first", ["look", "read"])
async def test_the_order_in_which_branches_end_does_not_matter(first):
    """Whichever branch ends last carries the request on."""
    stage = Stage(LOOKS, READS, FUSES)
    caller = await stage.ask()
    second = {"look": "read", "read": "look"}[first]
    for name in (first, second):
        await stage.models.answer(name, SEEN=1, HEARD=1)
    await stage.models.answer("fuse", OUT=9)
    assert (await caller).output("CATEGORY").data.item() == 9


async def test_tensors_pass_by_reference():
    """A step is given the very array that came, or that another step made."""
    stage = Stage(LOOKS, READS, FUSES)
    inputs = tensors(1, PICTURE=1, TITLE=2)
    await stage.ask(inputs=inputs)
    assert stage.models.request("look").inputs["PICTURE"].data is inputs["PICTURE"].data
    seen = np.ones((1, 1), np.float32)
    await stage.models.answer("look", SEEN=Tensor("SEEN", "FP32", seen))
    await stage.models.answer("read", HEARD=2)
    assert stage.models.request("fuse").inputs["A"].data is seen


async def test_steps_carry_what_the_caller_asked_for():
    """Id, priority, timeout, deadline, parameters and version go to every step."""
    stage = Stage(LOOKS, step(READ, version=2, TITLE="TITLE", HEARD="heard"), FUSES)
    told = {"id": "7", "priority": 2, "timeout_us": 30, "deadline_ns": 40, "parameters": {"threshold": 0.5}}
    await stage.ask(rows=3, **told)
    for name, version in (("look", -1), ("read", 2)):
        request = stage.models.request(name)
        assert {field: getattr(request, field) for field in told} == told
        assert (request.model_version, request.batch_size) == (version, 3)


async def test_steps_that_nobody_asked_for_do_not_run():
    """With one output requested, only what it depends on is executed, and only the needed outputs are asked for."""
    both = model("both", "PICTURE", "SEEN EXTRA")
    stage = Stage(
        step(both, PICTURE="PICTURE", SEEN="SEEN", EXTRA="extra"),
        step(READ, TITLE="extra", HEARD="HEARD"),
        outputs="SEEN HEARD",
    )
    caller = await stage.ask(requested_outputs=("SEEN",))
    assert stage.models.request("both").requested_outputs == ("SEEN",)
    await stage.models.answer("both", SEEN=1, EXTRA=2)
    assert [each.name for each in (await caller).outputs] == ["SEEN"]
    assert len(stage.models.asked) == 1
    await stage.ask()
    assert stage.models.request("both").requested_outputs == ("SEEN", "EXTRA")


async def test_outputs_come_in_the_order_of_the_request():
    """As they were asked for, else as the configuration lists them."""
    both = model("both", "PICTURE", "X Y")
    stage = Stage(step(both, PICTURE="PICTURE", X="X", Y="Y"), outputs="X Y")
    for requested, expected in (((), ["X", "Y"]), (("Y", "X"), ["Y", "X"])):
        caller = await stage.ask(requested_outputs=requested)
        await stage.models.answer("both", X=1, Y=2)
        assert [each.name for each in (await caller).outputs] == expected


async def test_an_absent_input_is_passed_on_as_absent():
    """A step runs without the inputs that did not come, also when none came; the other inputs tell the number of rows."""
    stage = Stage(LOOKS, READS, FUSES)
    await stage.ask(rows=2, inputs=tensors(2, TITLE=1))
    assert dict(stage.models.request("look").inputs) == {}
    assert stage.models.request("look").batch_size == 2
    await stage.models.answer("look", SEEN=1)
    await stage.models.answer("read", HEARD=1)
    assert stage.models.request("fuse").batch_size == 2


async def test_an_output_that_a_step_leaves_out_is_absent():
    """Steps behind it get the inputs there are; an output of the ensemble is left out of the response."""
    stage = Stage(LOOKS, READS, FUSES)
    caller = await stage.ask()
    await stage.models.answer("look", SEEN=None)
    await stage.models.answer("read", HEARD=1)
    assert set(stage.models.request("fuse").inputs) == {"B"}
    await stage.models.answer("fuse", OUT=None)
    assert (await caller).outputs == ()


async def test_one_tensor_may_go_to_several_inputs():
    """A step starts once, when all its inputs are there, though two of them are the same tensor."""
    stage = Stage(LOOKS, step(FUSE, A="seen", B="seen", OUT="CATEGORY"))
    caller = await stage.ask()
    await stage.models.answer("look", SEEN=3)
    assert stage.models.waiting == ["fuse"]
    await stage.models.answer("fuse", OUT=1)
    await caller


async def test_the_first_error_ends_the_ensemble_when_the_others_are_done():
    """It keeps its class, names the ensemble, and no further step is started."""
    stage = Stage(LOOKS, READS, FUSES)
    caller = await stage.ask()
    await stage.models.fail("look", QueueFullError("[request id: 7] Exceeds maximum queue size"))
    assert not caller.done()
    await stage.models.answer("read", HEARD=1)
    with pytest.raises(QueueFullError, match=r"^in ensemble 'e', \[request id: 7\] Exceeds maximum queue size$"):
        await caller
    assert len(stage.models.asked) == 2
    assert stage.statistics.snapshot().failures[FailureReason.OTHER].count == 1


async def test_of_two_errors_the_first_is_told():
    """Whichever step fails first decides what the caller reads."""
    stage = Stage(LOOKS, READS, FUSES)
    caller = await stage.ask()
    await stage.models.fail("read", InvalidArgumentError("first"))
    await stage.models.fail("look", InvalidArgumentError("second"))
    with pytest.raises(InvalidArgumentError, match="first"):
        await caller


async def test_an_unexpected_error_tells_nothing_of_our_insides(caplog):
    """The caller reads which step failed, the log has the trace."""
    stage = Stage(LOOKS, READS, FUSES)
    caller = await stage.ask()
    await stage.models.answer("read", HEARD=1)
    with caplog.at_level(logging.ERROR):
        await stage.models.fail("look", ZeroDivisionError("/secret"))
    with pytest.raises(InternalError, match=r"^in ensemble 'e', step 0 failed to execute the request$"):
        await caller
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize("finished", [(), ("look",), ("look", "read")])
async def test_a_caller_that_leaves_takes_the_steps_under_way_with_it(finished):
    """Every step that has not been answered is cancelled, and none is started afterwards."""
    stage = Stage(LOOKS, READS, FUSES)
    caller = await stage.ask()
    for name in finished:
        await stage.models.answer(name, SEEN=1, HEARD=1)
    under_way = sorted(stage.models.waiting)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert sorted(stage.models.cancelled) == under_way
    assert stage.models.waiting == []
    assert stage.statistics.snapshot().failures[FailureReason.CANCELED].count == 1
    await stage.scheduler.stop()


async def test_a_graph_that_does_not_connect_is_a_deadlock():
    """A step whose tensor nobody writes can never run, and its caller is told instead of waiting for ever."""
    stage = Stage(step(FUSE, A="nobody", B="TITLE", OUT="CATEGORY"))
    text = (
        r"^in ensemble 'e', \[request id: 7\] unexpected deadlock, at least one output is not set "
        r"while no more ensemble steps can be made$"
    )
    with pytest.raises(InvalidArgumentError, match=text):
        await (await stage.ask(id="7"))


async def test_a_batch_of_one_loses_its_batch_dimension_for_a_model_without():
    """And gets it back behind it; a larger batch goes as it is, for the model's own validation to refuse."""
    flat = model("flat", "PICTURE", "SEEN", max_batch_size=0, dims=(3,))
    stage = Stage(step(flat, PICTURE="PICTURE", SEEN="CATEGORY"), dims=(3,))
    caller = await stage.ask(inputs={"PICTURE": Tensor("PICTURE", "FP32", np.zeros((1, 3), np.float32))})
    assert stage.models.request("flat").inputs["PICTURE"].shape == (3,)
    assert stage.models.request("flat").batch_size == 1
    await stage.models.answer("flat", SEEN=Tensor("SEEN", "FP32", np.zeros(3, np.float32)))
    assert (await caller).output("CATEGORY").shape == (1, 3)
    await stage.ask(rows=2, inputs={"PICTURE": Tensor("PICTURE", "FP32", np.zeros((2, 3), np.float32))})
    assert stage.models.request("flat").inputs["PICTURE"].shape == (2, 3)


async def test_an_ensemble_without_batches_may_use_a_model_with():
    """Its tensors are batches of one there, unless they have a batch dimension of their own among their dims."""
    rows = model("rows", "PICTURE", "SEEN", dims=(-1,))
    stage = Stage(step(rows, PICTURE="PICTURE", SEEN="CATEGORY"), max_batch_size=0, dims=(-1,))
    caller = await stage.ask(inputs={"PICTURE": Tensor("PICTURE", "FP32", np.zeros(3, np.float32))})
    assert stage.models.request("rows").inputs["PICTURE"].shape == (1, 3)
    await stage.models.answer("rows", SEEN=Tensor("SEEN", "FP32", np.zeros((1, 5), np.float32)))
    assert (await caller).output("CATEGORY").shape == (5,)
    await stage.ask(inputs={"PICTURE": Tensor("PICTURE", "FP32", np.zeros((2, 3), np.float32))})
    assert stage.models.request("rows").inputs["PICTURE"].shape == (2, 3)
    assert stage.models.request("rows").batch_size == 2


async def test_a_step_may_have_a_bound_on_its_requests():
    """`max_inflight_requests` holds for each step, over all requests; a caller that leaves gives its place back."""
    stage = Stage(step(LOOK, PICTURE="PICTURE", SEEN="CATEGORY"), max_inflight_requests=2)
    callers = [await stage.ask() for _ in range(4)]
    assert len(stage.models.waiting) == 2
    callers[0].cancel()
    await settle()
    assert len(stage.models.asked) == 3
    for _ in range(3):
        await stage.models.answer("look", SEEN=1)
    assert [caller.done() for caller in callers] == [True] * 4


async def test_b26_stopping_answers_what_was_accepted_and_refuses_the_rest():
    """Stop returns when the last request is answered; new ones are told that the server stops. Twice is once."""
    stage = Stage(step(LOOK, PICTURE="PICTURE", SEEN="CATEGORY"))
    await stage.scheduler.stop()
    stage = Stage(step(LOOK, PICTURE="PICTURE", SEEN="CATEGORY"))
    caller = await stage.ask()
    stopping = asyncio.ensure_future(stage.scheduler.stop())
    await settle()
    with pytest.raises(UnavailableError, match="Server is stopping, scheduler for model has stopped accepting"):
        await (await stage.ask())
    assert not stopping.done()
    await stage.models.answer("look", SEEN=1)
    await stopping
    await stage.scheduler.stop()
    assert (await caller).output("CATEGORY") is not None


async def test_the_books_are_sums_over_the_steps():
    """An ensemble's compute times are those of its steps together; each request is one execution of its rows."""
    stage = Stage(LOOKS, READS, FUSES)
    caller = await stage.ask(rows=2)
    stage.clock.advance(ms=5)
    for name in ("look", "read", "fuse"):
        await stage.models.answer(name, SEEN=1, HEARD=1, OUT=1)
    total = ComputeTimes(3, 30, 300)
    assert (await caller).times == total
    figures = stage.statistics.snapshot()
    assert (figures.success.count, figures.success.ns) == (1, 5_000_000)
    assert (figures.inference_count, figures.execution_count) == (2, 1)
    assert (figures.queue.count, figures.queue.ns) == (1, 0)
    assert figures.compute_infer.ns == 30
    assert figures.batches[2].compute_output.ns == 300
    assert stage.scheduler.pending_request_count == 0


def test_only_an_ensemble_has_this_scheduler():
    """A model without steps, or steps without their models, are the caller's mistake."""
    with pytest.raises(ValueError, match="no ensemble"):
        EnsembleScheduler(LOOK, 1, FakeModels().infer, ModelStatistics(), FakeClock(), step_configs=[])
