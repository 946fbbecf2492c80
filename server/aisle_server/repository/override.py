"""What a load request may bring along in place of what lies in the repository: a configuration, and files.

Files go into a directory of their own that nobody else may read, under the paths that the request gives; a path that would lead out
of it is refused. The directory is removed when the last version that was loaded from it has left.

Source: Triton, "Model Repository Extension", parameters of load.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

from aisle_server.errors import InvalidArgumentError
from aisle_server.repository.layout import ModelDirectory

MAX_FILES: Final = 4096
_LONGEST_PATH_BYTES: Final = 1024
_LONGEST_NAME_BYTES: Final = 255

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LoadOverride:
    """What a load request brings along.

    Attributes:
        config: A model configuration as JSON, in place of config.pbtxt; None for none.
        files: Path relative to the model directory -> content, in place of all that lies there.
    """

    config: str | None = None
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    @property
    def is_empty(self) -> bool:
        """Whether the request brings nothing."""
        return self.config is None and not self.files


NO_OVERRIDE: Final = LoadOverride()


class OverrideDirectory:
    """The files that one load request brought. Whoever needs them keeps them, and lets go of them once.

    Attributes:
        directory: The model directory that they make.
    """

    def __init__(self, name: str, root: Path) -> None:
        """Take charge of a directory; `write_override` makes one."""
        self.directory = ModelDirectory(name, root / "model", root)
        self._root = root
        self._users = 1

    def keep(self) -> None:
        """Need the files, one time more."""
        self._users += 1

    async def let_go(self) -> None:
        """Need the files one time less; the last one removes them."""
        self._users -= 1
        if not self._users:
            await asyncio.to_thread(self.remove)

    def remove(self) -> None:
        """Remove the files. Blocks."""
        try:
            shutil.rmtree(self._root)
        except OSError as error:
            _logger.warning("files of model '%s' cannot be removed: %s", self.directory.name, error)


def write_override(name: str, files: Mapping[str, bytes]) -> OverrideDirectory:
    """Write the files of a load request into a directory of their own. Blocks.

    Args:
        name: Of the model.
        files: Path relative to the model directory -> content.

    Returns:
        The directory, kept once.

    Raises:
        InvalidArgumentError: Too many files, a path that is no path below the model directory, or two that contradict each other.
    """
    if len(files) > MAX_FILES:
        raise InvalidArgumentError(f"{len(files)} files come with the load of a model, expected at most {MAX_FILES}")
    paths = {_checked(path): content for path, content in files.items()}
    if len(paths) != len(files):
        raise InvalidArgumentError("two files that come with the load of a model have the same path")
    override = OverrideDirectory(name, Path(tempfile.mkdtemp(prefix="aisle-model-")).resolve())
    try:
        override.directory.path.mkdir()
        for path, content in paths.items():
            _write(override.directory.path / path, path, content)
    except BaseException:
        override.remove()
        raise
    return override


def _checked(path: str) -> PurePosixPath:
    # Judged by its text alone: the directory is new, so nothing in it can be a link.
    what = f"path {path[:_LONGEST_NAME_BYTES]!r} of a file that comes with the load of a model"
    raw = path.encode(errors="surrogatepass")
    if not raw or b"\0" in raw or b"\\" in raw or len(raw) > _LONGEST_PATH_BYTES:
        raise InvalidArgumentError(
            f"{what} is no path; expected 1 to {_LONGEST_PATH_BYTES} bytes without NUL or backslash"
        )
    normal = PurePosixPath(os.path.normpath(path))
    if normal.is_absolute() or not normal.name or normal.parts[0] == "..":
        raise InvalidArgumentError(f"{what} leads out of the model directory")
    if any(len(part.encode(errors="surrogatepass")) > _LONGEST_NAME_BYTES for part in normal.parts):
        raise InvalidArgumentError(f"{what} has a name of more than {_LONGEST_NAME_BYTES} bytes")
    return normal


def _write(target: Path, path: PurePosixPath, content: bytes) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:
            file.write(content)
    except OSError as error:
        raise InvalidArgumentError(
            f"file '{path}' that comes with the load of a model cannot be written: {error.strerror}"
        ) from None
