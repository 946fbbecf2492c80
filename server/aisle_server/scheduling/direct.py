"""Direct scheduling: each request is executed alone, first come first served."""

from __future__ import annotations

from aisle_server.instance_group import InstanceGroup
from aisle_server.model_config.schema import DynamicBatching
from aisle_server.scheduling.clock import Clock
from aisle_server.scheduling.dynamic_batcher import DynamicBatcher
from aisle_server.statistics import ModelStatistics


class DirectScheduler(DynamicBatcher):
    """Answers the requests of one model version one by one, as many at a time as there are instances.

    A dynamic batcher whose batches are full with one request: no delay, no levels, no bound. So cancellation, deadlines, shutdown
    and the books have one implementation.

    Source: Triton, which has one class for both, too.
    """

    def __init__(self, group: InstanceGroup, statistics: ModelStatistics, clock: Clock) -> None:
        """Make a scheduler that waits for requests."""
        super().__init__(DynamicBatching(), 1, None, group, statistics, clock)
