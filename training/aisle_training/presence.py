"""Which inputs a product has, as the fusion classifier is trained, calibrated and evaluated."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from aisle_training.datasets import Flags

# What a product is judged by -> whether its picture, whether its title is used.
PRESENCES: Final = {"picture and title": (True, True), "picture alone": (True, False), "title alone": (False, True)}


def presence_view(
    image_present: Flags, title_present: Flags, with_image: bool, with_title: bool
) -> tuple[npt.NDArray[np.int64], Flags, Flags]:
    """Choose the rows that have certain inputs, as if they had no others.

    Args:
        image_present: Whether each row has a picture, [rows].
        title_present: Whether each row has a title, [rows].
        with_image: Whether the picture is used.
        with_title: Whether the title is used.

    Returns:
        Numbers of the rows that have what is used, and for them the two flags of a fusion classifier.
    """
    chosen = np.flatnonzero((image_present | (not with_image)) & (title_present | (not with_title)))
    return chosen, np.full(len(chosen), with_image), np.full(len(chosen), with_title)
