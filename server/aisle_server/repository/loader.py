"""Loads one version of a model: open its files, start its instances, give it a scheduler. What blocks runs on a thread."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from aisle_server.backends.backend import BackendModel, BackendOptions, ModelCaller
from aisle_server.backends.metric_families import Metrics
from aisle_server.inference import InferenceRequest, InferenceResponse
from aisle_server.instance_group import InstanceGroup, WarmupSample, intra_op_threads_for, load_warmup_samples
from aisle_server.model_config.autocomplete import with_defaults
from aisle_server.model_config.schema import InstanceKind, ModelConfig
from aisle_server.model_config.validation import validate_config, validate_tensors
from aisle_server.repository.description import ModelDescription
from aisle_server.repository.labels import read_labels
from aisle_server.repository.request_validation import RequestValidator
from aisle_server.repository.reshape import with_reshapes
from aisle_server.repository.served_model import ServedModel
from aisle_server.scheduling.cached import CachedScheduler
from aisle_server.scheduling.clock import Clock
from aisle_server.scheduling.ensemble import EnsembleScheduler
from aisle_server.scheduling.factory import create_scheduler
from aisle_server.scheduling.response_cache import ResponseCache
from aisle_server.scheduling.scheduler import Scheduler
from aisle_server.scheduling.sequence_states import load_initial_states
from aisle_server.statistics import ModelStatistics

Infer: TypeAlias = Callable[[InferenceRequest], Coroutine[Any, Any, InferenceResponse]]
OpenModel: TypeAlias = Callable[[ModelConfig, int, Path, BackendOptions], BackendModel]

_logger = logging.getLogger(__name__)


class Loader(Protocol):
    """Turns a described version into a served one. The lifecycle knows this much of it."""

    async def load(
        self, description: ModelDescription, version: int, infer: Infer, step_configs: Sequence[ModelConfig]
    ) -> ServedModel:
        """Load one version.

        Args:
            description: Of its model.
            version: One of `description.versions`.
            infer: For an ensemble, to run its steps.
            step_configs: For an ensemble, the configuration of each step's model; empty for other models.

        Raises:
            InferenceServerError: It cannot be loaded; the text becomes its `reason`. Nothing is left behind.
        """
        ...


class VersionLoader:
    """Loads versions with real backends."""

    def __init__(
        self,
        open_model: OpenModel,
        clock: Clock,
        *,
        cores: int,
        available_gpus: Sequence[int] = (),
        backend_settings: Mapping[str, Mapping[str, str]] | None = None,
        auto_complete_config: bool = True,
        model_caller: ModelCaller | None = None,
        metrics: Metrics | None = None,
        response_cache: ResponseCache | None = None,
        keeps_latencies: bool = False,
    ) -> None:
        """Prepare to load.

        Args:
            open_model: The backends' registry; blocks.
            clock: The schedulers' time.
            cores: Those that the process may compute on.
            available_gpus: Ids of the GPUs that the process may use.
            backend_settings: Backend -> what `--backend-config` says of it; what it says of "" is for all.
            auto_complete_config: Backends fill in what a configuration leaves out.
            model_caller: Executes models for models that ask for it.
            metrics: Takes what models count for themselves.
            response_cache: Keeps answers of the models that ask for it; None keeps none.
            keeps_latencies: The books of models keep the last minute, for quantiles.
        """
        self._open_model = open_model
        self._clock = clock
        self._cores = cores
        self._available_gpus = tuple(available_gpus)
        self._backend_settings = backend_settings or {}
        self._auto_complete_config = auto_complete_config
        self._model_caller = model_caller
        self._metrics = metrics
        self._response_cache = response_cache
        self._keeps_latencies = keeps_latencies

    async def load(
        self, description: ModelDescription, version: int, infer: Infer, step_configs: Sequence[ModelConfig]
    ) -> ServedModel:
        """Load one version; see `Loader.load`."""
        started = time.monotonic()
        config = description.config
        labels = await asyncio.to_thread(read_labels, config, description.directory.path)
        statistics = ModelStatistics(has_windows=self._keeps_latencies)
        if config.is_ensemble:
            ensemble = EnsembleScheduler(config, version, infer, statistics, self._clock, step_configs=step_configs)
            return ServedModel(
                config,
                version,
                self._with_cache(ensemble, config, version, statistics),
                statistics,
                labels=labels,
                load_duration_s=time.monotonic() - started,
            )
        model = await self._open(config, version, description.versions[version])
        try:
            config = self._completed(model.config)
            samples = await asyncio.to_thread(load_warmup_samples, config, description.directory.path)
            _check_warmup(config, samples)
            initial_states = await asyncio.to_thread(load_initial_states, config, description.directory.path)
            group = await InstanceGroup.start(
                with_reshapes(model, config), config, warmup_samples=samples, available_gpus=self._available_gpus
            )
        except BaseException:
            await asyncio.shield(asyncio.to_thread(model.close))
            raise

        scheduler = create_scheduler(config, group, statistics, self._clock, initial_states)

        async def release() -> None:
            await group.stop()
            await asyncio.to_thread(model.close)

        return ServedModel(
            config,
            version,
            self._with_cache(scheduler, config, version, statistics),
            statistics,
            labels=labels,
            load_duration_s=time.monotonic() - started,
            release=release,
            resize=group.resize,
            is_healthy=lambda: group.is_healthy,
        )

    def _with_cache(
        self, scheduler: Scheduler, config: ModelConfig, version: int, statistics: ModelStatistics
    ) -> Scheduler:
        if not config.response_cache:
            return scheduler
        if config.decoupled or config.sequence_batching is not None:
            why = "is decoupled" if config.decoupled else "keeps sequences"
            _logger.warning("model '%s' %s, so its responses are not cached", config.name, why)
            return scheduler
        if self._response_cache is None:
            _logger.warning("model '%s' asks for a response cache; expected --cache-config local,size=...", config.name)
            return scheduler
        return CachedScheduler(scheduler, self._response_cache, config, version, statistics, self._clock)

    async def _open(self, config: ModelConfig, version: int, directory: Path) -> BackendModel:
        options = BackendOptions(
            intra_op_threads=intra_op_threads_for(self._cores, _instances_on_cpu(config)),
            settings={**self._backend_settings.get("", {}), **self._backend_settings.get(config.backend, {})},
            auto_complete_config=self._auto_complete_config,
            model_caller=self._model_caller,
            metrics=self._metrics,
        )
        opening = asyncio.ensure_future(asyncio.to_thread(self._open_model, config, version, directory, options))
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            # The thread cannot be called back. What it opens after all must be closed all the same.
            opening.add_done_callback(_close_unwanted)
            raise

    def _completed(self, config: ModelConfig) -> ModelConfig:
        config = with_defaults(config)
        validate_config(config, available_gpus=self._available_gpus)
        validate_tensors(config)
        return config


def _check_warmup(config: ModelConfig, samples: Sequence[WarmupSample]) -> None:
    if config.sequence_batching is not None:
        return  # such a sample gives what the server gives later, which callers may not
    validator = RequestValidator(config)
    for sample in samples:
        for request in sample.requests:
            validator.validate(request)


def _instances_on_cpu(config: ModelConfig) -> int:
    return sum(group.count for group in config.instance_groups if group.kind is not InstanceKind.KIND_GPU)


def _close_unwanted(opening: asyncio.Future[BackendModel]) -> None:
    if opening.cancelled() or opening.exception() is not None:
        return
    try:
        opening.result().close()
    except Exception:
        _logger.exception("closing a model that nobody waited for failed")
