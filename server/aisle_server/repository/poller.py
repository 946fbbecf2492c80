"""Looks at the model repositories from time to time, and has what is served brought in line with what lies there.

A directory that is new is loaded, one that is gone is unloaded, one in which anything is newer than anything was is loaded anew. A model
that failed is tried again when its directory looks different from how it looked when it failed: files that are still being copied may
end up with an older date than they had on the way.

Source: Triton, "Model Control Mode POLL".
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from aisle_server.errors import InferenceServerError
from aisle_server.repository.description import ModelDescription
from aisle_server.repository.footprint import Footprint, take_footprint
from aisle_server.repository.lifecycle import ModelRepository
from aisle_server.repository.planning import Found

_logger = logging.getLogger(__name__)


class RepositoryPoller:
    """Polls the model repositories."""

    def __init__(self, repository: ModelRepository, interval_s: float) -> None:
        """Prepare to poll.

        Args:
            repository: Everything in it has been loaded once.
            interval_s: Seconds from the end of one look to the next.
        """
        self._repository = repository
        self._interval_s = interval_s
        self._seen: Mapping[str, tuple[tuple[Path, Footprint], ...]] = {}

    async def run(self) -> NoReturn:
        """Poll until cancelled. What goes wrong is logged, and tried again next time."""
        while True:
            await asyncio.sleep(self._interval_s)
            await self.poll()

    async def poll(self) -> None:
        """Look once, and have what is served brought in line. A repository that cannot be read changes nothing."""
        try:
            found = await self._repository.scan()
            seen = await asyncio.to_thread(_look, found)
            served = self._repository.descriptions()
            changed = [name for name, places in seen.items() if self._has_changed(name, places, served.get(name))]
            gone = [name for name in self._repository.wanted_names() if name not in seen]
            self._seen = seen
            if changed or gone:
                await self._repository.update(to_load=changed, to_unload=gone)
        except InferenceServerError as error:
            _logger.error("polling the model repositories failed: %s", error.message)
        except Exception:
            _logger.exception("polling the model repositories failed")

    def _has_changed(
        self, name: str, places: tuple[tuple[Path, Footprint], ...], served: ModelDescription | None
    ) -> bool:
        if served is None or len(places) > 1:
            return self._seen.get(name) != places
        ((path, footprint),) = places
        return path != served.directory.path or footprint.modified_ns > served.footprint.modified_ns


def _look(found: Found) -> dict[str, tuple[tuple[Path, Footprint], ...]]:
    seen: dict[str, tuple[tuple[Path, Footprint], ...]] = {}
    for name, directories in found.items():
        try:
            seen[name] = tuple((each.path, take_footprint(each)) for each in directories)
        except FileNotFoundError:  # gone since it was listed
            continue
    return seen
