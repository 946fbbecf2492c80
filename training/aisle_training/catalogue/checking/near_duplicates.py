"""Pictures that are the same to the eye and not to the byte: other sizes, qualities and crops by a hair.

Two steps. The hash proposes: pictures whose hashes differ in at most `MAX_BITS` bits agree in at least one of
`MAX_BITS + 1` bands of it, so only pictures that share a band are compared at all. The small copy decides, for it sees
colour: the same shirt in red and in blue has one hash and is two products.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from aisle_training.catalogue.checking.picture_prints import PicturePrint

# Of 600 pictures of a fashion catalogue, written anew half as large again and at JPEG quality 60, 99 in 100 stay within
# 4 bits, and the copies of all within a mean difference of 1.8 of 255 levels. At 3 levels chains of look-alikes grow to
# hundreds, at 2 they stay families: one lipstick in nine shades.
MAX_BITS: Final = 4
MAX_DIFFERENCE: Final = 2.0

_BITS: Final = 64
_ROWS: Final = 256  # so many pictures are held against a whole band's bucket at once
_ONES: Final = np.array([bin(value).count("1") for value in range(1 << 16)], dtype=np.uint8)


def near_duplicates(prints: Sequence[PicturePrint]) -> list[list[int]]:
    """Find sets of pictures that look the same.

    Args:
        prints: Of pictures, none of them blank: blank ones all look the same.

    Returns:
        Sets of two and more indices into `prints`, joined by chains of pairs; each set, and the sets, in order.
    """
    if not prints:
        return []
    hashes = np.array([one.hash for one in prints], dtype=np.uint64)
    copies = np.stack([one.copy for one in prints]).reshape(len(prints), -1)
    # Each picture's label is the first picture of its set. Labels are an array, not a tree, so that a thousand copies of
    # one placeholder cost a thousand steps: what has the label already is left out of the comparison.
    labels = np.arange(len(prints))
    for index, others in _proposed(hashes):
        others = others[labels[others] != labels[index]]
        if len(others):
            differences = np.abs(copies[others].astype(np.int16) - copies[index]).mean(axis=1)
            for label in np.unique(labels[others[differences <= MAX_DIFFERENCE]]):
                ends = sorted((int(label), int(labels[index])))
                labels[labels == ends[1]] = ends[0]
    sets: dict[int, list[int]] = {}
    for index, label in enumerate(labels):
        sets.setdefault(int(label), []).append(index)
    return [members for members in sets.values() if len(members) > 1]


def _proposed(hashes: npt.NDArray[np.uint64]) -> Iterator[tuple[int, npt.NDArray[np.intp]]]:
    """Indices, each with others whose hashes differ in at most `MAX_BITS` bits; a pair may come several times."""
    edges = np.linspace(0, _BITS, MAX_BITS + 2).astype(int)
    for low, high in itertools.pairwise(edges):
        band = (hashes >> np.uint64(low)) & np.uint64((1 << int(high - low)) - 1)
        order = np.argsort(band, kind="stable")
        starts = np.flatnonzero(np.diff(band[order])) + 1
        for bucket in np.split(order, starts):
            for row in range(0, len(bucket) - 1, _ROWS):
                rest = bucket[row:]
                close = np.triu(_distances(hashes[rest[:_ROWS]], hashes[rest]) <= MAX_BITS, 1)
                for index in np.flatnonzero(close.any(axis=1)):
                    yield int(rest[index]), rest[close[index]]


def _distances(left: npt.NDArray[np.uint64], right: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint8]:
    """Bits in which hashes differ: UINT8[len(left), len(right)]."""
    different = left[:, None] ^ right[None, :]
    bits: npt.NDArray[np.uint8] = _ONES[different.view(np.uint16)]
    total: npt.NDArray[np.uint8] = bits.reshape(*different.shape, 4).sum(axis=-1, dtype=np.uint8)
    return total
