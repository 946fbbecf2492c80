"""Which scheduler a model has, and what the log says about it."""

from __future__ import annotations

import logging

import pytest

from aisle_server.model_config.schema import DynamicBatching, ModelConfig
from aisle_server.scheduling.direct import DirectScheduler
from aisle_server.scheduling.dynamic_batcher import DynamicBatcher
from aisle_server.scheduling.factory import create_scheduler
from aisle_server.statistics import ModelStatistics
from tests.support.fake_clock import FakeClock
from tests.support.fake_instance_group import FakeInstanceGroup


@pytest.mark.parametrize(
    ("batching", "kind", "said"),
    [
        (None, DirectScheduler, "no dynamic batching, each request is executed alone"),
        (
            DynamicBatching((8,)),
            DynamicBatcher,
            "requests are executed together, up to 8 rows; none waits for company while an instance is free",
        ),
        (
            DynamicBatching((2, 4, 8), 500),
            DynamicBatcher,
            "requests are executed together, up to 8 rows, at 2 or 4 rows when they come to that; "
            "while an instance is free they wait 500 us for company",
        ),
    ],
)
async def test_the_configuration_chooses_and_the_log_explains(caplog, batching, kind, said):
    """`dynamic_batching` in the configuration makes a dynamic batcher, and one line of the log says what it will do."""
    clock = FakeClock()
    config = ModelConfig("m", max_batch_size=8, dynamic_batching=batching)
    with caplog.at_level(logging.INFO):
        scheduler = create_scheduler(config, FakeInstanceGroup(clock), ModelStatistics(), clock)
    assert type(scheduler) is kind
    assert caplog.messages == [f"model 'm': {said}"]
