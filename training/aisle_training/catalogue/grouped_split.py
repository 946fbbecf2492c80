"""Part a catalogue into train, validation and test, by groups and in proportion.

scikit-learn's StratifiedGroupKFold was weighed and left: it makes folds of equal size only, so that 0.1 and 0.2 would
take ten folds of which seven are put together again, and it weighs every group against every fold and class in Python,
which is slow where classes run to hundreds and groups to tens of thousands. What is needed is smaller.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from aisle_training.catalogue.catalogue import Product
from aisle_training.catalogue.duplicates import group_products, majority_category
from aisle_training.catalogue.errors import SplitError
from aisle_training.catalogue.splits import SPLIT_NAMES


def split_products(
    products: Sequence[Product],
    pixel_hashes: Mapping[str, str],
    *,
    validation: float,
    test: float,
    seed: int,
    similar: Iterable[Sequence[Product]] = (),
) -> dict[str, str]:
    """Give each product its split, so that no title and no picture is in two of them.

    Each category is parted by itself. Its groups come in an order drawn from the seed, and each goes to the split that
    lacks most products of the category. Groups larger than the category's smallest share come first, the largest in
    front, because late they could not be made up for; for the rest size plays no part, or train would get all
    duplicates and the test would be easier or harder than the shop is.

    Args:
        products: A whole catalogue.
        pixel_hashes: Product id -> hash of its pixels, for those that have a picture.
        validation: Fraction of the products, 0 for none.
        test: Fraction of the products, 0 for none.
        seed: Any integer. The same seed gives the same split, on any machine and in any order of `products`.
        similar: Sets of products that must not be parted besides.

    Returns:
        Product id -> one of `SPLIT_NAMES`, in the order of `products`.

    Raises:
        SplitError: A fraction is below 0, or nothing is left to train on.
    """
    if not (validation >= 0 and test >= 0 and validation + test < 1):
        raise SplitError(
            f"the fractions are validation {validation} and test {test}, expected at least 0 each and below 1 together"
        )
    fractions = dict(zip(SPLIT_NAMES, (1 - validation - test, validation, test), strict=True))
    groups_by_category: dict[tuple[str, ...], list[list[Product]]] = {}
    for group in group_products(products, pixel_hashes, similar):
        groups_by_category.setdefault(majority_category(group), []).append(group)
    split_by_id: dict[str, str] = {}
    for groups in groups_by_category.values():
        _split_category(groups, fractions, seed, split_by_id)
    return {product.id: split_by_id[product.id] for product in products}


def _split_category(
    groups: Sequence[Sequence[Product]], fractions: Mapping[str, float], seed: int, split_by_id: dict[str, str]
) -> None:
    """Part the groups of one category and note each product's split in `split_by_id`."""
    total = sum(map(len, groups))
    lacking = {name: fraction * total for name, fraction in fractions.items() if fraction > 0}
    smallest_share = min(lacking.values())

    def order(group: Sequence[Product]) -> tuple[int, bytes]:
        # A hash, not a random generator: it depends on the group alone, not on those before it, and on no version.
        anchor = min(product.id for product in group)
        drawn = hashlib.sha256(f"{seed} {anchor}".encode()).digest()
        return (-len(group) if len(group) > smallest_share else 0, drawn)

    for group in sorted(groups, key=order):
        split = max(lacking, key=lacking.__getitem__)
        lacking[split] -= len(group)
        split_by_id.update((product.id, split) for product in group)
