"""Which categories have enough pictures to be learnt."""

from collections import Counter
from collections.abc import Iterable

from aisle_training.catalogue.catalogue import Product


def select_classes(products: Iterable[Product], minimum_pictures: int) -> list[tuple[str, ...]]:
    """Choose the categories that a classifier can learn.

    Args:
        products: A whole catalogue, not one split of it: the classes must not depend on the split.
        minimum_pictures: How many products with a picture a category needs, at least.

    Returns:
        Category paths, sorted by their names.
    """
    pictures = Counter(product.category for product in products if product.picture is not None)
    return sorted(category for category, count in pictures.items() if count >= minimum_pictures)
