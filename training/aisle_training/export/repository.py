"""The files of exported models: drawn up in a folder of their own, then put in place version by version.

A server may be polling the repository, and an export may be killed. So a version folder appears whole or not at all,
and a version that is replaced is set aside until its successor stands.

Source: Triton, "Model Repository": only folders whose names are numbers are versions, so what is under way here is
passed over by a server.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Final

CONFIG: Final = "config.pbtxt"


def write_model(
    staged: Path, name: str, version: int, config_text: str, *, labels: Path | None = None, files: Iterable[Path] = ()
) -> Path:
    """Write a model into a repository that no server looks at yet.

    Args:
        staged: The repository.
        name: Of the model.
        version: Its only version.
        config_text: What `config.pbtxt` says.
        labels: The label file to copy beside it.
        files: What to copy into the version.

    Returns:
        The folder of the version.
    """
    version_folder = staged / name / str(version)
    version_folder.mkdir(parents=True)
    (staged / name / CONFIG).write_text(config_text, encoding="utf-8")
    if labels is not None:
        shutil.copyfile(labels, staged / name / labels.name)
    for file in files:
        shutil.copyfile(file, version_folder / file.name)
    return version_folder


def install_model(staged: Path, repository: Path, name: str) -> None:
    """Put a model that `write_model` wrote into a repository; other versions of the model stay.

    Args:
        staged: Where it was written; may be another file system.
        repository: Where it goes.
        name: Of the model.
    """
    source, target = staged / name, repository / name
    target.mkdir(parents=True, exist_ok=True)
    for folder in sorted(path for path in source.iterdir() if path.is_dir()):
        _install_version(folder, target / folder.name)
    # After the version: a configuration that speaks of what is not there yet would fail to load.
    for file in sorted(path for path in source.iterdir() if path.is_file()):
        arriving = target / f".{file.name}.arriving"
        shutil.copyfile(file, arriving)
        arriving.replace(target / file.name)


def _install_version(source: Path, target: Path) -> None:
    arriving = target.with_name(f".{target.name}.arriving")
    leaving = target.with_name(f".{target.name}.leaving")
    for remains in (arriving, leaving):  # of an export that was killed
        shutil.rmtree(remains, ignore_errors=True)
    shutil.copytree(source, arriving)
    if target.exists():
        target.rename(leaving)
    try:
        arriving.rename(target)
    except OSError:
        if leaving.exists():
            leaving.rename(target)
        raise
    shutil.rmtree(leaving, ignore_errors=True)


def size_bytes(folder: Path) -> int:
    """Add up the files of a folder and of all below it."""
    return sum((Path(parent) / name).stat().st_size for parent, _, names in os.walk(folder) for name in names)
