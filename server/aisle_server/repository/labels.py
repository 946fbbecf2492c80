"""Names of classes: one a line in the `label_filename` of an output.

Source: Triton, "Classification Extension".
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from aisle_server.errors import InvalidArgumentError, UnsupportedError
from aisle_server.model_config.schema import ModelConfig
from aisle_server.repository.layout import read_text

MAX_LABEL_FILE_BYTES: Final = 1 << 24


def read_labels(config: ModelConfig, model_directory: Path) -> Mapping[str, tuple[str, ...]]:
    """Read the labels of all outputs that have some. Blocks.

    Args:
        config: Of the model.
        model_directory: Labels lie in it or below it.

    Returns:
        Output -> labels, the index of a label being its line. Nothing is trimmed but the line's end.

    Raises:
        UnsupportedError: A label file lies outside the model directory.
        InvalidArgumentError: A label file is missing, cannot be read, or is not UTF-8.
    """
    labels: dict[str, tuple[str, ...]] = {}
    for output in config.outputs:
        if output.label_filename:
            labels[output.name] = _read(config.name, output.name, output.label_filename, model_directory)
    return labels


def _read(model: str, output: str, filename: str, model_directory: Path) -> tuple[str, ...]:
    what = f"label file '{filename}' for output '{output}' in model '{model}'"
    path = model_directory / filename
    if not _is_inside(path, model_directory):
        raise UnsupportedError(
            f"label file path '{filename}' for output '{output}' in model '{model}' is outside model directory"
        )
    try:
        text = read_text(path, within=model_directory, limit_bytes=MAX_LABEL_FILE_BYTES, what=what)
    except FileNotFoundError:
        raise InvalidArgumentError(f"{what} does not exist") from None
    # Not `splitlines`: it would take form feeds and other separators for the end of a label.
    return tuple(text.removesuffix("\n").split("\n")) if text else ()


def _is_inside(path: Path, directory: Path) -> bool:
    try:
        return path.resolve().is_relative_to(directory.resolve())
    except (OSError, RuntimeError, ValueError):  # a loop of links, a NUL: reading says what is wrong
        return True
