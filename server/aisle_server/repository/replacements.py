"""Loads models as they are described and puts them in the place of what is in service: never before all of a model is ready.

What has not changed stays as it is, and what can change while requests are answered does: how many instances a model has, and which
of its versions are served.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Any

from aisle_server import messages
from aisle_server.errors import InferenceServerError, InternalError, InvalidArgumentError
from aisle_server.inference import InferenceRequest, InferenceResponse
from aisle_server.model_config.schema import InstanceKind, ModelConfig, VersionPolicy
from aisle_server.repository.composition import step_configs
from aisle_server.repository.dependencies import composing_models, find_cycle, load_levels
from aisle_server.repository.description import ModelDescription
from aisle_server.repository.loader import Loader
from aisle_server.repository.served_model import ServedModel
from aisle_server.repository.serving_table import ModelRecord, ServingTable, VersionRecord
from aisle_server.repository.states import ModelState, reason_of
from aisle_server.repository.summary import scheduling_text

_logger = logging.getLogger(__name__)


class Replacements:
    """Loads what is described, and serves it."""

    def __init__(
        self,
        table: ServingTable,
        loader: Loader,
        infer_step: Callable[[InferenceRequest], Coroutine[Any, Any, InferenceResponse]],
        retire: Callable[[Sequence[VersionRecord], Collection[str]], None],
        concurrent_loads: int,
    ) -> None:
        """Prepare to load.

        Args:
            table: What is in service; brought in line with what is loaded.
            loader: Loads one version.
            infer_step: Runs a step of an ensemble.
            retire: Lets versions leave that are out of service; told which models they need until they have left.
            concurrent_loads: Models that may load side by side.
        """
        self._table = table
        self._loader = loader
        self._infer_step = infer_step
        self._retire = retire
        self._slots = asyncio.Semaphore(concurrent_loads)

    async def load(self, descriptions: Mapping[str, ModelDescription]) -> dict[str, InferenceServerError]:
        """Load models side by side, each after those that it needs.

        Args:
            descriptions: By name. Those that are in service as described are left alone.

        Returns:
            Model -> why it is not served as described, for each that failed.
        """
        needs = {name: composing_models(each.config) for name, each in descriptions.items()}
        levels, circular = load_levels(needs)
        failures: dict[str, InferenceServerError] = {}
        for name in circular:
            circle = find_cycle(circular, needs)
            text = f"circular dependency between ensembles: {' -> '.join((*circle, circle[0]))}"
            failures[name] = InvalidArgumentError(f"load failed for model '{name}': {text}")
            _logger.error("model '%s' cannot be loaded: %s", name, text)
            book_failure(self._table.record(name), InvalidArgumentError(text))
        tasks: dict[str, asyncio.Task[InferenceServerError | None]] = {}
        async with asyncio.TaskGroup() as group:
            for level in levels:
                for name in level:
                    before = [tasks[each] for each in needs[name] if each in tasks]
                    tasks[name] = group.create_task(self._load_after(before, descriptions[name]))
        for name, task in tasks.items():
            error = task.result()
            if error is not None:
                failures[name] = error
        return failures

    async def _load_after(
        self, before: Sequence[asyncio.Task[InferenceServerError | None]], description: ModelDescription
    ) -> InferenceServerError | None:
        for task in before:
            await task
        async with self._slots:
            return await self._load_model(description)

    async def _load_model(self, description: ModelDescription) -> InferenceServerError | None:
        """Load all versions of a model, and serve them when every one of them is ready."""
        record = self._table.record(description.name)
        record.target = description
        steps = self._steps(description)
        if _is_current(record, description, steps):
            return None
        record.failure = ""
        kept = _kept(record, description)
        _announce(record, description)
        loaded: dict[int, ServedModel] = {}
        failed: dict[int, InferenceServerError] = {}
        try:
            for number in sorted(description.versions.keys() - kept.keys()):
                served = await self._load_version(description, number, steps)
                if isinstance(served, ServedModel):
                    loaded[number] = served
                else:
                    failed[number] = served
            if not failed:
                failed |= await _reconfigure(kept, description.config)
        except BaseException:
            await _give_up(record, loaded, failed)
            raise
        if failed:
            await _give_up(record, loaded, failed)
            self._drop_what_fits_no_more(record)
            reasons = [(number, reason_of(error)) for number, error in sorted(failed.items())]
            return InvalidArgumentError(messages.load_failed(description.name, reasons))
        record.step_configs = () if isinstance(steps, InferenceServerError) else steps
        self._serve(record, description, kept, loaded)
        return None

    def _steps(self, description: ModelDescription) -> Sequence[ModelConfig] | InferenceServerError:
        try:
            return step_configs(description.config, self._table)
        except InferenceServerError as error:
            return error

    async def _load_version(
        self, description: ModelDescription, number: int, steps: Sequence[ModelConfig] | InferenceServerError
    ) -> ServedModel | InferenceServerError:
        name = description.name
        try:
            if isinstance(steps, InferenceServerError):
                raise steps
            served = await self._loader.load(description, number, self._infer_step, steps)
        except InferenceServerError as error:
            _logger.error("model '%s' version %d failed to load: %s", name, number, error.message)
            return error
        except Exception:
            _logger.exception("model '%s' version %d failed to load", name, number)
            return InternalError("unexpected failure while loading; the server's log has the details")
        if description.files is not None:
            description.files.keep()
            served.when_released(description.files.let_go)
        words = scheduling_text(served.config)
        _logger.info("model '%s' version %d loaded in %.2f s: %s", name, number, served.load_duration_s, words)
        return served

    def _serve(
        self,
        record: ModelRecord,
        description: ModelDescription,
        kept: Mapping[int, ServedModel],
        loaded: Mapping[int, ServedModel],
    ) -> None:
        """Put newly loaded versions into service in the place of all that were there, but for those that are kept."""
        replaced = {number: record.versions[number] for number in record.ready_versions() if number not in kept}
        needed = composing_models(record.description.config) if record.description else ()
        record.description = description
        for number, version in replaced.items():
            if number not in loaded:
                version.state = ModelState.UNLOADING
        for number, served in loaded.items():
            record.versions[number] = VersionRecord(ModelState.READY, served=served)
        self._table.publish(description.name)
        if replaced:
            self._retire(list(replaced.values()), needed)

    def _drop_what_fits_no_more(self, record: ModelRecord) -> None:
        """Take an ensemble out of service whose models have changed so that it could not be served as it is."""
        if record.description is None or not record.description.config.is_ensemble:
            return
        steps = self._steps(record.description)
        if not isinstance(steps, InferenceServerError):
            return
        leaving = []
        for number, served in record.ready_versions().items():
            # The record of what leaves is nobody's; that of the version tells why there is none.
            leaving.append(VersionRecord(ModelState.UNLOADING, served=served))
            record.versions[number] = VersionRecord(ModelState.UNAVAILABLE, reason_of(steps))
        name, needed = record.description.name, composing_models(record.description.config)
        record.description = None
        self._table.publish(name)
        self._retire(leaving, needed)


def book_failure(record: ModelRecord, error: InferenceServerError) -> None:
    """Note why no version of a model could even be tried. What is in service stays there."""
    if not record.ready_versions():
        is_duplicate = error.message == messages.DUPLICATE_MODEL
        record.failure = error.message if is_duplicate else reason_of(error)


def _is_current(
    record: ModelRecord, description: ModelDescription, steps: Sequence[ModelConfig] | InferenceServerError
) -> bool:
    current = record.description
    return (
        current is not None
        and not isinstance(steps, InferenceServerError)
        and current.footprint == description.footprint
        and current.directory == description.directory
        and current.config == description.config
        and _as_an_ensemble_sees(record.step_configs) == _as_an_ensemble_sees(steps)
        and record.ready_versions().keys() == description.versions.keys()
    )


def _as_an_ensemble_sees(configs: Sequence[ModelConfig]) -> list[ModelConfig]:
    """Return configurations without what makes no difference to an ensemble: how many instances its models have."""
    return [replace(config, instance_groups=(), version_policy=VersionPolicy()) for config in configs]


def _kept(record: ModelRecord, description: ModelDescription) -> dict[int, ServedModel]:
    """Return the versions that are in service and need not be loaded anew."""
    current = record.description
    if current is None or description.config.is_ensemble:
        return {}
    groups = (*current.config.instance_groups, *description.config.instance_groups)
    is_resizable = description.config.sequence_batching is None and all(
        group.kind is InstanceKind.KIND_CPU for group in groups
    )
    if current.config.instance_groups != description.config.instance_groups and not is_resizable:
        return {}
    unchanged = description.versions_unchanged_since(current)
    return {number: served for number, served in record.ready_versions().items() if number in unchanged}


def _announce(record: ModelRecord, description: ModelDescription) -> None:
    """Say of each version that will be loaded, and is not in service yet, that it is loading."""
    in_service = record.ready_versions()
    for number in record.versions.keys() - description.versions.keys():
        if record.versions[number].state is ModelState.UNAVAILABLE:
            del record.versions[number]  # it failed once, and is not asked for any more
    for number in description.versions:
        if number not in in_service:
            record.versions[number] = VersionRecord()


async def _reconfigure(kept: Mapping[int, ServedModel], config: ModelConfig) -> dict[int, InferenceServerError]:
    before = {number: (served.config.instance_groups, served.config.version_policy) for number, served in kept.items()}
    for number, served in kept.items():
        try:
            await served.reconfigure(config.instance_groups, config.version_policy)
        except InferenceServerError as error:
            for done in kept.keys() - {number}:
                await kept[done].reconfigure(*before[done])
            return {number: error}
    return {}


async def _give_up(
    record: ModelRecord, loaded: Mapping[int, ServedModel], failed: Mapping[int, InferenceServerError]
) -> None:
    """Note why versions are not served, and give back those that were loaded in vain. Those in service are left alone."""
    for number, version in record.versions.items():
        if version.state is ModelState.LOADING:
            version.state = ModelState.UNAVAILABLE
            version.reason = reason_of(failed[number]) if number in failed else messages.UNLOADED
    for served in loaded.values():
        await served.stop()
