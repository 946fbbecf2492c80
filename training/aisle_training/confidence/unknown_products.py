"""Products of no known class, to measure what becomes of them: those that were left out of training, and what is none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product as combine
from typing import Final

import numpy as np
import numpy.typing as npt

from aisle_training.catalogue.catalogue import Product

# Enough to see half a point of difference, few enough to be decoded in seconds.
MOST_PRODUCTS: Final = 3000
PICTURES: Final = 200
# What products of a catalogue are called whose category was not learnt.
LEFT_OUT: Final = "categories left out"
# Of wares that a shop for fashion, watches and bags does not have, in a language that the run may never have seen.
_PERSIAN: Final = (
    ("یخچال", "مبل راحتی", "کتاب داستان", "چرخ گوشت", "دوچرخه", "تلویزیون", "قابلمه", "میز تحریر", "لاستیک", "شامپو"),
    ("بزرگ", "کوچک", "سفید", "قرمز"),
    ("مدل جدید", "ایرانی", "با ضمانت", "ارزان", "دو نفره"),
)
_ENGLISH: Final = (
    ("refrigerator", "sofa", "novel", "meat grinder", "bicycle", "television", "saucepan", "desk", "tyre", "shampoo"),
    ("large", "small", "white", "red"),
    ("new model", "made in Iran", "with warranty", "cheap", "for two"),
)


def left_out(products: Sequence[Product], classes: Sequence[tuple[str, ...]], seed: int = 0) -> list[Product]:
    """Draw products of categories that a run did not learn, because too few products have them.

    Args:
        products: A whole catalogue.
        classes: What the run learnt.
        seed: Of the draw.

    Returns:
        At most `MOST_PRODUCTS`, in their order.
    """
    known = set(classes)
    others = [each for each in products if each.category not in known]
    chosen = np.random.default_rng(seed).permutation(len(others))[:MOST_PRODUCTS]
    return [others[place] for place in sorted(chosen)]


def foreign_titles(titles: Sequence[str]) -> tuple[str, list[str]]:
    """Give titles in a language that most of a run's own titles are not in.

    Args:
        titles: The run's own.

    Returns:
        What they are, and 200 of them: Persian ones, or English ones for a run whose titles are in Persian.
    """
    persian = sum(any("\u0600" <= letter <= "\u06ff" for letter in title) for title in titles)
    name, parts = ("English titles", _ENGLISH) if 2 * persian > len(titles) else ("Persian titles", _PERSIAN)
    return name, [" ".join(words) for words in combine(*parts)]


def no_pictures(size: int, seed: int = 0) -> Iterator[tuple[str, npt.NDArray[np.uint8]]]:
    """Give pixels that show nothing: noise, and one colour all over.

    Args:
        size: Height and width.
        seed: Of what is drawn.

    Yields:
        What they are, and `PICTURES` of them, uint8 [rows, size, size, 3].
    """
    random = np.random.default_rng(seed)
    yield "noise", random.integers(0, 256, (PICTURES, size, size, 3), dtype=np.uint8)
    colours = random.integers(0, 256, (PICTURES, 1, 1, 3), dtype=np.uint8)
    colours[0], colours[1] = 255, 0
    yield "blank pictures", np.broadcast_to(colours, (PICTURES, size, size, 3)).copy()
