"""Takes versions out of the process once they are out of service: ensembles before the models that they need.

A version that retires refuses new requests, answers those it had accepted, and gives its instances and files back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence

from aisle_server import messages
from aisle_server.repository.memory import trim_memory
from aisle_server.repository.served_model import ServedModel
from aisle_server.repository.serving_table import VersionRecord
from aisle_server.repository.states import ModelState

_logger = logging.getLogger(__name__)


class Retirements:
    """What is leaving at the moment."""

    def __init__(self, on_left: Callable[[ServedModel], None]) -> None:
        """Begin with nothing.

        Args:
            on_left: Called with each version that has left.
        """
        self._on_left = on_left
        # Each with the models that its ensembles may still need.
        self._under_way: dict[asyncio.Task[None], frozenset[str]] = {}

    def start(self, stages: Sequence[Sequence[VersionRecord]], needed: Collection[str]) -> None:
        """Let versions retire in the background.

        Args:
            stages: Those of a stage retire side by side, when those of the stage before have left.
            needed: Models that these versions need until they have left.
        """
        names = {record.served.config.name for stage in stages for record in stage if record.served is not None}
        before = [task for task, needs in self._under_way.items() if needs & names]
        task = asyncio.create_task(self._retire(stages, before))
        self._under_way[task] = frozenset(needed)
        task.add_done_callback(self._under_way.pop)

    async def wait(self) -> None:
        """Return when nothing is leaving any more."""
        while self._under_way:
            await asyncio.wait(tuple(self._under_way))

    async def _retire(self, stages: Sequence[Sequence[VersionRecord]], before: Sequence[asyncio.Task[None]]) -> None:
        if before:
            await asyncio.wait(before)
        for stage in stages:
            await asyncio.gather(*(self._retire_one(record) for record in stage))
        # Nobody waits for it: those that leave next wait for models, not for memory.
        asyncio.get_running_loop().run_in_executor(None, trim_memory)

    async def _retire_one(self, record: VersionRecord) -> None:
        served = record.served
        if served is None:
            return
        try:
            await served.stop()
        except Exception:
            _logger.exception("unloading model '%s' version %d failed", served.config.name, served.version)
        record.served = None
        # The record of a version that was replaced is nobody's any more, and stays as it is.
        if record.state is ModelState.UNLOADING:
            record.state, record.reason = ModelState.UNAVAILABLE, messages.UNLOADED
        self._on_left(served)
