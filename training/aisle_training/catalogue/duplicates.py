"""Which products are the same: by title, by pixels, and by any chain of the two.

A group is a set of products joined by chains of equal title keys and equal pixels, and of similar pictures where these
are asked for. Products of one group must stay
together when a catalogue is split: what a network has seen in training it must not be asked in the test.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from aisle_training.catalogue.catalogue import Product
from aisle_training.preprocessing.title_normalization import normalize_title


@dataclass(frozen=True, slots=True)
class Conflict:
    """Products that are the same by one measure and whose categories differ.

    Attributes:
        same: "title" or "pixels".
        key: The title key or the hash of the pixels that they share.
        categories: Product id -> category path.
    """

    same: str
    key: str
    categories: dict[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Exact duplicates in a catalogue; a set counts when it has two products or more.

    Attributes:
        title_sets: Sets of products with one title key.
        title_products: Products in those sets.
        pixel_sets: Sets of products with identical pixels.
        pixel_products: Products in those sets.
        conflicts: Those of both kinds of sets in which categories differ.
    """

    title_sets: int
    title_products: int
    pixel_sets: int
    pixel_products: int
    conflicts: list[Conflict]


def title_key(title: str) -> str:
    """What makes two titles one: lower case, single spaces, and the one spelling that the title classifier sees.

    Two titles that differ in case and white space alone have one key, and so have those that normalisation makes one:
    the network could not tell them apart. Empty for a blank title alone.
    """
    lowered = " ".join(title.lower().split())
    return normalize_title(lowered) or lowered  # a title of nothing but trade marks normalises to nothing


def find_duplicates(products: Sequence[Product], pixel_hashes: Mapping[str, str]) -> Duplicates:
    """Find exact duplicates and the conflicts among them.

    Args:
        products: A catalogue's products.
        pixel_hashes: Product id -> hash of its pixels, for those that have a picture.
    """
    sets = duplicate_sets(products, pixel_hashes)
    titles, pixels = sets["title"], sets["pixels"]
    conflicts = [
        Conflict(same, key, {product.id: product.category for product in members})
        for same, members_by_key in sets.items()
        for key, members in members_by_key.items()
        if len({product.category for product in members}) > 1
    ]
    return Duplicates(
        title_sets=len(titles),
        title_products=sum(map(len, titles.values())),
        pixel_sets=len(pixels),
        pixel_products=sum(map(len, pixels.values())),
        conflicts=conflicts,
    )


def duplicate_sets(products: Sequence[Product], pixel_hashes: Mapping[str, str]) -> dict[str, dict[str, list[Product]]]:
    """Collect the products that are the same, by each measure.

    Returns:
        "title" and "pixels" -> title key or hash of the pixels -> two products or more, in the order of `products`.
    """
    return {
        "title": _repeated((title_key(product.title), product) for product in products),
        "pixels": _repeated((pixel_hashes.get(product.id, ""), product) for product in products),
    }


def group_products(
    products: Sequence[Product], pixel_hashes: Mapping[str, str], similar: Iterable[Sequence[Product]] = ()
) -> list[list[Product]]:
    """Part a catalogue into groups that must stay together, by union-find.

    Args:
        products: A catalogue's products.
        pixel_hashes: Product id -> hash of its pixels, for those that have a picture.
        similar: Sets of these products that must stay together besides.

    Returns:
        Each product once. Groups stand in the order of their first products, and so do products within a group. A
        blank title and a missing picture join nothing.
    """
    parent = list(range(len(products)))

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    set_of = {product.id: str(number) for number, members in enumerate(similar) for product in members}
    first_with: dict[tuple[str, str], int] = {}
    for index, product in enumerate(products):
        keys = {
            "title": title_key(product.title),
            "pixels": pixel_hashes.get(product.id, ""),
            "similar": set_of.get(product.id, ""),
        }
        for kind, key in keys.items():
            if key:
                ends = sorted((root(first_with.setdefault((kind, key), index)), root(index)))
                parent[ends[1]] = ends[0]
    groups: dict[int, list[Product]] = {}
    for index, product in enumerate(products):
        groups.setdefault(root(index), []).append(product)
    return list(groups.values())


def majority_category(group: Sequence[Product]) -> tuple[str, ...]:
    """The category of most products of a group; of several such, the first by name."""
    counts = Counter(product.category for product in group)
    return min(counts, key=lambda category: (-counts[category], category))


def _repeated(keyed: Iterable[tuple[str, Product]]) -> dict[str, list[Product]]:
    """Collect products by key, without the empty key, and keep the sets of two and more."""
    sets: dict[str, list[Product]] = {}
    for key, product in keyed:
        if key:
            sets.setdefault(key, []).append(product)
    return {key: members for key, members in sets.items() if len(members) > 1}
