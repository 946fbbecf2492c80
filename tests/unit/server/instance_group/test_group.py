"""Instances on their threads: created, fed, failed and finalized."""

from __future__ import annotations

import asyncio
import logging
import threading
import time

import pytest

from aisle_server.backends.backend import Execution
from aisle_server.errors import InferenceServerError, InternalError, InvalidArgumentError
from aisle_server.instance_group import InstanceGroup, WarmupSample
from aisle_server.model_config import schema
from tests.support.gated_model import TIMEOUT_S, GatedModel, echo, gated_config
from tests.support.inference_requests import inference_request


def request(number: int):
    """A request with an id."""
    return inference_request(A=[[float(number)]]).changed(id=str(number))


def two_instances() -> GatedModel:
    """A model with two instances whose executions wait."""
    return GatedModel(gated_config(schema.InstanceGroup("m", count=2)), is_open=False)


async def start(model: GatedModel, *samples: WarmupSample) -> InstanceGroup:
    """Start the instances of a model."""
    return await InstanceGroup.start(model, model.config, warmup_samples=samples)


async def executing(model: GatedModel, count: int) -> None:
    """Wait until so many executions more have begun."""
    for _ in range(count):
        assert await asyncio.to_thread(model.is_executing.acquire, timeout=TIMEOUT_S)


async def test_an_instance_lives_on_one_thread():
    """It is created, executed and finalized by a thread that is not the event loop's, nor another instance's."""
    model = two_instances()
    group = await start(model)
    work = [asyncio.ensure_future(group.execute([request(number)])) for number in range(2)]
    await executing(model, 2)
    model.gate.set()
    await asyncio.gather(*work)
    await group.stop()
    threads = [model.threads(name) for name in ("m_0", "m_1")]
    assert [len(each) for each in threads] == [1, 1]
    assert len({threading.get_ident(), *threads[0], *threads[1]}) == 3
    assert sorted(model.names("execute")) == ["m_0", "m_1"]
    assert sorted(model.names("finalize")) == ["m_0", "m_1"]


async def test_the_group_knows_who_is_idle():
    """An instance is busy from the moment it is given a batch until its results are back on the event loop."""
    model = two_instances()
    group = await start(model)
    assert (group.instance_count, group.idle_count) == (2, 2)
    work = [asyncio.ensure_future(group.execute([request(number)])) for number in range(2)]
    await executing(model, 2)
    assert group.idle_count == 0
    model.gate.set()
    await asyncio.gather(*work)
    assert group.idle_count == 2
    await group.stop()


async def test_an_instance_that_is_down_leaves_work_to_the_others():
    """It takes none while another can execute, not even what comes when it has been waiting, and takes its share when it is up again."""
    model = GatedModel(gated_config(schema.InstanceGroup("m", count=2)))
    group = await start(model)
    model.down.add("m_0")
    assert not group.is_healthy
    await asyncio.gather(*(group.execute([request(number)]) for number in range(50)))
    assert set(model.names("execute")) == {"m_1"}
    model.down.clear()
    model.gate.clear()
    work = [asyncio.ensure_future(group.execute([request(number)])) for number in range(2)]
    await executing(model, 52)
    assert set(model.names("execute")) == {"m_0", "m_1"}
    model.gate.set()
    await asyncio.gather(*work)
    await group.stop()


async def test_the_last_instance_takes_work_though_it_is_down():
    """Where none can execute, the backend says what is to become of the batch."""
    model = GatedModel(gated_config(schema.InstanceGroup("m", count=2)))
    group = await start(model)
    model.down.update(("m_0", "m_1"))
    await asyncio.gather(*(group.execute([request(number)]) for number in range(4)))
    assert len(model.names("execute")) == 4
    await group.stop()


async def test_a_group_stops_while_an_instance_is_down():
    """It is finalized as the others are, and does not wait until it is up."""
    model = two_instances()
    group = await start(model)
    model.down.add("m_0")
    work = [asyncio.ensure_future(group.execute([request(number)])) for number in range(3)]
    await executing(model, 1)
    stopping = asyncio.ensure_future(group.stop())
    model.gate.set()
    await asyncio.gather(stopping, *work)
    assert sorted(model.names("finalize")) == ["m_0", "m_1"]


async def test_results_and_times_come_back():
    """Each request has its own result, and the times follow each other."""
    model = GatedModel()
    group = await start(model)
    before_ns = time.monotonic_ns()
    execution = await group.execute([request(1), request(2)])
    assert [result.id for result in execution.results] == ["1", "2"]
    assert before_ns <= execution.exec_start_ns <= execution.exec_end_ns <= time.monotonic_ns()
    times = execution.times
    assert min(times.input_ns, times.infer_ns, times.output_ns) >= 0
    assert times.input_ns + times.infer_ns + times.output_ns == execution.exec_end_ns - execution.exec_start_ns
    await group.stop()


async def test_a_refusal_of_the_backend_reaches_the_callers():
    """An error with a text for callers is the result of every request of the batch, and no execution is booked for it."""

    def refuse(requests):
        raise InvalidArgumentError("the picture has no pixels")

    group = await start(GatedModel(on_execute=refuse))
    execution = await group.execute([request(1), request(2)])
    assert [(type(each), each.message) for each in execution.results] == [
        (InvalidArgumentError, "the picture has no pixels")
    ] * 2
    assert execution.times is None
    await group.stop()


@pytest.mark.parametrize("error", [ZeroDivisionError("/secret/path"), SystemExit(1)])
async def test_a_crash_of_the_backend_tells_nothing_of_our_insides(caplog, error):
    """Callers read a plain text, the log has the trace, and the instance goes on; also after a model that calls sys.exit."""
    crashes = iter([True, False])

    def crash(requests):
        if next(crashes):
            raise error
        return echo(requests)

    group = await start(GatedModel(on_execute=crash))
    with caplog.at_level(logging.ERROR):
        execution = await group.execute([request(1)])
    (told,) = execution.results
    assert isinstance(told, InternalError)
    assert told.message == "model 'm' failed to execute the request"
    assert type(error).__name__ in caplog.text
    assert (await group.execute([request(2)])).results[0].id == "2"
    await group.stop()


@pytest.mark.parametrize("count", [1, 3])
async def test_a_backend_that_miscounts_is_told_to_its_callers(count):
    """Results that cannot be told apart go to nobody."""

    def miscount(requests):
        execution = echo([request(number) for number in range(count)])
        return Execution(execution.results, execution.compute_start_ns, execution.compute_end_ns)

    group = await start(GatedModel(on_execute=miscount))
    execution = await group.execute([request(1), request(2)])
    assert [each.message for each in execution.results] == [f"model 'm' gave {count} responses, expected 2"] * 2
    assert all(isinstance(each, InternalError) for each in execution.results)
    await group.stop()


async def test_stopping_finishes_what_was_submitted():
    """Batches that were submitted before stop are executed; the instances are finalized after them. Twice is once."""
    model = GatedModel(is_open=False)
    group = await start(model)
    work = [asyncio.ensure_future(group.execute([request(number)])) for number in range(3)]
    await executing(model, 1)
    stopping = asyncio.ensure_future(group.stop())
    model.gate.set()
    await stopping
    await group.stop()
    assert [(await each).results[0].id for each in work] == ["0", "1", "2"]
    assert [what for what, _, _ in model.events] == ["create", "execute", "execute", "execute", "finalize"]
    with pytest.raises(RuntimeError, match="has stopped"):
        await group.execute([request(9)])


async def test_a_caller_that_gives_up_leaves_the_instance_alone():
    """A cancelled wait lets the batch run to its end, and the next batch runs after it."""
    model = GatedModel(is_open=False)
    group = await start(model)
    work = asyncio.ensure_future(group.execute([request(1)]))
    await executing(model, 1)
    work.cancel()
    model.gate.set()
    assert (await group.execute([request(2)])).results[0].id == "2"
    assert group.idle_count == 1
    await group.stop()


async def test_an_instance_that_cannot_be_created_takes_the_others_down():
    """The error's text reaches the loader, and instances that were created before are finalized."""

    def fail(name: str) -> None:
        if name == "m_1":
            raise InvalidArgumentError("no such operator: FancyConv")

    model = GatedModel(gated_config(schema.InstanceGroup("m", count=3)), on_create=fail)
    with pytest.raises(InvalidArgumentError, match=r"^no such operator: FancyConv$"):
        await start(model)
    assert (model.names("create"), model.names("finalize")) == (["m_0", "m_1"], ["m_0"])


async def test_an_instance_that_crashes_when_created_says_which(caplog):
    """An unexpected error while an instance is created is plain to the caller, and whole in the log."""

    def crash(name: str) -> None:
        raise OSError("/secret/libfancy.so")

    with (
        caplog.at_level(logging.ERROR),
        pytest.raises(InternalError, match=r"^failed to create instance 'm_0' of model 'm'$"),
    ):
        await start(GatedModel(on_create=crash))
    assert "libfancy" in caplog.text


async def test_loading_that_is_cancelled_leaves_nothing_behind():
    """When nobody waits for the model any more, its first instance is finalized as soon as it has been created."""
    creating, proceed = threading.Event(), threading.Event()

    def slow(name: str) -> None:
        creating.set()
        assert proceed.wait(TIMEOUT_S)

    model = GatedModel(gated_config(schema.InstanceGroup("m", count=2)), on_create=slow)
    loading = asyncio.ensure_future(start(model))
    await asyncio.to_thread(creating.wait, TIMEOUT_S)
    loading.cancel()
    proceed.set()
    with pytest.raises(asyncio.CancelledError):
        await loading
    assert (model.names("create"), model.names("finalize")) == (["m_0"], ["m_0"])


async def test_every_instance_is_warm_before_the_group_is():
    """Each sample is executed by each instance, as often as it says, on the instance's own thread."""
    model = GatedModel(gated_config(schema.InstanceGroup("m", count=2)))
    sizes = []
    model.on_execute = lambda requests: (sizes.append(len(requests)), echo(requests))[1]
    group = await start(model, WarmupSample("one", (request(1),), 1), WarmupSample("three", (request(1),) * 3, 2))
    assert sizes == [1, 3, 3] * 2
    assert [len(model.threads(name)) for name in ("m_0", "m_1")] == [1, 1]
    await group.stop()


@pytest.mark.parametrize("error", [InvalidArgumentError("token 99 is out of range"), ValueError("numpy's own words")])
async def test_a_warm_up_that_fails_fails_the_load(error):
    """Its text names the sample; an unexpected error stays in the log."""

    def fail(requests):
        raise error

    model = GatedModel(on_execute=fail)
    is_told = isinstance(error, InferenceServerError)
    reason = "token 99 is out of range" if is_told else "model 'm' failed to execute the request"
    with pytest.raises(InferenceServerError, match=rf"^failed to run warmup sample 'zeros': {reason}; $") as caught:
        await start(model, WarmupSample("zeros", (request(1),), 1))
    assert type(caught.value) is (InvalidArgumentError if is_told else InternalError)
    assert model.names("finalize") == ["m_0"]


def counted(count: int) -> schema.ModelConfig:
    """A configuration with so many instances."""
    return gated_config(schema.InstanceGroup("m", count=count))


async def test_instances_come_while_others_execute():
    """New ones take what waits; the ones that were there are left alone."""
    model = GatedModel(counted(1), is_open=False)
    group = await start(model)
    work = [asyncio.ensure_future(group.execute([request(number)])) for number in range(3)]
    await executing(model, 1)
    await group.resize(counted(3))
    await executing(model, 2)
    assert (group.instance_count, group.idle_count) == (3, 0)
    model.gate.set()
    await asyncio.gather(*work)
    assert model.names("create") == ["m_0", "m_1", "m_2"]
    await group.stop()
    assert sorted(model.names("finalize")) == ["m_0", "m_1", "m_2"]


async def test_instances_leave_when_they_are_idle():
    """What was submitted is executed, the rest stay, and each is finalized once."""
    model = GatedModel(counted(3), is_open=False)
    group = await start(model)
    work = [asyncio.ensure_future(group.execute([request(number)])) for number in range(5)]
    await executing(model, 3)
    await group.resize(counted(1))
    assert (group.instance_count, group.idle_count) == (1, 0)
    model.gate.set()
    await asyncio.gather(*work)
    async with asyncio.timeout(TIMEOUT_S):
        while len(model.names("finalize")) < 2:
            await asyncio.sleep(0.001)
    assert (await group.execute([request(9)])).results[0].id == "9"
    await group.resize(counted(2))
    await group.stop()
    assert len(model.names("create")) == len(model.names("finalize")) == 4


async def test_instances_that_cannot_come_leave_the_others_as_they_were():
    """A resize that fails is as if it had never been."""

    def refuse_third(name: str) -> None:
        if name == "m_2":
            raise InvalidArgumentError("out of memory")

    model = GatedModel(counted(1), on_create=refuse_third)
    group = await start(model)
    with pytest.raises(InvalidArgumentError, match="out of memory"):
        await group.resize(counted(4))
    assert group.instance_count == 1
    executions = await asyncio.gather(*(group.execute([request(number)]) for number in range(4)))
    assert [each.results[0].id for each in executions] == ["0", "1", "2", "3"]
    await group.stop()
    assert len(model.names("finalize")) == 2


async def test_a_group_may_grow_and_shrink_under_load():
    """However often its size changes, every batch is executed, and every instance that came has left in the end."""
    model = GatedModel(counted(2))
    group = await start(model)
    for count in (1, 4, 2, 3, 1, 2):
        work = [asyncio.ensure_future(group.execute([request(number)])) for number in range(6)]
        await group.resize(counted(count))
        executions = await asyncio.gather(*work)
        assert [each.results[0].id for each in executions] == [str(number) for number in range(6)]
        assert group.instance_count == count
    await group.stop()
    assert len(model.names("create")) == len(model.names("finalize"))
