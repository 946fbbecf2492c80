"""What a model directory looks like from outside: when its files were last modified, and which parts of it have changed since."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aisle_server.repository.layout import CONFIG_FILENAME, ModelDirectory


@dataclass(frozen=True, slots=True)
class Footprint:
    """A model directory at one moment.

    Attributes:
        modified_ns: When anything in it was last modified, in nanoseconds since the epoch.
        parts: Entry of the directory -> a number that changes with anything in or below it.
    """

    modified_ns: int
    parts: Mapping[str, int]

    def has_same_part(self, other: Footprint, name: str) -> bool:
        """Whether an entry of the directory is as it was."""
        return name in self.parts and self.parts[name] == other.parts.get(name)

    def has_same_files_beside(self, other: Footprint) -> bool:
        """Whether all but the configuration and the version directories is as it was: labels, data for warm-up, code."""
        return self._beside() == other._beside()

    def _beside(self) -> dict[str, int]:
        return {name: part for name, part in self.parts.items() if name != CONFIG_FILENAME and not name.isdecimal()}


def take_footprint(directory: ModelDirectory) -> Footprint:
    """Look at a model directory. Blocks.

    Source: Triton, which reloads a model when anything in its directory is newer than anything was.
    """
    root = directory.path
    modified_ns = root.stat().st_mtime_ns
    parts: dict[str, list[tuple[str, int, int]]] = {}
    for parent, directories, files in os.walk(root):
        for name in (*directories, *files):
            path = Path(parent, name)
            try:
                status = path.stat()
            except OSError:  # gone since it was listed, or a link to nowhere
                continue
            modified_ns = max(modified_ns, status.st_mtime_ns)
            inside = path.relative_to(root)
            parts.setdefault(inside.parts[0], []).append((str(inside), status.st_mtime_ns, status.st_size))
    return Footprint(modified_ns, {name: hash(tuple(sorted(entries))) for name, entries in parts.items()})
