"""Products whose pictures look the same, found in a whole catalogue: what `check` reports and `split` can keep together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from aisle_training.catalogue.catalogue import Product
from aisle_training.catalogue.checking.near_duplicates import near_duplicates
from aisle_training.catalogue.checking.picture_prints import PicturePrint, take_prints

# Below this standard deviation of its samples (of 255 levels) a picture shows next to nothing. Of 39,507 pictures of a
# fashion catalogue one in a thousand is below 5.2, and those are pale things on white; placeholders are at 0 to 3.
BLANK_SPREAD: Final = 4.0

Progress = Callable[[int, int], None]


def look_at_pictures(
    products: Sequence[Product], progress: Progress = lambda done, wanted: None
) -> tuple[dict[str, PicturePrint], dict[str, str]]:
    """Take the prints of all pictures.

    Args:
        products: A catalogue's products.
        progress: Called with how many pictures were looked at, and how many there are.

    Returns:
        Prints by product id, and by product id what is wrong with a picture that has none.
    """
    pictures = [(product.id, product.picture) for product in products if product.picture is not None]
    prints: dict[str, PicturePrint] = {}
    faults: dict[str, str] = {}
    for done, (product_id, taken) in enumerate(take_prints(pictures), start=1):
        if isinstance(taken, str):
            faults[product_id] = taken
        else:
            prints[product_id] = taken
        progress(done, len(pictures))
    return prints, faults


def similar_products(
    products: Sequence[Product], pixel_hashes: Mapping[str, str], prints: Mapping[str, PicturePrint]
) -> list[list[Product]]:
    """Find sets of products whose pictures look the same, where not all are identical to the pixel.

    Args:
        products: A catalogue's products.
        pixel_hashes: Product id -> hash of its pixels, for those that have a picture.
        prints: Product id -> print of its picture; blank ones are left out, for they all look the same.

    Returns:
        Sets of two products and more.
    """
    by_pixels: dict[str, list[Product]] = {}
    for product in products:
        if product.id in prints and prints[product.id].spread >= BLANK_SPREAD:
            by_pixels.setdefault(pixel_hashes[product.id], []).append(product)
    families = list(by_pixels.values())
    sets = near_duplicates([prints[family[0].id] for family in families])
    return [[product for index in members for product in families[index]] for members in sets]
