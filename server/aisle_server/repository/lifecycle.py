"""The model repository as it is served: loads models, finds them for requests, replaces and unloads them.

All methods are called on the event loop. Changes of related models are made one after the other, in the order in which they were asked
for; those of unrelated models side by side. The models of one change load side by side, those that an ensemble needs before the
ensemble. A version is replaced only when its successor is ready: requests find the one or the other, always.

Source: Triton, "Model Management"; texts and states as its clients know them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Collection, Coroutine, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from aisle_server import messages
from aisle_server.errors import InferenceServerError, InternalError, InvalidArgumentError
from aisle_server.inference import LATEST_VERSION, InferenceRequest, InferenceResponse, StreamedResponse
from aisle_server.repository.claims import Claims
from aisle_server.repository.dependencies import closure, dependents, load_levels
from aisle_server.repository.description import DEFAULT_RULES, ModelDescription, ReadingRules
from aisle_server.repository.loader import Loader
from aisle_server.repository.override import NO_OVERRIDE, LoadOverride, OverrideDirectory, write_override
from aisle_server.repository.planning import Found, Plan, Planner
from aisle_server.repository.replacements import Replacements, book_failure
from aisle_server.repository.retirement import Retirements
from aisle_server.repository.served_model import ServedModel
from aisle_server.repository.serving_table import ModelRecord, ServingTable, VersionRecord
from aisle_server.repository.states import ModelIndex, ModelState, reason_of
from aisle_server.repository.summary import table

_logger = logging.getLogger(__name__)


class ModelRepository:
    """Loads, finds, replaces and unloads models."""

    def __init__(
        self,
        directories: Sequence[Path],
        loader: Loader,
        *,
        rules: ReadingRules = DEFAULT_RULES,
        concurrent_loads: int = 4,
    ) -> None:
        """Make a repository that has loaded nothing yet.

        Args:
            directories: Model repositories on disk.
            loader: Loads one version.
            rules: How model directories are read.
            concurrent_loads: Models that may load side by side.
        """
        self._claims = Claims()
        self._table = ServingTable()
        self._planner = Planner(directories, rules, self._table)
        self._retirements = Retirements(self._table.forget)
        self._replacements = Replacements(
            self._table,
            loader,
            self.infer_step,
            lambda versions, needed: self._retirements.start([versions], needed),
            concurrent_loads,
        )
        # Loads go on when their caller leaves; this keeps them from being forgotten.
        self._loading: set[asyncio.Task[None]] = set()

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

    def descriptions(self) -> Mapping[str, ModelDescription]:
        """Return what is in service, by name."""
        return self._table.descriptions()

    def wanted_names(self) -> tuple[str, ...]:
        """Return every model that should be in service, whether it is or not."""
        return tuple(name for name, record in self._table.models.items() if record.target or record.failure)

    async def index(self, *, ready_only: bool = False) -> list[ModelIndex]:
        """List every model directory there is now with the versions that somebody asked to load, by name and version.

        Raises:
            InvalidArgumentError: A repository cannot be read.
        """
        return self._table.index(await self.scan(), ready_only=ready_only)

    async def scan(self) -> Found:
        """List the model directories there are now; see `layout.scan`."""
        return await self._planner.scan()

    async def load_all(self, names: Iterable[str] | None = None) -> Mapping[str, str]:
        """Load models, and what they need before them.

        Args:
            names: Models to load; None for every model there is.

        Returns:
            Model -> why it is not served, for each that failed. Those that load are served whatever becomes of the others.

        Raises:
            InvalidArgumentError: A repository cannot be read.
        """
        async with self._claims.hold(None):
            found = await self.scan()
            failures = await self._load_planned(tuple(found if names is None else names), found)
        _logger.info("models:\n%s", table(self._table.index(found, ready_only=False)))
        return {name: reason_of(error) for name, error in failures.items()}

    async def update(self, *, to_load: Collection[str], to_unload: Collection[str]) -> None:
        """Bring what is served in line with the directories: load what is new or has changed, and unload what is gone.

        Raises:
            InvalidArgumentError: A repository cannot be read.
        """
        async with self._claims.hold(None):
            needs = self._table.needs()
            self._unload(to_unload, set(closure(to_unload, dependents(needs))), needs)
            await self._load_planned(tuple(to_load), await self.scan())

    async def load(self, name: str, override: LoadOverride = NO_OVERRIDE) -> None:
        """Load a model as it lies in the repository now, or load it anew; nothing happens when it has not changed.

        What is served stays in service until all of its successor is ready, and for good when that fails. Whoever cancels this no
        longer waits; the load goes on.

        Args:
            name: Of the model; what an ensemble needs is loaded with it, and ensembles that need it are fitted to it.
            override: Stands in the place of what lies in the repository. It stays for later loads without one, until files in the
                repository change or the model is unloaded; files that it brings, until the model is unloaded.

        Raises:
            InvalidArgumentError: A version failed to load; the text says why.
            InternalError: There is no such model, or it or the override cannot be read.
        """
        loading = asyncio.create_task(self._load_one(name, override))
        self._loading.add(loading)
        loading.add_done_callback(self._note_end)
        await asyncio.shield(loading)

    async def unload(self, name: str, *, unload_dependents: bool = False) -> None:
        """Take a model out of service, and the ensembles that need it. An unknown one is none.

        New requests are refused from now on; accepted ones may still be answered after this returns.

        Args:
            name: Of the model.
            unload_dependents: Take the models that only this ensemble needs out of service too, unless somebody loaded them by name.
        """
        claimed = {name}
        while True:
            async with self._claims.hold(claimed):
                needs = self._table.needs()
                leaving = set(closure((name,), dependents(needs)))
                named = {name}
                if unload_dependents:
                    named |= self._needed_only_by(leaving, needs)
                if leaving | named <= claimed:
                    self._unload(named, leaving | named, needs)
                    return
                claimed |= leaving | named

    async def stop(self) -> None:
        """Take everything out of service; return when every accepted request is answered and everything is given back.

        Safe to call twice, and to cancel: what has not left by then is left to the end of the process.
        """
        async with self._claims.hold(None):
            needs = self._table.needs()
            self._unload(needs.keys(), needs.keys(), needs)
        await self._retirements.wait()

    async def _load_one(self, name: str, override: LoadOverride) -> None:
        files: OverrideDirectory | None = None
        claimed = {name, *self._related(name)}
        try:
            while True:
                async with self._claims.hold(claimed):
                    found = await self.scan()
                    if override.files and files is None:
                        files = await _written(name, override)
                    plan = await self._planner.plan((name,), found, override, files)
                    if plan.names() <= claimed:
                        failures = await self._carry_out(plan, found, is_fault_of_model=override.is_empty)
                        break
                    claimed |= plan.names()  # it is related to more models than it was when it was last read
        finally:
            if files is not None:
                await files.let_go()
        if name in plan.unreadable:
            text = messages.no_version_to_load(name)
            if plan.unreadable[name].message == text:
                raise InvalidArgumentError(f"load failed for model '{name}': {text}")
            raise InternalError(messages.failed_to_poll(name))
        self._mark_explicit((name,))
        if name in failures:
            raise failures[name]

    def _related(self, name: str) -> set[str]:
        """Return the models that a load of this one is about, as far as they are known."""
        needs = self._table.wanted_needs()
        return set(closure(closure((name,), needs), dependents(needs)))

    def _note_end(self, loading: asyncio.Task[None]) -> None:
        self._loading.discard(loading)
        if not loading.cancelled():
            loading.exception()  # in the log already, and the caller, who may have left, is told

    async def _load_planned(self, names: Sequence[str], found: Found) -> dict[str, InferenceServerError]:
        failures = await self._carry_out(await self._planner.plan(names, found), found)
        self._mark_explicit(names)
        return failures

    async def _carry_out(
        self, plan: Plan, found: Found, *, is_fault_of_model: bool = True
    ) -> dict[str, InferenceServerError]:
        """Load what is planned; return why models are not served as planned.

        Args:
            plan: What to load.
            found: Directories there are.
            is_fault_of_model: What cannot be read is a model on disk, not what came with a request.
        """
        for name, error in plan.unreadable.items():
            _logger.error("model '%s' cannot be loaded: %s", name, error.message)
            if name not in found or not is_fault_of_model:
                continue
            if error.message == messages.DUPLICATE_MODEL:
                # Which of the two is meant nobody can tell, so what is served may be the wrong one.
                needs = self._table.needs()
                self._unload((name,), set(closure((name,), dependents(needs))), needs)
            book_failure(self._table.record(name), error)
        return plan.unreadable | await self._replacements.load(plan.descriptions)

    def _mark_explicit(self, names: Iterable[str]) -> None:
        for name in names:
            if name in self._table.models:
                self._table.models[name].is_explicit = True

    def _needed_only_by(self, leaving: Collection[str], needs: Mapping[str, Collection[str]]) -> set[str]:
        candidates = {
            name
            for name in closure(leaving, needs)
            if name in needs and name not in leaving and not self._table.models[name].is_explicit
        }
        # One that a model which stays needs stays, and so does all that it needs.
        staying = closure(needs.keys() - candidates - set(leaving), needs)
        return candidates - set(staying)

    def _unload(self, named: Collection[str], leaving: Collection[str], needs: Mapping[str, Collection[str]]) -> None:
        """Forget that models are wanted, and take them and others out of service.

        Args:
            named: Nobody wants them any more. The others come back with a model that they need.
            leaving: All that leave.
            needs: Models in service -> models that they need.
        """
        for name in named:
            record = self._table.models.get(name)
            if record is None:
                continue
            record.target, record.is_explicit, record.failure = None, False, ""
            for version in record.versions.values():
                if version.state is ModelState.UNAVAILABLE:
                    version.reason = messages.UNLOADED
        self._retire([name for name in leaving if name in needs], needs)

    def _retire(self, names: Collection[str], needs: Mapping[str, Collection[str]]) -> None:
        """Close the front door of models at once, and let them finish in the background: ensembles before what they need."""
        levels, _ = load_levels({name: needs[name] for name in names})
        stages: list[list[VersionRecord]] = []
        for level in reversed(levels):
            stages.append([])
            for name in level:
                record = self._table.models[name]
                if record.description is not None and record.description.files is not None:
                    record.target = None  # the files that came with it go when it leaves
                record.description = None
                for number in record.ready_versions():
                    version = record.versions[number]
                    version.state = ModelState.UNLOADING
                    stages[-1].append(version)
                self._table.publish(name)
        if stages:
            self._retirements.start(stages, {each for name in names for each in needs[name]})


async def _written(name: str, override: LoadOverride) -> OverrideDirectory:
    try:
        return await asyncio.to_thread(write_override, name, override.files)
    except InferenceServerError as error:
        _logger.error("model '%s' cannot be loaded: %s", name, error.message)
        raise InternalError(messages.failed_to_poll(name)) from None
