"""The rows of an inference request that carries pictures, titles, or both.

Both preprocess models take both inputs: when its own is absent, the other says how many rows to make. Without that the
batch size of what it answers would be unknown, and an ensemble with optional inputs could not run.

This file is copied beside the repository's `model.py`: it imports NumPy and its neighbour, nothing else.
"""

from typing import Any, NamedTuple

import numpy.typing as npt

from .title_normalization import TitleError, decode_title, is_blank


class ProductRow(NamedTuple):
    """One product as it was sent; zero bytes stand for a missing input.

    Attributes:
        image: An encoded picture.
        title: A title in UTF-8.
    """

    image: bytes
    title: bytes


def read_rows(images: npt.NDArray[Any] | None, titles: npt.NDArray[Any] | None) -> list[ProductRow]:
    """Pair the pictures and titles of a request.

    Args:
        images: `IMAGE`, `bytes` objects of shape [rows, 1]; None when the request leaves it out.
        titles: `TITLE`, likewise.

    Returns:
        A product for each row.

    Raises:
        ValueError: A row has neither a picture nor a title (a blank title is none), the request has neither input, or
            the inputs disagree about the number of rows. The text may be shown to the caller.
    """
    if images is None and titles is None:
        raise ValueError("the request has neither IMAGE nor TITLE, expected at least one of them")
    image_bytes = None if images is None else images.reshape(-1).tolist()
    title_bytes = None if titles is None else titles.reshape(-1).tolist()
    missing = [b""] * len(image_bytes or title_bytes or ())
    image_bytes, title_bytes = image_bytes or missing, title_bytes or missing
    if len(image_bytes) != len(title_bytes):
        raise ValueError(f"the request has {len(image_bytes)} pictures and {len(title_bytes)} titles, expected as many")
    rows = [ProductRow(image, title) for image, title in zip(image_bytes, title_bytes, strict=True)]
    for number, row in enumerate(rows):
        if not row.image and not _is_legible(row.title):
            raise ValueError(f"row {number} has neither a picture nor a title")
    return rows


def _is_legible(title: bytes) -> bool:
    """Whether there is a title. Bytes that are no text count as one: whoever reads titles will say what is wrong."""
    try:
        return not is_blank(decode_title(title))
    except TitleError:
        return True
