"""Reads what a change of the repository is about: models as their directories describe them, what they need, and what needs them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias, TypeVar

from aisle_server import messages
from aisle_server.errors import InferenceServerError, InternalError, UnavailableError
from aisle_server.model_config.json_form import parse_json_config
from aisle_server.repository.dependencies import closure, composing_models, dependents
from aisle_server.repository.description import ModelDescription, ReadingRules, describe
from aisle_server.repository.footprint import take_footprint
from aisle_server.repository.layout import ModelDirectory, scan
from aisle_server.repository.override import NO_OVERRIDE, LoadOverride, OverrideDirectory
from aisle_server.repository.serving_table import ModelRecord, ServingTable

Found: TypeAlias = Mapping[str, Sequence[ModelDirectory]]
ResultT = TypeVar("ResultT")

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a change is about.

    Attributes:
        descriptions: Models to load, by name.
        unreadable: Model -> why it cannot be loaded at all.
    """

    descriptions: dict[str, ModelDescription] = field(default_factory=dict)
    unreadable: dict[str, InferenceServerError] = field(default_factory=dict)

    def names(self) -> set[str]:
        """Return all models that the change is about."""
        return {*self.descriptions, *self.unreadable}


class Planner:
    """Reads model directories and compares them with what is in service; changes nothing."""

    def __init__(self, directories: Sequence[Path], rules: ReadingRules, table: ServingTable) -> None:
        """Prepare to read.

        Args:
            directories: Model repositories on disk.
            rules: How model directories are read.
            table: What is in service.
        """
        self._directories = tuple(directories)
        self._rules = rules
        self._table = table

    async def scan(self) -> Found:
        """List the model directories there are now; see `layout.scan`."""
        return await asyncio.to_thread(scan, self._directories)

    async def plan(
        self,
        names: Sequence[str],
        found: Found,
        override: LoadOverride = NO_OVERRIDE,
        files: OverrideDirectory | None = None,
    ) -> Plan:
        """Read models and those that they need, and add the ensembles that need any of these.

        Args:
            names: Of the models.
            found: Directories there are.
            override: For the model, when it is one.
            files: Those of the override, written; None when it has none.
        """
        plan = Plan()
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name in plan.names():
                continue
            try:
                if override.is_empty or name not in names:
                    description = await self._describe(name, found)
                else:
                    description = await self._describe_overridden(name, found, override, files)
                plan.descriptions[name] = description
            except InferenceServerError as error:
                plan.unreadable[name] = error
            else:
                # A model that an ensemble names and nobody has is the ensemble's failure.
                known = {*found, *self._table.descriptions()}
                waiting += [each for each in composing_models(description.config) if each in known]
        targets = {name: record.target for name, record in self._table.models.items()}
        for name in closure(plan.descriptions, dependents(self._table.wanted_needs())):
            target = targets.get(name)
            if name not in plan.names() and target is not None:
                plan.descriptions[name] = target
        return plan

    async def _describe(self, name: str, found: Found) -> ModelDescription:
        current = self._table.models.get(name, ModelRecord()).description
        if current is not None and current.files is not None:
            return current
        directory = _only_directory(name, found)
        if current is not None and current.is_overridden:
            footprint = await self._on_disk(name, take_footprint, directory)
            if footprint == current.footprint and directory == current.directory:
                return current
        return await self._on_disk(name, describe, directory, self._rules)

    async def _describe_overridden(
        self, name: str, found: Found, override: LoadOverride, files: OverrideDirectory | None
    ) -> ModelDescription:
        if override.config is None:
            raise InternalError("files without a 'config' came with the load; expected both")
        config = await self._on_disk(name, parse_json_config, override.config)
        directory = files.directory if files is not None else _only_directory(name, found)
        return await self._on_disk(name, describe, directory, self._rules, config, files)

    async def _on_disk(self, name: str, function: Callable[..., ResultT], *arguments: object) -> ResultT:
        try:
            return await asyncio.to_thread(function, *arguments)
        except InferenceServerError:
            raise
        except Exception:
            _logger.exception("model '%s' cannot be read", name)
            raise InternalError(
                "unexpected failure while reading the model; the server's log has the details"
            ) from None


def _only_directory(name: str, found: Found) -> ModelDirectory:
    directories = found.get(name, ())
    if not directories:
        raise InternalError(messages.failed_to_poll(name))
    if len(directories) > 1:
        raise UnavailableError(messages.DUPLICATE_MODEL)
    return directories[0]
