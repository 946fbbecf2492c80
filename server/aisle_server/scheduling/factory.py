"""Which scheduler a model has."""

from __future__ import annotations

import logging

from aisle_server.instance_group import InstanceGroup
from aisle_server.model_config.schema import DynamicBatching, ModelConfig
from aisle_server.scheduling.batch import signature_for
from aisle_server.scheduling.clock import Clock
from aisle_server.scheduling.decoupled import DecoupledBatcher
from aisle_server.scheduling.direct import DirectScheduler
from aisle_server.scheduling.dynamic_batcher import DynamicBatcher
from aisle_server.scheduling.scheduler import Scheduler
from aisle_server.statistics import ModelStatistics

logger = logging.getLogger(__name__)


def create_scheduler(config: ModelConfig, group: InstanceGroup, statistics: ModelStatistics, clock: Clock) -> Scheduler:
    """Create the scheduler of a model with instances. An ensemble has none; its scheduler is `EnsembleScheduler`.

    Args:
        config: Complete and validated.
        group: The model's instances; nobody else gives them work.
        statistics: Where the scheduler books what becomes of requests.
        clock: The time.

    Returns:
        A dynamic batcher when the configuration has `dynamic_batching`, else a direct scheduler; for a model that may answer any
        number of times one that can stream.
    """
    batching = config.dynamic_batching
    if config.decoupled:
        return DecoupledBatcher(config, group, statistics, clock)
    if batching is None:
        logger.info("model '%s': no dynamic batching, each request is executed alone", config.name)
        return DirectScheduler(group, statistics, clock)
    logger.info("model '%s': %s", config.name, _describe(batching, config.max_batch_size))
    return DynamicBatcher(batching, config.max_batch_size, signature_for(config), group, statistics, clock)


def _describe(batching: DynamicBatching, max_batch_size: int) -> str:
    """Say what a dynamic batcher will do: its fields are more often guessed at than understood."""
    sizes = [size for size in batching.preferred_batch_size if size != max_batch_size]
    text = f"requests are executed together, up to {max(1, max_batch_size)} rows"
    if sizes:
        text += f", at {' or '.join(map(str, sizes))} rows when they come to that"
    if batching.max_queue_delay_microseconds:
        return f"{text}; while an instance is free they wait {batching.max_queue_delay_microseconds} us for company"
    return f"{text}; none waits for company while an instance is free"
