"""What a training goes over: the categories that are learnt, the modalities there are, and the products of each split."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from aisle_training.catalogue.catalogue import Product
from aisle_training.catalogue.classes import select_classes
from aisle_training.datasets import LabelledProducts, select_split
from aisle_training.modalities.encoder import Encoder
from aisle_training.runs import PATH_SEPARATOR

log = logging.getLogger(__name__)

SPLITS: Final = ("train", "validation")


@dataclass(frozen=True)
class SelectedRows:
    """What a training goes over.

    Attributes:
        encoders: The modalities that products of both splits have, in the order of the recipe.
        classes: The categories that are learnt.
        rows: Split -> its products of these categories.
    """

    encoders: list[Encoder]
    classes: list[tuple[str, ...]]
    rows: dict[str, LabelledProducts]


def select_rows(
    encoders: Sequence[Encoder], products: Sequence[Product], split_by_id: Mapping[str, str], minimum: int
) -> SelectedRows:
    """Select what is learnt, and log what is left out.

    A modality that no product of one of the two splits has is left out: it could not be learnt, or not be calibrated.

    Args:
        encoders: All modalities of the recipe.
        products: The whole catalogue.
        split_by_id: Product id -> name of its split.
        minimum: Products with the first modality that a category needs, at least.

    Raises:
        ValueError: No modality is left, or fewer than two categories have enough products.
    """
    there = _with_rows(encoders, products, split_by_id)
    while True:
        # Which categories are learnt hangs on the first modality, and which modalities there are on these categories.
        classes = _choose_classes(products, minimum, there[0])
        chosen = set(classes)
        known = [product for product in products if product.category in chosen]
        left = _with_rows(there, known, split_by_id)
        if len(left) == len(there):
            break
        there = left
    smaller = {product.category for product in products} - chosen
    if smaller:
        log.info(
            "without %d categories of fewer than %d products with a %s, and their %d products; %d categories are learnt",
            len(smaller),
            minimum,
            there[0].noun,
            len(products) - len(known),
            len(classes),
        )
    return SelectedRows(
        there, classes, {split: select_split(products, split_by_id, split, classes) for split in SPLITS}
    )


def _with_rows(
    encoders: Sequence[Encoder], products: Sequence[Product], split_by_id: Mapping[str, str]
) -> list[Encoder]:
    kept = []
    for encoder in encoders:
        having = {split_by_id.get(product.id) for product in products if encoder.has(product)}
        lacking = [split for split in SPLITS if split not in having]
        if not lacking:
            kept.append(encoder)
        elif having:
            log.info("without %s, which no product of the %s split has", encoder.name, " or the ".join(lacking))
        else:
            log.info("without %s, which no product has", encoder.name)
    if not kept:
        names = ", ".join(encoder.name for encoder in encoders)
        raise ValueError(f"products of the train and of the validation split have none of {names} in common")
    return kept


def _choose_classes(products: Sequence[Product], minimum: int, first: Encoder) -> list[tuple[str, ...]]:
    classes = select_classes(products, minimum, first.has)
    if len(classes) < 2:
        counts = Counter(product.category for product in products if first.has(product)).most_common(3)
        largest = ", ".join(f"{PATH_SEPARATOR.join(category)} ({count})" for category, count in counts)
        raise ValueError(
            f"{len(classes)} categories have {minimum} products with a {first.noun} or more, expected at least 2; "
            f"the largest are: {largest}"
        )
    return classes
