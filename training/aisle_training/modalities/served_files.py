"""The files of `preprocessing` that are copied into a model repository: the very ones that training imports."""

from pathlib import Path

from aisle_training import preprocessing


def served_file(name: str) -> Path:
    """Say where a file of `preprocessing` is."""
    return Path(next(iter(preprocessing.__path__))) / name
