"""The rows of an inference request that carries pictures, titles, or both.

Both preprocess models take both inputs: when its own is absent, the other says how many rows to make. Without that the
batch size of what it answers would be unknown, and an ensemble with optional inputs could not run.

A request that cannot be used is refused by one of the two models, never by both: `image_preprocess` speaks for every
request that has pictures, and for one that has nothing; `title_preprocess` for those that have titles alone. Two steps of
an ensemble that fail side by side take NVIDIA Triton 24.10 down.

This file is copied beside the repository's `model.py`: it imports NumPy and its neighbour, nothing else.
"""

from typing import Any, NamedTuple

import numpy.typing as npt

from .title_normalization import TitleError, decode_title, is_blank


class ProductRow(NamedTuple):
    """One product as it was sent.

    Attributes:
        image: An encoded picture; zero bytes for a missing one.
        title: A title, decoded; blank for a missing one.
    """

    image: bytes
    title: str


def read_rows(images: npt.NDArray[Any] | None, titles: npt.NDArray[Any] | None) -> list[ProductRow]:
    """Pair the pictures and titles of a request, and refuse it when a row cannot be used.

    Args:
        images: `IMAGE`, `bytes` objects of shape [rows, 1]; None when the request leaves it out.
        titles: `TITLE`, likewise.

    Returns:
        A product for each row.

    Raises:
        ValueError: A row has neither a picture nor a title (a blank title is none), a title is not UTF-8, the request has
            neither input, or the inputs disagree about the number of rows. The text may be shown to the caller.
    """
    if images is None and titles is None:
        raise ValueError("the request has neither IMAGE nor TITLE, expected at least one of them")
    image_bytes, title_bytes = _paired(images, titles)
    if len(image_bytes) != len(title_bytes):
        raise ValueError(f"the request has {len(image_bytes)} pictures and {len(title_bytes)} titles, expected as many")
    rows = []
    for number, (image, title) in enumerate(zip(image_bytes, title_bytes, strict=True)):
        try:
            row = ProductRow(image, decode_title(title))
        except TitleError as error:
            raise ValueError(f"row {number}: {error}") from None
        if not row.image and is_blank(row.title):
            raise ValueError(f"row {number} has neither a picture nor a title")
        rows.append(row)
    return rows


def read_titles(images: npt.NDArray[Any] | None, titles: npt.NDArray[Any] | None) -> list[str]:
    """Return the titles of a request that `read_rows` may refuse elsewhere: what is no title is a missing one.

    Args:
        images: `IMAGE`, `bytes` objects of shape [rows, 1]; None when the request leaves it out.
        titles: `TITLE`, likewise.

    Returns:
        A title for each row, empty for a missing one.
    """
    return [_legible(title) for title in _paired(images, titles)[1]]


def _paired(images: npt.NDArray[Any] | None, titles: npt.NDArray[Any] | None) -> tuple[list[bytes], list[bytes]]:
    image_bytes = None if images is None else images.reshape(-1).tolist()
    title_bytes = None if titles is None else titles.reshape(-1).tolist()
    missing = [b""] * len(image_bytes or title_bytes or ())
    return image_bytes or missing, title_bytes or missing


def _legible(title: bytes) -> str:
    try:
        return decode_title(title)
    except TitleError:
        return ""
