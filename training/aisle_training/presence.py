"""Which inputs a product has, as the fusion classifier is trained, calibrated and evaluated."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt

from aisle_training.datasets import Flags


def list_presences(nouns: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """List what a product can be judged by.

    Args:
        nouns: Name of each modality -> what people call it: {"image": "picture", "title": "title"}.

    Returns:
        For people -> names of the modalities: {"picture and title": ("image", "title"), "picture alone": ("image",), ...};
        the whole set first, then ever smaller ones.
    """
    sizes = range(len(nouns), 0, -1)
    sets = [names for size in sizes for names in combinations(nouns, size)]
    return {_describe([nouns[name] for name in names], is_all=len(names) == len(nouns)): names for names in sets}


def rows_with(present: Mapping[str, Flags], names: Collection[str]) -> npt.NDArray[np.int64]:
    """Give the numbers of the rows that have all of the modalities `names`; `present` has the flags [rows] of each."""
    return np.flatnonzero(np.logical_and.reduce([present[name] for name in names]))


def _describe(nouns: Sequence[str], *, is_all: bool) -> str:
    if len(nouns) == 1:
        return nouns[0] if is_all else f"{nouns[0]} alone"
    return f"{', '.join(nouns[:-1])} and {nouns[-1]}"
