"""What lies in a model repository: model directories, version directories, files. Nothing is followed out of the repository.

    <repository>/<model>/config.pbtxt
    <repository>/<model>/<version>/<the backend's files>

Everything here blocks.

Source: Triton, "Model Repository".
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aisle_server.errors import InvalidArgumentError
from aisle_server.model_config.schema import VersionPolicy

CONFIG_FILENAME: Final = "config.pbtxt"
# Directories of a model that are no versions, and are no surprise either.
_NO_VERSIONS: Final = ("configs", "initial_state", "warmup")
_LARGEST_VERSION: Final = 2**63 - 1

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ModelDirectory:
    """A directory of a repository that may hold a model.

    Attributes:
        name: Of the directory; the model's name.
        path: Where it lies.
        repository: The repository it lies in, links resolved.
    """

    name: str
    path: Path
    repository: Path


def scan(repositories: Sequence[Path]) -> Mapping[str, tuple[ModelDirectory, ...]]:
    """List the model directories of all repositories.

    Hidden directories, directories that a link leads to outside of the repository, and names that are not UTF-8 are left out.

    Args:
        repositories: Each a directory.

    Returns:
        Name -> directory, sorted by name; several directories when several repositories have one of that name.

    Raises:
        InvalidArgumentError: A repository cannot be read.
    """
    found: dict[str, tuple[ModelDirectory, ...]] = {}
    for repository in repositories:
        root = repository.resolve()
        for path in _entries(root):
            if path.name.startswith(".") or not path.is_dir():
                continue
            if not _is_utf8(path.name):
                _logger.warning("ignoring %r in a model repository: its name is not UTF-8", path.name)
            elif not path.resolve().is_relative_to(root):
                _logger.warning("ignoring '%s' in a model repository: it leads out of the repository", path.name)
            else:
                found[path.name] = (*found.get(path.name, ()), ModelDirectory(path.name, path, root))
    return dict(sorted(found.items()))


def version_directories(directory: ModelDirectory) -> Mapping[int, Path]:
    """List the version directories of a model.

    Returns:
        Version -> directory, ascending. A directory whose name is no plain number is left out, with a warning.

    Raises:
        InvalidArgumentError: The model directory cannot be read.
    """
    versions: dict[int, Path] = {}
    for path in _entries(directory.path):
        name = path.name
        if name.startswith(".") or name in _NO_VERSIONS or not path.is_dir():
            continue
        if (
            not (name.isascii() and name.isdigit())
            or (len(name) > 1 and name[0] == "0")
            or int(name) > _LARGEST_VERSION
        ):
            _logger.warning("ignoring directory '%s' of model '%s': its name is no version", name, directory.name)
        elif not path.resolve().is_relative_to(directory.repository):
            _logger.warning("ignoring version %s of model '%s': it leads out of the repository", name, directory.name)
        else:
            versions[int(name)] = path
    return dict(sorted(versions.items()))


def versions_to_load(policy: VersionPolicy, available: Iterable[int]) -> tuple[int, ...]:
    """Choose the versions that a policy asks for.

    Args:
        policy: Of the model configuration.
        available: Versions that have a directory.

    Returns:
        Ascending; empty when the policy leaves none.
    """
    versions = sorted(available)
    if policy.all:
        return tuple(versions)
    if policy.specific is not None:
        return tuple(version for version in versions if version in policy.specific)
    return tuple(versions[-policy.latest :]) if policy.latest else ()


def first_version_entries(versions: Mapping[int, Path]) -> Mapping[str, bool]:
    """List what lies in the version directory that comes first by name, which is where autocomplete looks.

    Args:
        versions: From `version_directories`.

    Returns:
        Name -> whether it is a directory; empty when there is no version.
    """
    if not versions:
        return {}
    first = min(versions.values(), key=lambda path: path.name)
    return {path.name: path.is_dir() for path in _entries(first)}


def read_text(path: Path, *, within: Path, limit_bytes: int, what: str) -> str:
    """Read a text file that must lie in a directory.

    Args:
        path: Of the file.
        within: Where it must lie, links resolved.
        limit_bytes: The most that it may have.
        what: Names the file in messages.

    Raises:
        FileNotFoundError: There is no such file.
        InvalidArgumentError: It lies elsewhere, is no regular file, is too long, cannot be read, or is not UTF-8.
    """
    try:
        real = path.resolve()
        if not real.is_relative_to(within.resolve()):
            raise InvalidArgumentError(f"{what} is outside its directory")
        if not stat.S_ISREG(real.stat().st_mode):  # a pipe would be waited for, a device read for ever
            raise InvalidArgumentError(f"{what} is not a regular file")
        with real.open("rb") as file:
            content = file.read(limit_bytes + 1)
    except FileNotFoundError:
        raise
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links, a NUL in the name, no permission
        reason = getattr(error, "strerror", None) or "its path makes no sense"
        raise InvalidArgumentError(f"{what} cannot be read: {reason}") from None
    if len(content) > limit_bytes:
        raise InvalidArgumentError(f"{what} is too long; expected at most {limit_bytes} bytes")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise InvalidArgumentError(f"{what} is not UTF-8: byte {error.start} is 0x{content[error.start]:02x}") from None


def refuse_escaping_links(directory: ModelDirectory) -> None:
    """Make sure that no link in a model directory leads out of its repository.

    Raises:
        InvalidArgumentError: One does; the message names it.
    """
    for path in _walk(directory.path):
        if path.is_symlink() and not _leads_into(path, directory.repository):
            inside = path.relative_to(directory.path)
            raise InvalidArgumentError(f"'{inside}' of model '{directory.name}' leads out of the model repository")


def _walk(root: Path) -> Iterable[Path]:
    for parent, directories, files in os.walk(root):
        for name in (*directories, *files):
            yield Path(parent, name)


def _entries(directory: Path) -> list[Path]:
    try:
        return sorted(directory.iterdir())
    except OSError as error:
        raise InvalidArgumentError(f"directory '{directory.name}' cannot be read: {error.strerror}") from None


def _leads_into(path: Path, root: Path) -> bool:
    try:
        return path.resolve().is_relative_to(root)
    except (OSError, RuntimeError):  # a loop of links
        return False


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
