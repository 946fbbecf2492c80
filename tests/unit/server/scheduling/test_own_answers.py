"""Many callers at once, on real threads and the machine's clock: everyone gets his own rows, whoever leaves."""

from __future__ import annotations

import asyncio
import random

import numpy as np
import pytest

from aisle_server.backends.batch_execution import BatchExecution
from aisle_server.inference import InferenceRequest, Tensor
from aisle_server.instance_group import InstanceGroup
from aisle_server.model_config import schema
from aisle_server.model_config.schema import DynamicBatching, ModelConfig, ModelInput, ModelOutput, QueuePolicy
from aisle_server.scheduling.clock import SystemClock
from aisle_server.scheduling.factory import create_scheduler
from aisle_server.statistics import ModelStatistics
from tests.support.gated_model import GatedModel

CALLERS = 1500
POLICY = QueuePolicy(default_timeout_microseconds=60_000_000, max_queue_size=100_000)


@pytest.mark.parametrize(
    "batching",
    [
        None,
        DynamicBatching(),
        DynamicBatching(preserve_ordering=True),
        DynamicBatching(preferred_batch_size=(4, 16), max_queue_delay_microseconds=2000),
        DynamicBatching(default_queue_policy=POLICY),
    ],
    ids=["direct", "default", "ordered", "preferred", "policy"],
)
async def test_every_caller_gets_its_own_rows(batching):
    """Of 1500 concurrent callers every fifth leaves; each of the others has its own rows, doubled, and the books add up."""
    config = ModelConfig(
        "m",
        max_batch_size=16,
        inputs=(ModelInput("IN", "FP32", (2,)),),
        outputs=(ModelOutput("OUT", "FP32", (2,)),),
        instance_groups=(schema.InstanceGroup("m", count=2),),
        dynamic_batching=batching,
    )
    double = BatchExecution(config, 1, lambda inputs, names: {"OUT": inputs["IN"] * 2})
    group = await InstanceGroup.start(GatedModel(config, on_execute=double.execute), config)
    statistics = ModelStatistics()
    scheduler = create_scheduler(config, group, statistics, SystemClock())
    chance = random.Random(0)

    async def call(number: int, rows: int) -> None:
        data = np.full((rows, 2), number, np.float32)
        request = InferenceRequest("m", {"IN": Tensor("IN", "FP32", data)}, id=str(number), batch_size=rows)
        response = await scheduler.infer(request)
        assert response.id == str(number)
        np.testing.assert_array_equal(response.output("OUT").data, data * 2)

    callers = [asyncio.ensure_future(call(number, chance.randint(1, 4))) for number in range(CALLERS)]
    await asyncio.sleep(0)
    left = callers[::5]
    for caller in left:
        caller.cancel()
    outcomes = await asyncio.gather(*callers, return_exceptions=True)
    await scheduler.stop()
    await group.stop()
    figures = statistics.snapshot()
    assert [number for number, outcome in enumerate(outcomes) if outcome is not None] == list(range(0, CALLERS, 5))
    assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes[::5])
    assert figures.success.count + figures.fail.count == CALLERS
    assert figures.success.count >= CALLERS - len(left)
    assert sum(batch.compute_infer.count for batch in figures.batches.values()) == figures.execution_count
