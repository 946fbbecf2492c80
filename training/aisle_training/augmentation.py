"""What training pictures go through, anew in each epoch, so that a network does not learn the pictures by heart.

All in NumPy and Pillow, well under a millisecond a picture: the network's step takes ten times as long.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image
from PIL.Image import Resampling

from aisle_training.datasets import Floats, Labels, Pixels

# Of the picture's area, for what is erased. Source: Zhong et al., "Random Erasing Data Augmentation", 2017.
SMALLEST_ERASED: Final = 0.02
LARGEST_ERASED: Final = 0.2


@dataclass(frozen=True)
class Augmentation:
    """How training pictures are changed; each picture by draws of its own.

    Attributes:
        flip: Whether half of them are mirrored left to right.
        shift: They are shifted by up to so many pixels each way; the edge is repeated.
        zoom: Height and width are multiplied, each by its own factor, by up to 1 + zoom and down to 1 / (1 + zoom); what
            does not fit is cropped, and what is missing repeats the edge.
        colour: Contrast and the strength of red, green and blue are multiplied by up to 1 + colour and down to 1 - colour.
        erase: Fraction of the pictures of which a rectangle is painted over in one colour.
    """

    flip: bool = False
    shift: int = 0
    zoom: float = 0.0
    colour: float = 0.0
    erase: float = 0.0

    def __call__(self, pixels: Pixels, generator: np.random.Generator) -> Pixels:
        """Change a batch.

        Args:
            pixels: uint8 [rows, height, width, 3]; not changed.
            generator: Where the draws come from.

        Returns:
            Pixels of the same shape.
        """
        changed = _move(pixels, generator, self.flip, self.shift, self.zoom)
        if self.colour:
            _recolour(changed, generator, self.colour)
        if self.erase:
            _erase(changed, generator, self.erase)
        return changed


def mix_pictures(
    pixels: Pixels, labels: Labels, classes: int, generator: np.random.Generator, alpha: float
) -> tuple[Pixels, Floats]:
    """Lay each picture over another of its batch, as much of it as its own draw says.

    Args:
        pixels: uint8 [rows, height, width, 3]; not changed.
        labels: Class numbers, [rows].
        classes: Number of classes.
        generator: Where the draws come from.
        alpha: Of the Beta distribution of the shares; near 0 mixes few pictures, 1 draws all shares alike.

    Returns:
        Pixels of the same shape, and the share of each class, float32 [rows, classes].

    Source: Zhang et al., "mixup: Beyond Empirical Risk Minimization", 2018.
    """
    rows = len(pixels)
    partners = generator.permutation(rows)
    # In steps of 1/256: whole numbers are mixed in a third of the time.
    shares = np.round(256 * generator.beta(alpha, alpha, rows)).astype(np.uint16)
    weight = shares[:, None, None, None]
    mixed = ((pixels * weight + pixels[partners] * (256 - weight) + 128) >> 8).astype(np.uint8)
    targets = np.zeros((rows, classes), dtype=np.float32)
    np.add.at(targets, (np.arange(rows), labels), shares / 256)
    np.add.at(targets, (np.arange(rows), labels[partners]), 1 - shares / 256)
    return mixed, targets


def _move(pixels: Pixels, generator: np.random.Generator, flip: bool, shift: int, zoom: float) -> Pixels:
    """Mirror, shift and zoom."""
    rows, height, width, _ = pixels.shape
    mirrored = np.less(generator.random(rows), 0.5 if flip else 0.0)
    offsets = generator.integers(0, 2 * shift + 1, (rows, 2))
    # A picture made smaller shows up to `zoom` of its size beyond its edges.
    margin = shift + int(np.ceil(zoom * max(height, width) / 2))
    padded: Pixels = np.pad(pixels, ((0, 0), (margin, margin), (margin, margin), (0, 0)), mode="edge")
    moved = np.empty_like(pixels)
    factors = np.exp(generator.uniform(-np.log1p(zoom), np.log1p(zoom), (rows, 2))) if zoom else np.ones((rows, 2))
    for row, ((top, left), (tall, wide)) in enumerate(zip(offsets + margin - shift, factors, strict=True)):
        if zoom:
            seen_height, seen_width = height / tall, width / wide
            y, x = top + (height - seen_height) / 2, left + (width - seen_width) / 2
            box = (x, y, x + seen_width, y + seen_height)
            resized = Image.fromarray(padded[row]).resize((width, height), Resampling.BILINEAR, box=box)
            picture: Pixels = np.asarray(resized)
        else:
            picture = padded[row, top : top + height, left : left + width]
        moved[row] = picture[:, ::-1] if mirrored[row] else picture
    return moved


def _recolour(pixels: Pixels, generator: np.random.Generator, strength: float) -> None:
    """Change contrast and the strength of each channel, in place, through a table of 256 values a channel."""
    levels = np.arange(256.0)
    for picture in pixels:
        contrast, *gains = generator.uniform(1 - strength, 1 + strength, 4)
        for channel, gain in enumerate(gains):
            table = np.clip(((levels - 128) * contrast + 128) * gain + 0.5, 0, 255).astype(np.uint8)
            picture[..., channel] = table[picture[..., channel]]


def _erase(pixels: Pixels, generator: np.random.Generator, fraction: float) -> None:
    """Paint a rectangle of a drawn colour over a fraction of the pictures, in place."""
    _, height, width, _ = pixels.shape
    for row in np.flatnonzero(generator.random(len(pixels)) < fraction):
        area = generator.uniform(SMALLEST_ERASED, LARGEST_ERASED) * height * width
        ratio = np.exp(generator.uniform(np.log(0.4), np.log(2.5)))
        tall = min(max(round(float(np.sqrt(area * ratio))), 1), height)
        wide = min(max(round(float(np.sqrt(area / ratio))), 1), width)
        top, left = generator.integers(0, height - tall + 1), generator.integers(0, width - wide + 1)
        pixels[row, top : top + tall, left : left + wide] = generator.integers(0, 256, 3)
