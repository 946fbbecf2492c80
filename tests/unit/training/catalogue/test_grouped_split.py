"""Parting a catalogue into train, validation and test."""

import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisle_training.catalogue.catalogue import Product
from aisle_training.catalogue.duplicates import title_key
from aisle_training.catalogue.errors import SplitError
from aisle_training.catalogue.grouped_split import split_products
from aisle_training.catalogue.split_report import measure_split
from aisle_training.catalogue.splits import SPLIT_NAMES

FRACTIONS = {"train": 0.7, "validation": 0.1, "test": 0.2}


def shop(count: int, categories: int, titles: int, seed: int = 0) -> tuple[list[Product], dict[str, str]]:
    """Make a shop: products drawn from `titles` titles, one in ten with the pixels of another one."""
    draw = random.Random(seed)
    products = [
        Product(f"p{n}", f"Product {draw.randrange(titles)}", ("Home", f"Shelf {n % categories}"), None)
        for n in range(count)
    ]
    return products, {product.id: f"hash {draw.randrange(10 * count)}" for product in products}


@given(
    rows=st.lists(
        st.tuples(st.sampled_from("abcdefgh "), st.sampled_from(["", *"pqrstuvw"]), st.sampled_from(["Mugs", "Cups"])),
        max_size=40,
    ),
    validation=st.sampled_from([0.0, 0.1, 0.3]),
    test=st.sampled_from([0.0, 0.2, 0.5]),
    seed=st.integers(),
)
def test_nothing_crosses(rows: list[tuple[str, str, str]], validation: float, test: float, seed: int) -> None:
    """Each product has one split, and no title and no pixels are in two, whatever the catalogue, fractions and seed."""
    products = [Product(str(n), title, ("Home", category), None) for n, (title, _, category) in enumerate(rows)]
    pixel_hashes = {str(n): pixels for n, (_, pixels, _) in enumerate(rows) if pixels}
    split_by_id = split_products(products, pixel_hashes, validation=validation, test=test, seed=seed)
    assert list(split_by_id) == [product.id for product in products]
    assert validation or "validation" not in split_by_id.values()
    assert test or "test" not in split_by_id.values()
    splits_by_key: dict[str, set[str]] = {}
    for product in products:
        for key in (f"title {title_key(product.title)}", f"pixels {pixel_hashes.get(product.id, '')}"):
            splits_by_key.setdefault(key, set()).add(split_by_id[product.id])
    for key, splits in splits_by_key.items():
        assert key in ("title ", "pixels ") or len(splits) == 1


def test_single_products_keep_their_proportion() -> None:
    """Where no two products are the same, each category is within one product of its share in each split."""
    products = [Product(f"p{n}", f"Mug {n}", (f"Shelf {n % 7}",), None) for n in range(1000)]
    split_by_id = split_products(products, {}, validation=0.1, test=0.2, seed=3)
    sizes = Counter(product.category for product in products)
    counts = Counter((product.category, split_by_id[product.id]) for product in products)
    for category, size in sizes.items():
        for name, fraction in FRACTIONS.items():
            assert abs(counts[category, name] - fraction * size) <= 1


def test_duplicates_keep_their_proportion() -> None:
    """Duplicates are spread over the splits in proportion, not gathered in the largest."""
    products, _ = shop(6000, categories=5, titles=3000)
    products = [Product(p.id, f"{p.title} {p.category[1]}", p.category, None) for p in products]
    repeated = {title for title, n in Counter(p.title for p in products).items() if n > 1}
    split_by_id = split_products(products, {}, validation=0.1, test=0.2, seed=0)
    for share in measure_split(products, split_by_id, minimum=0):
        assert abs(share.fraction - FRACTIONS[share.name]) < 0.01
        assert share.deviation < 0.01
        members = [p for p in products if split_by_id[p.id] == share.name]
        duplicated = sum(p.title in repeated for p in members) / len(members)
        expected = sum(p.title in repeated for p in products) / len(products)
        assert abs(duplicated - expected) < 0.05


def test_large_group_stays_in_train() -> None:
    """A group larger than a category's share of the test goes where there is room for it."""
    products = [Product(f"p{n}", "Mug" if n < 50 else f"Mug {n}", ("Mugs",), None) for n in range(100)]
    for seed in range(10):
        split_by_id = split_products(products, {}, validation=0.1, test=0.2, seed=seed)
        assert split_by_id["p0"] == "train"
        assert Counter(split_by_id.values()) == {"train": 70, "test": 20, "validation": 10}


def test_seed() -> None:
    """The same seed gives the same split in any order of the products, another seed gives another one."""
    products, pixel_hashes = shop(500, categories=4, titles=400)
    first = split_products(products, pixel_hashes, validation=0.1, test=0.2, seed=0)
    again = split_products(products[::-1], pixel_hashes, validation=0.1, test=0.2, seed=0)
    other = split_products(products, pixel_hashes, validation=0.1, test=0.2, seed=1)
    assert first == again
    assert first != other


def test_hash_seed_of_python_plays_no_part() -> None:
    """The split does not depend on the order in which this process keeps its sets."""
    program = (
        "from tests.unit.training.catalogue.test_grouped_split import shop, split_products\n"
        "products, hashes = shop(300, categories=4, titles=200)\n"
        "print(list(split_products(products, hashes, validation=0.1, test=0.2, seed=0).values()))"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            check=True,
            timeout=60,
        ).stdout
        for hash_seed in ("1", "2", "3")
    }
    assert len(outputs) == 1


@pytest.mark.parametrize(("validation", "test"), [(-0.1, 0.2), (0.1, -0.2), (0.5, 0.5), (float("nan"), 0.2), (2, 0)])
def test_impossible_fractions(validation: float, test: float) -> None:
    """Fractions below zero, or that leave nothing to train on, are refused."""
    with pytest.raises(SplitError, match="expected at least 0 each and below 1 together"):
        split_products([], {}, validation=validation, test=test, seed=0)


def test_report() -> None:
    """The report counts products, pictures and categories by split and names the class that fits worst."""
    picture = Path("/mug.jpg")
    products = [Product(str(n), "", ("Mugs",) if n < 4 else ("Cups",), picture if n < 5 else None) for n in range(8)]
    split_by_id = dict(zip("01234567", ["train"] * 4 + ["train", "test", "test", "validation"], strict=True))
    train, validation, test = measure_split(products, split_by_id, minimum=2)
    assert (train.products, train.pictures, train.categories, train.fraction) == (5, 5, 2, 0.625)
    assert (train.deviation, train.deviating) == (0.375, ("Mugs",))
    assert (validation.products, validation.pictures, validation.categories) == (1, 0, 1)
    assert (test.name, test.deviation) == ("test", 0.25)
    assert [share.name for share in (train, validation, test)] == list(SPLIT_NAMES)
    assert {share.deviating for share in measure_split(products, split_by_id, minimum=99)} == {None}


def test_report_without_pictures() -> None:
    """In a catalogue without pictures, categories are judged that have enough products."""
    products = [Product(str(n), f"Mug {n}", ("Mugs",) if n < 5 else ("Cups",), None) for n in range(8)]
    split_by_id = {product.id: "train" if product.id < "4" else "test" for product in products}
    train, _, _ = measure_split(products, split_by_id, minimum=4)
    assert (train.deviating, train.deviation) == (("Mugs",), pytest.approx(0.3))


def test_similar_products_stay_together() -> None:
    """Sets that were named stay in one split, and are joined by chains with equal titles and pixels."""
    products, _ = shop(300, categories=3, titles=10_000)
    ids = {product.id: product for product in products}
    similar = [[ids[f"p{n}"], ids[f"p{n + 100}"]] for n in range(100)]
    pixel_hashes = {f"p{n}": f"hash {n % 100}" for n in range(100, 300)}
    split_by_id = split_products(products, pixel_hashes, validation=0.1, test=0.2, seed=0, similar=similar)
    assert all(len({split_by_id[f"p{n + more}"] for more in (0, 100, 200)}) == 1 for n in range(100))
    alone = split_products(products, pixel_hashes, validation=0.1, test=0.2, seed=0)
    assert any(split_by_id[product.id] != alone[product.id] for product in products)
