"""How a split turned out: counts, and how well each category kept its proportion."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aisle_training.catalogue.catalogue import Product
from aisle_training.catalogue.classes import has_anything, has_picture, select_classes
from aisle_training.catalogue.splits import SPLIT_NAMES


@dataclass(frozen=True, slots=True)
class SplitShare:
    """One split, measured.

    Attributes:
        name: One of `SPLIT_NAMES`.
        products: Products in it.
        pictures: Those with a picture.
        categories: Categories with at least one product in it.
        fraction: Its part of all products.
        deviation: The largest distance, over the classes, between a class's part in this split and `fraction`.
        deviating: The class of that distance; None when there are no classes.
    """

    name: str
    products: int
    pictures: int
    categories: int
    fraction: float
    deviation: float
    deviating: tuple[str, ...] | None


def measure_split(products: Sequence[Product], split_by_id: Mapping[str, str], minimum: int) -> list[SplitShare]:
    """Measure a split.

    Args:
        products: A whole catalogue.
        split_by_id: Product id -> one of `SPLIT_NAMES`, for all of them.
        minimum: Categories with at least so many pictures, or products in a catalogue without pictures, are the classes by
            which stratification is judged.

    Returns:
        One share for each of `SPLIT_NAMES`.
    """
    is_counted = has_picture if any(map(has_picture, products)) else has_anything
    classes = select_classes(products, minimum, is_counted)
    total = Counter(product.category for product in products)
    shares = []
    for name in SPLIT_NAMES:
        members = [product for product in products if split_by_id[product.id] == name]
        counts = Counter(product.category for product in members)
        fraction = len(members) / max(1, len(products))
        deviations = {category: abs(counts[category] / total[category] - fraction) for category in classes}
        deviating = max(deviations, key=deviations.__getitem__, default=None)
        shares.append(
            SplitShare(
                name=name,
                products=len(members),
                pictures=sum(product.picture is not None for product in members),
                categories=len(counts),
                fraction=fraction,
                deviation=0.0 if deviating is None else deviations[deviating],
                deviating=deviating,
            )
        )
    return shares
