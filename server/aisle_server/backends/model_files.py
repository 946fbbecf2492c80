"""Finds a model's file, and never outside the directory of its version; and keeps our directories out of error texts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from aisle_server.errors import InvalidArgumentError
from aisle_server.model_config.schema import ModelConfig

_DIRECTORIES: Final = re.compile(r"""/(?:[^/\s"']+/)+""")


def model_path(config: ModelConfig, version_directory: Path, default_filename: str) -> Path:
    """Return where the file, or the directory, of a model version lies.

    Args:
        config: Its `default_model_filename` is relative to the version directory.
        version_directory: `<repository>/<model>/<version>`; may itself be a link, as mounted volumes are.
        default_filename: When the configuration names none.

    Raises:
        InvalidArgumentError: There is nothing of that name, or it lies outside the version directory, be it by `..` or by a link.
    """
    filename = config.default_model_filename or default_filename
    root = version_directory.resolve()
    try:
        path = (root / filename).resolve()
        exists = path.exists()
    except (OSError, ValueError):  # a name too long for the file system, or with a NUL
        exists = False
    else:
        if not path.is_relative_to(root) or path == root:
            raise InvalidArgumentError(
                f"model file '{filename}' of model '{config.name}' is outside the directory of version {version_directory.name}"
            )
    if not exists:
        raise InvalidArgumentError(
            f"model '{config.name}' has no file '{filename}' in the directory of version {version_directory.name}"
        )
    return path


def without_directories(text: str) -> str:
    """Return a text of a library with every absolute path cut down to its last name: a model's `reason` is read by clients too."""
    return _DIRECTORIES.sub("", text)
