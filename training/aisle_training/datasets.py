"""The rows that training and evaluation work on: labelled products of one split, and their pictures as pixels."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aisle_training.catalogue.catalogue import Product
from aisle_training.preprocessing.images import ImageError, decode_image

Pixels = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int32]
Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]
Progress = Callable[[int, int], None]


def no_progress(done: int, wanted: int) -> None:
    """Show nothing."""


@dataclass(frozen=True)
class LabelledProducts:
    """Products of one split whose category is one of the classes.

    Attributes:
        products: In the order of the catalogue.
        labels: The class of each, int32 [rows].
    """

    products: list[Product]
    labels: Labels

    def __len__(self) -> int:
        return len(self.products)


def select_split(
    products: Iterable[Product], split_by_id: Mapping[str, str], split: str, classes: Sequence[tuple[str, ...]]
) -> LabelledProducts:
    """Choose the products of a split and label them.

    Args:
        products: A whole catalogue.
        split_by_id: Product id -> name of its split.
        split: Which split.
        classes: The categories that are learnt; products of others are left out.

    Returns:
        The products and their classes.

    Raises:
        ValueError: The split has no product of these classes.
    """
    class_of = {category: number for number, category in enumerate(classes)}
    chosen = [product for product in products if product.category in class_of and split_by_id.get(product.id) == split]
    if not chosen:
        raise ValueError(f"the split {split!r} has no product of any of the {len(class_of)} classes")
    return LabelledProducts(chosen, np.array([class_of[product.category] for product in chosen], dtype=np.int32))


def decode_pictures(
    products: Sequence[Product], picture_size: int, on_progress: Progress = no_progress
) -> tuple[Pixels, Flags]:
    """Decode the pictures of products, once, into one array.

    40,000 pictures at 96 pixels are 1.1 GB and half a minute on two cores; each epoch then reads memory alone.

    Args:
        products: The products.
        picture_size: Height and width, pixels.
        on_progress: Called with the number of products done, and of all.

    Returns:
        Pixels uint8 [rows, picture_size, picture_size, 3], zero where there is no picture; and whether there is one,
        [rows]. A picture that cannot be decoded counts as missing, as it does when the model is served.
    """
    pixels = np.zeros((len(products), picture_size, picture_size, 3), dtype=np.uint8)
    present = np.zeros(len(products), dtype=np.bool_)

    def decode(row: int) -> None:
        picture = products[row].picture
        if picture is None:
            return
        try:
            pixels[row] = decode_image(picture.read_bytes(), picture_size)
        except (ImageError, FileNotFoundError):
            return
        present[row] = True

    # Decoders release the interpreter lock, so threads are enough.
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as threads:
        for done, _ in enumerate(threads.map(decode, range(len(products))), start=1):
            on_progress(done, len(products))
    return pixels, present
