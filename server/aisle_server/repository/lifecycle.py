"""The model repository as it is served: loads models, finds them for requests, replaces and unloads them.

All methods are called on the event loop. One change is made at a time; the models of one change load side by side, those that an
ensemble needs before the ensemble. A version is replaced only when its successor is ready: requests find the one or the other, always.

Source: Triton, "Model Management"; texts and states as its clients know them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Collection, Coroutine, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from aisle_server import messages
from aisle_server.errors import InferenceServerError, InternalError, InvalidArgumentError, UnavailableError
from aisle_server.inference import LATEST_VERSION, InferenceRequest, InferenceResponse, StreamedResponse
from aisle_server.repository.composition import step_configs
from aisle_server.repository.dependencies import closure, composing_models, dependents, find_cycle, load_levels
from aisle_server.repository.description import ModelDescription, describe
from aisle_server.repository.layout import ModelDirectory, scan
from aisle_server.repository.loader import Loader
from aisle_server.repository.retirement import Retirements
from aisle_server.repository.served_model import ServedModel
from aisle_server.repository.serving_table import ModelRecord, ServingTable, VersionRecord
from aisle_server.repository.states import ModelIndex, ModelState, reason_of
from aisle_server.repository.summary import scheduling_text, table

_logger = logging.getLogger(__name__)


class ModelRepository:
    """Loads, finds, replaces and unloads models."""

    def __init__(
        self,
        directories: Sequence[Path],
        loader: Loader,
        *,
        available_gpus: Sequence[int] = (),
        concurrent_loads: int = 4,
    ) -> None:
        """Make a repository that has loaded nothing yet.

        Args:
            directories: Model repositories on disk.
            loader: Loads one version.
            available_gpus: Ids of the GPUs that instances may use.
            concurrent_loads: Models that may load side by side.
        """
        self._directories = tuple(directories)
        self._loader = loader
        self._available_gpus = tuple(available_gpus)
        self._slots = asyncio.Semaphore(concurrent_loads)
        self._change = asyncio.Lock()
        self._found: Mapping[str, tuple[ModelDirectory, ...]] = {}
        self._table = ServingTable()
        self._retirements = Retirements(self._table.forget)

    def served(self, name: str, version: int = LATEST_VERSION) -> ServedModel:
        """Return a version that is ready; see `ServingTable.served`."""
        return self._table.served(name, version)

    def infer(self, request: InferenceRequest) -> Coroutine[Any, Any, InferenceResponse]:
        """Find the version that a request is for and check the request, at once; answer it when awaited.

        Raises:
            NotFoundError: No such model or version, or none is ready.
            UnavailableError: The version is known, and is not ready.
            InferenceServerError: As `ServedModel.infer`.
        """
        return self._table.served(request.model_name, request.model_version).infer(request)

    def stream(self, request: InferenceRequest) -> AsyncGenerator[StreamedResponse, None]:
        """Find the version that a request is for and check the request, at once; answer it, any number of times, when iterated.

        Raises:
            NotFoundError: No such model or version, or none is ready.
            UnavailableError: The version is known, and is not ready.
            InferenceServerError: As `ServedModel.stream`.
        """
        return self._table.served(request.model_name, request.model_version).stream(request)

    def infer_step(self, request: InferenceRequest) -> Coroutine[Any, Any, InferenceResponse]:
        """Answer a request that a model makes while it answers its own: as `infer`, but a version that is leaving will do."""
        return self._table.served_for_step(request.model_name, request.model_version).infer(request)

    def stream_step(self, request: InferenceRequest) -> AsyncGenerator[StreamedResponse, None]:
        """Answer, any number of times, a request that a model makes: as `stream`, but a version that is leaving will do."""
        return self._table.served_for_step(request.model_name, request.model_version).stream(request)

    def all_served(self) -> tuple[ServedModel, ...]:
        """Return every version that is ready, by name and version."""
        return self._table.all_served()

    def ready_versions(self, name: str) -> tuple[int, ...]:
        """Return the versions of a model that are ready, ascending; none for an unknown model."""
        return tuple(self._table.models.get(name, ModelRecord()).ready_versions())

    def is_every_model_ready(self) -> bool:
        """Whether each version that should be ready is, and can execute. One that was unloaded on purpose should not."""
        return self._table.is_every_model_ready() and all(served.is_healthy for served in self._table.all_served())

    def index(self, *, ready_only: bool = False) -> list[ModelIndex]:
        """List every model directory and every version that somebody asked to load, by name and version."""
        return self._table.index(self._found, ready_only=ready_only)

    async def load_all(self, names: Iterable[str] | None = None) -> Mapping[str, str]:
        """Load models, and what they need before them.

        Args:
            names: Models to load; None for every model there is.

        Returns:
            Model -> why it is not served, for each that failed. Those that load are served whatever becomes of the others.

        Raises:
            InvalidArgumentError: A repository cannot be read.
        """
        async with self._change:
            self._found = await asyncio.to_thread(scan, self._directories)
            wanted = tuple(self._found if names is None else names)
            descriptions, unreadable = await self._describe(wanted)
            failures = unreadable | await self._load(descriptions)
            self._mark_explicit(wanted)
        _logger.info("models:\n%s", table(self.index()))
        return {name: reason_of(error) for name, error in failures.items()}

    async def load(self, name: str) -> None:
        """Load a model as it lies in the repository now, or load it anew; nothing happens when it has not changed.

        What is served stays in service until all of its successor is ready, and for good when that fails.

        Args:
            name: Of the model; what an ensemble needs is loaded with it.

        Raises:
            InvalidArgumentError: The name is no name, or a version failed to load; the text says why.
            InternalError: There is no such model, or it cannot be read.
        """
        if not name.strip():
            raise InvalidArgumentError(messages.EMPTY_MODEL_NAME)
        if name.strip() == ".." or "/" in name:
            raise InvalidArgumentError(messages.unsafe_model_name(name))
        async with self._change:
            self._found = await asyncio.to_thread(scan, self._directories)
            descriptions, unreadable = await self._describe((name,))
            if name in unreadable:
                raise InternalError(messages.failed_to_poll(name))
            failures = await self._load(descriptions)
            self._mark_explicit((name,))
        if name in failures:
            raise failures[name]

    async def unload(self, name: str, *, unload_dependents: bool = False) -> None:
        """Take a model out of service, and the ensembles that need it. An unknown one is none.

        New requests are refused from now on; accepted ones may still be answered after this returns.

        Args:
            name: Of the model.
            unload_dependents: Take the models that only this ensemble needs out of service too, unless somebody loaded them by name.
        """
        async with self._change:
            needs = self._needs()
            leaving = set(closure((name,), dependents(needs))) & needs.keys()
            if unload_dependents and name in leaving:
                leaving |= self._needed_only_by(leaving, needs)
            self._retire(leaving, needs)

    async def stop(self) -> None:
        """Take everything out of service; return when every accepted request is answered and everything is given back.

        Safe to call twice, and to cancel: what has not left by then is left to the end of the process.
        """
        async with self._change:
            needs = self._needs()
            self._retire(needs.keys(), needs)
        await self._retirements.wait()

    async def _describe(
        self, names: Iterable[str]
    ) -> tuple[dict[str, ModelDescription], dict[str, InferenceServerError]]:
        """Read models, and those that they need; return what there is to load, and why the rest cannot be."""
        descriptions: dict[str, ModelDescription] = {}
        unreadable: dict[str, InferenceServerError] = {}
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name in descriptions or name in unreadable:
                continue
            try:
                descriptions[name] = await self._describe_one(name)
            except InferenceServerError as error:
                unreadable[name] = error
                self._book_failure(name, error)
            else:
                # A model that an ensemble names and nobody has is the ensemble's failure.
                waiting += [each for each in composing_models(descriptions[name].config) if each in self._found]
        return descriptions, unreadable

    async def _describe_one(self, name: str) -> ModelDescription:
        directories = self._found.get(name, ())
        if not directories:
            raise InternalError(messages.failed_to_poll(name))
        if len(directories) > 1:
            raise UnavailableError(messages.DUPLICATE_MODEL)
        try:
            return await asyncio.to_thread(describe, directories[0], self._available_gpus)
        except InferenceServerError:
            raise
        except Exception:
            _logger.exception("model '%s' cannot be read", name)
            raise InternalError(
                "unexpected failure while reading the model; the server's log has the details"
            ) from None

    def _book_failure(self, name: str, error: InferenceServerError) -> None:
        _logger.error("model '%s' cannot be loaded: %s", name, error.message)
        if name not in self._found:
            return
        record = self._table.record(name)
        # A configuration that cannot be read leaves what is served in service.
        if not record.ready_versions():
            is_duplicate = error.message == messages.DUPLICATE_MODEL
            record.failure = error.message if is_duplicate else reason_of(error)

    def _mark_explicit(self, names: Iterable[str]) -> None:
        for name in names:
            if name in self._table.models:
                self._table.models[name].is_explicit = True

    async def _load(self, descriptions: Mapping[str, ModelDescription]) -> dict[str, InferenceServerError]:
        """Load models side by side, each after those that it needs; return why those that failed did."""
        needs = {name: composing_models(each.config) for name, each in descriptions.items()}
        levels, circular = load_levels(needs)
        failures: dict[str, InferenceServerError] = {}
        for name in circular:
            circle = find_cycle(circular, needs)
            text = f"circular dependency between ensembles: {' -> '.join((*circle, circle[0]))}"
            failures[name] = InvalidArgumentError(text)
            self._book_failure(name, failures[name])
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
        name = description.config.name
        record = self._table.record(name)
        if _is_current(record, description):
            return None
        record.failure = ""
        in_service = record.ready_versions()
        for number in record.versions.keys() - description.versions.keys():
            if record.versions[number].state is ModelState.UNAVAILABLE:
                del record.versions[number]  # it failed once, and is not asked for any more
        for number in description.versions:
            if number not in in_service:
                record.versions[number] = VersionRecord()
        loaded: dict[int, ServedModel] = {}
        failed: dict[int, str] = {}
        try:
            for number in description.versions:
                served = await self._load_version(description, number)
                if isinstance(served, ServedModel):
                    loaded[number] = served
                else:
                    failed[number] = reason_of(served)
        except BaseException:
            await _give_up(record, loaded, failed)
            raise
        if failed:
            await _give_up(record, loaded, failed)
            return InvalidArgumentError(messages.load_failed(name, sorted(failed.items())))
        self._serve(record, description, loaded)
        return None

    async def _load_version(self, description: ModelDescription, number: int) -> ServedModel | InferenceServerError:
        name = description.config.name
        try:
            configs = step_configs(description.config, self._table)
            served = await self._loader.load(description, number, self.infer_step, configs)
        except InferenceServerError as error:
            _logger.error("model '%s' version %d failed to load: %s", name, number, error.message)
            return error
        except Exception:
            _logger.exception("model '%s' version %d failed to load", name, number)
            return InternalError("unexpected failure while loading; the server's log has the details")
        words = scheduling_text(served.config)
        _logger.info("model '%s' version %d loaded in %.2f s: %s", name, number, served.load_duration_s, words)
        return served

    def _serve(self, record: ModelRecord, description: ModelDescription, loaded: Mapping[int, ServedModel]) -> None:
        """Put newly loaded versions into service in the place of all that were there."""
        replaced = {number: record.versions[number] for number in record.ready_versions()}
        needed = composing_models(record.description.config) if record.description else ()
        record.description = description
        for number, version in replaced.items():
            if number not in loaded:
                version.state = ModelState.UNLOADING
        for number, served in loaded.items():
            record.versions[number] = VersionRecord(ModelState.READY, served=served)
        self._table.publish(description.config.name)
        if replaced:
            self._retirements.start([list(replaced.values())], needed)

    def _needs(self) -> dict[str, tuple[str, ...]]:
        """Return the models in service, and which models each of them needs."""
        return {
            name: composing_models(record.description.config)
            for name, record in self._table.models.items()
            if record.description is not None
        }

    def _needed_only_by(self, leaving: Collection[str], needs: Mapping[str, Collection[str]]) -> set[str]:
        candidates = {
            name
            for name in closure(leaving, needs)
            if name in needs and name not in leaving and not self._table.models[name].is_explicit
        }
        # One that a model which stays needs stays, and so does all that it needs.
        staying = closure(needs.keys() - candidates - set(leaving), needs)
        return candidates - set(staying)

    def _retire(self, names: Collection[str], needs: Mapping[str, Collection[str]]) -> None:
        """Close the front door of models at once, and let them finish in the background: ensembles before what they need."""
        levels, _ = load_levels({name: needs[name] for name in names})
        stages: list[list[VersionRecord]] = []
        for level in reversed(levels):
            stages.append([])
            for name in level:
                record = self._table.models[name]
                record.description, record.is_explicit = None, False
                for number in record.ready_versions():
                    version = record.versions[number]
                    version.state = ModelState.UNLOADING
                    stages[-1].append(version)
                self._table.publish(name)
        if stages:
            self._retirements.start(stages, {each for name in names for each in needs[name]})


def _is_current(record: ModelRecord, description: ModelDescription) -> bool:
    current = record.description
    return (
        current is not None
        and current.modified_ns == description.modified_ns
        and current.directory == description.directory
        and record.ready_versions().keys() == description.versions.keys()
    )


async def _give_up(record: ModelRecord, loaded: Mapping[int, ServedModel], failed: Mapping[int, str]) -> None:
    """Note why versions are not served, and give back those that were loaded in vain. Those in service are left alone."""
    for number, version in record.versions.items():
        if version.state is ModelState.LOADING:
            version.state = ModelState.UNAVAILABLE
            version.reason = failed.get(number, messages.UNLOADED)
    for served in loaded.values():
        await served.stop()
