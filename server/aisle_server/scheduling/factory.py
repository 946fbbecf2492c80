"""Which scheduler a model has."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from aisle_server.inference import Tensor
from aisle_server.instance_group import InstanceGroup
from aisle_server.model_config.schema import ModelConfig
from aisle_server.scheduling.batch import signature_for
from aisle_server.scheduling.clock import Clock
from aisle_server.scheduling.decoupled import DecoupledBatcher
from aisle_server.scheduling.direct import DirectScheduler
from aisle_server.scheduling.dynamic_batcher import DynamicBatcher
from aisle_server.scheduling.scheduler import Scheduler
from aisle_server.scheduling.sequence_batcher import SequenceBatcher
from aisle_server.statistics import ModelStatistics


def create_scheduler(
    config: ModelConfig,
    group: InstanceGroup,
    statistics: ModelStatistics,
    clock: Clock,
    initial_states: Mapping[str, Tensor] = MappingProxyType({}),
) -> Scheduler:
    """Create the scheduler of a model with instances. An ensemble has none; its scheduler is `EnsembleScheduler`.

    Args:
        config: Complete and validated.
        group: The model's instances; nobody else gives them work.
        statistics: Where the scheduler books what becomes of requests.
        clock: The time.
        initial_states: What the states of a model with sequences start with, by input.

    Returns:
        A dynamic batcher when the configuration has `dynamic_batching`, a sequence batcher when it has `sequence_batching`, else a
        direct scheduler; for a model that may answer any number of times one that can stream.
    """
    batching = config.dynamic_batching
    if config.decoupled:
        return DecoupledBatcher(config, group, statistics, clock)
    if config.sequence_batching is not None:
        return SequenceBatcher(config, group, statistics, clock, initial_states)
    if batching is None:
        return DirectScheduler(group, statistics, clock)
    return DynamicBatcher(batching, config.max_batch_size, signature_for(config), group, statistics, clock)
