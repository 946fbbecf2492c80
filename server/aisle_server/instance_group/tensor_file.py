"""Tensors that a model repository holds in files, as raw contents."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Final

import numpy.typing as npt

from aisle_protocol.datatypes import element_size_bytes
from aisle_protocol.raw_contents import RawContentsError, from_raw
from aisle_server.errors import InvalidArgumentError

MAX_FILE_BYTES: Final = 1 << 28


def read_tensor_file(
    folder: Path, filename: str, tensor: str, datatype: str, shape: tuple[int, ...]
) -> npt.NDArray[Any]:
    """Return what a file holds. Blocks.

    Args:
        folder: Of the model directory; the file lies in it, links followed.
        filename: As the configuration says.
        tensor: Its name, for error texts.
        datatype: Name in the protocol.
        shape: Of the tensor, every dimension given.

    Raises:
        InvalidArgumentError: The file is missing, too large or elsewhere, or does not hold such a tensor.
    """
    what = f"file '{filename}' of input '{tensor}'"
    path = (folder / filename).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise InvalidArgumentError(f"{what} lies outside the folder '{folder.name}' of the model")
    size = element_size_bytes(datatype)
    expected = None if size is None else size * math.prod(shape)
    try:
        got = path.stat().st_size
        if expected is not None and got != expected:
            raise InvalidArgumentError(f"{what} has {got} bytes, expected {expected}")
        if got > MAX_FILE_BYTES:
            raise InvalidArgumentError(f"{what} has {got} bytes, expected at most {MAX_FILE_BYTES}")
        return from_raw(path.read_bytes(), datatype, shape)
    except OSError as error:
        raise InvalidArgumentError(f"{what} cannot be read: {error.strerror}") from None
    except RawContentsError as error:
        raise InvalidArgumentError(f"{what}: {error}") from None
