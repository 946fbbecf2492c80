"""Which scheduler a model has."""

from __future__ import annotations

import pytest

from aisle_server.model_config.schema import DynamicBatching, ModelConfig
from aisle_server.scheduling.direct import DirectScheduler
from aisle_server.scheduling.dynamic_batcher import DynamicBatcher
from aisle_server.scheduling.factory import create_scheduler
from aisle_server.statistics import ModelStatistics
from tests.support.fake_clock import FakeClock
from tests.support.fake_instance_group import FakeInstanceGroup


@pytest.mark.parametrize(("batching", "kind"), [(None, DirectScheduler), (DynamicBatching((8,)), DynamicBatcher)])
async def test_the_configuration_chooses(batching, kind):
    """`dynamic_batching` in the configuration makes a dynamic batcher; without it each request is executed alone."""
    clock = FakeClock()
    config = ModelConfig("m", max_batch_size=8, dynamic_batching=batching)
    scheduler = create_scheduler(config, FakeInstanceGroup(clock), ModelStatistics(), clock)
    assert type(scheduler) is kind
