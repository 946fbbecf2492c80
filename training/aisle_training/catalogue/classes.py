"""Which categories have enough products to be learnt."""

from collections import Counter
from collections.abc import Callable, Iterable

from aisle_training.catalogue.catalogue import Product


def has_picture(product: Product) -> bool:
    """Say whether a product has a picture."""
    return product.picture is not None


def has_anything(product: Product) -> bool:
    """Say yes: a product without a picture has a title."""
    return True


def select_classes(
    products: Iterable[Product], minimum: int, counts: Callable[[Product], bool] = has_picture
) -> list[tuple[str, ...]]:
    """Choose the categories that a classifier can learn.

    Args:
        products: A whole catalogue, not one split of it: the classes must not depend on the split.
        minimum: How many products that count a category needs, at least.
        counts: Which products count.

    Returns:
        Category paths, sorted by their names.
    """
    counted = Counter(product.category for product in products if counts(product))
    return sorted(category for category, count in counted.items() if count >= minimum)
