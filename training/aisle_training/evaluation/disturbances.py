"""What happens to pictures and texts outside of a catalogue: blur, darkness, poor JPEGs, typos, lost words.

A model is measured on inputs that were disturbed so, beside the same rows as they are. Every draw follows from
the title alone, so two evaluations of a run, or of two runs on one split, disturb a product in the same way.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from PIL import Image, ImageFilter

from aisle_training.datasets import Pixels

# 1.5 pixels of 96, what a phone makes of a picture when it moved a little. At 1/32 the image network of the recipe
# `fashion` fell from 0.90 to 0.12, which says nothing about such pictures.
BLUR_RADIUS: Final = 1 / 64
DARKENED_TO: Final = 0.3
POOR_JPEG_QUALITY: Final = 5
SHORTEST_WORD_WITH_TYPO: Final = 4
TYPO_FRACTION: Final = 0.3
DROPPED_FRACTION: Final = 0.3


def blur_pictures(pixels: Pixels) -> Pixels:
    """Blur pictures, uint8 [rows, size, size, 3], by a Gaussian of a radius of `BLUR_RADIUS` of their size."""
    blurred = ImageFilter.GaussianBlur(pixels.shape[1] * BLUR_RADIUS)
    return _each(pixels, lambda picture: picture.filter(blurred))


def darken_pictures(pixels: Pixels) -> Pixels:
    """Take `DARKENED_TO` of the light of pictures, uint8 [rows, size, size, 3]."""
    return np.round(pixels * DARKENED_TO).astype(np.uint8)


def spoil_pictures(pixels: Pixels) -> Pixels:
    """Write pictures, uint8 [rows, size, size, 3], as JPEGs of `POOR_JPEG_QUALITY`, and read them again."""

    def spoil(picture: Image.Image) -> Image.Image:
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=POOR_JPEG_QUALITY)
        return Image.open(file)

    return _each(pixels, spoil)


def add_typos(titles: Sequence[str]) -> list[str]:
    """Put a typo into `TYPO_FRACTION` of the longer words: two letters swapped, one left out, or one doubled.

    The first letter stays, as it mostly does under people's fingers.
    """

    def mistype(word: str, generator: np.random.Generator) -> str:
        if len(word) < SHORTEST_WORD_WITH_TYPO or generator.random() >= TYPO_FRACTION:
            return word
        at, kind = int(generator.integers(1, len(word) - 1)), int(generator.integers(3))
        middle = (word[at + 1] + word[at], word[at + 1], word[at] * 2 + word[at + 1])[kind]
        return word[:at] + middle + word[at + 2 :]

    return [
        " ".join(mistype(word, generator) for word in title.split())
        for title, generator in zip(titles, _generators(titles), strict=True)
    ]


def drop_words(titles: Sequence[str]) -> list[str]:
    """Leave out `DROPPED_FRACTION` of the words; of a title with words, one stays."""
    dropped = []
    for title, generator in zip(titles, _generators(titles), strict=True):
        words = title.split()
        kept = generator.random(len(words)) >= DROPPED_FRACTION
        if words and not kept.any():
            kept[generator.integers(len(words))] = True
        dropped.append(" ".join(word for word, stays in zip(words, kept, strict=True) if stays))
    return dropped


PICTURE_DISTURBANCES: Final[dict[str, Callable[[Pixels], Pixels]]] = {
    "blurred": blur_pictures,
    "darkened": darken_pictures,
    "as a poor JPEG": spoil_pictures,
}
TEXT_DISTURBANCES: Final[dict[str, Callable[[Sequence[str]], list[str]]]] = {
    "with typos": add_typos,
    "with words dropped": drop_words,
}


def _each(pixels: Pixels, change: Callable[[Image.Image], Image.Image]) -> Pixels:
    return np.stack([np.asarray(change(Image.fromarray(picture))) for picture in pixels])


def _generators(titles: Sequence[str]) -> list[np.random.Generator]:
    """A generator for each title, from its text."""
    return [np.random.default_rng(zlib.crc32(title.encode(errors="replace"))) for title in titles]
