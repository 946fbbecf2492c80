"""The rows of an inference request that carries some of what products are told by: pictures, titles, other texts.

Each preprocess model takes the inputs of all of them: when its own is absent, any other says how many rows to make.
Without that the batch size of what it answers would be unknown, and an ensemble with optional inputs could not run.

A request that cannot be used is refused by one of the models, never by two: by the one whose input is the first present
in the order of `speaker`. Two steps of an ensemble that fail side by side take NVIDIA Triton 24.10 down.

`IMAGE` holds encoded pictures, and zero bytes for a missing one. Every other input is text in UTF-8, blank where missing.

This file is copied beside the repository's `model.py`: it imports NumPy and its neighbour, nothing else.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy.typing as npt

from .title_normalization import TitleError, decode_title, is_blank

IMAGE: Final = "IMAGE"

# Name of each input that the model takes -> `bytes` objects of shape [rows, 1], None when the request leaves it out.
Inputs = Mapping[str, npt.NDArray[Any] | None]


def speaker(inputs: Inputs) -> str:
    """Say whose preprocess model judges a request.

    Args:
        inputs: Of the request.

    Returns:
        The first input that is present, or the first of all when none is. `IMAGE` comes first, for only its model can
        tell whether a picture can be read; the others follow by name.
    """
    order = _ordered(inputs)
    return next((name for name in order if inputs[name] is not None), order[0])


def check_rows(inputs: Inputs, own: str) -> None:
    """Refuse a request when a row of it cannot be used, if that is ours to do; pictures are not read here.

    Args:
        inputs: Of the request.
        own: The input of the model that asks. Nothing is checked unless it is the `speaker`.

    Raises:
        ValueError: The request has no input, the inputs disagree about the number of rows, a text is not UTF-8, or a row
            has nothing. The text may be shown to the caller.
    """
    if own != speaker(inputs):
        return
    names = _ordered(inputs)
    present = [name for name in names if inputs[name] is not None]
    if not present:
        expected = "at least one of them" if len(names) > 1 else "it"
        raise ValueError(f"the request has {_none_of(names, names)}, expected {expected}")
    columns = {name: elements(inputs, name) for name in present}
    if len({len(column) for column in columns.values()}) > 1:
        counts = " and ".join(f"{len(column)} {_noun(name)}s" for name, column in columns.items())
        raise ValueError(f"the request has {counts}, expected as many")
    for row, values in enumerate(zip(*columns.values(), strict=True)):
        # All of them, so that a text of other bytes is refused whatever else the row has.
        given = [_is_given(row, name, value) for name, value in zip(present, values, strict=True)]
        if not any(given):
            nouns = [_noun(name) for name in names]
            raise ValueError(f"row {row} has {_none_of(nouns, [_with_article(noun) for noun in nouns])}")


def elements(inputs: Inputs, name: str) -> list[bytes]:
    """Give an input row by row.

    Args:
        inputs: Of the request.
        name: Of the input.

    Returns:
        The bytes of each row; empty ones, as many as another input has rows, where this one is absent.
    """
    column = inputs[name]
    if column is None:
        rows = next((len(other) for other in inputs.values() if other is not None), 0)
        return [b""] * rows
    listed: list[bytes] = column.reshape(-1).tolist()
    return listed


def texts(inputs: Inputs, name: str) -> list[str]:
    """Give an input of texts row by row; what is no text, which its speaker refuses, is a missing one here.

    Args:
        inputs: Of the request.
        name: Of the input.

    Returns:
        A text for each row, empty for a missing one.
    """
    return [_legible(element) for element in elements(inputs, name)]


def _ordered(inputs: Inputs) -> list[str]:
    return sorted(inputs, key=lambda name: (name != IMAGE, name))


def _noun(name: str) -> str:
    return "picture" if name == IMAGE else name.lower().replace("_", " ")


def _with_article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _none_of(words: Sequence[str], words_in_a_row: Sequence[str]) -> str:
    return f"no {words[0]}" if len(words) == 1 else f"neither {' nor '.join(words_in_a_row)}"


def _is_given(row: int, name: str, element: bytes) -> bool:
    if name == IMAGE:
        return bool(element)
    try:
        return not is_blank(decode_title(element))
    except TitleError as error:
        raise ValueError(f"row {row}: {str(error).replace('title', _noun(name), 1)}") from None


def _legible(element: bytes) -> str:
    try:
        return decode_title(element)
    except TitleError:
        return ""
