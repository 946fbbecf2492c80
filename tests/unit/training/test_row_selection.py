"""What a training goes over."""

import logging
from pathlib import Path

import pytest

from aisle_training.catalogue.catalogue import Product
from aisle_training.modalities.registry import create_encoders
from aisle_training.recipes.shop import RECIPE
from aisle_training.row_selection import select_rows

SPLIT_OF = ("train", "train", "validation", "test")


def shop(**descriptions: str) -> tuple[list[Product], dict[str, str]]:
    """A shop of 24 mugs, 24 cups and 4 plates with titles, some described; a quarter of each is for validation."""
    categories = ["Mugs"] * 24 + ["Cups"] * 24 + ["Plates"] * 4
    products = [
        Product(f"p{n}", f"{category} {n}", ("Home", category), None, descriptions.get(f"p{n}", ""))
        for n, category in enumerate(categories)
    ]
    return products, {product.id: SPLIT_OF[n % 4] for n, product in enumerate(products)}


@pytest.mark.parametrize(
    ("descriptions", "learnt", "logged"),
    [
        ({"p0": "Of clay", "p2": "Of glass"}, ["title", "description"], None),
        (
            {"p0": "Of clay", "p3": "Of glass"},
            ["title"],
            "without description, which no product of the validation split",
        ),
        ({"p2": "Of clay"}, ["title"], "without description, which no product of the train split has"),
        ({"p3": "Of clay"}, ["title"], "no product of the train or the validation split has"),
        (
            {"p0": "Of clay", "p50": "Of glass"},
            ["title"],
            "without description, which no product of the validation split",
        ),
        ({}, ["title"], "without description, which no product has"),
    ],
)
def test_a_modality_that_one_split_lacks_is_left_out(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    descriptions: dict[str, str],
    learnt: list[str],
    logged: str | None,
):
    """A modality is learnt that learnt products of both splits have; any other is left out, and the log says why."""
    products, split_by_id = shop(**descriptions)
    with caplog.at_level(logging.INFO):
        selected = select_rows(create_encoders(RECIPE, tmp_path), products, split_by_id, 20)
    assert [encoder.name for encoder in selected.encoders] == learnt
    assert "without image, which no product has" in caplog.text
    assert logged is None or logged in caplog.text
    assert {split: len(rows) for split, rows in selected.rows.items()} == {"train": 24, "validation": 12}


def test_small_categories_are_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """Categories with too few products are not learnt, and the log counts them and their products."""
    products, split_by_id = shop()
    with caplog.at_level(logging.INFO):
        selected = select_rows(create_encoders(RECIPE, tmp_path), products, split_by_id, 20)
    assert selected.classes == [("Home", "Cups"), ("Home", "Mugs")]
    assert "without 1 categories of fewer than 20 products with a title, and their 4 products" in caplog.text


def test_a_shop_of_one_category_is_refused(tmp_path: Path):
    """One category alone is nothing to choose from: the refusal counts the products of the largest ones."""
    products, split_by_id = shop()
    with pytest.raises(
        ValueError, match=r"1 categories have 20 products with a title .*: Home > Mugs \(24\), Home > Pl"
    ):
        select_rows(
            create_encoders(RECIPE, tmp_path), [*products[:24], *products[48:]], split_by_id, RECIPE.minimum_products
        )


def test_splits_that_have_nothing_in_common_are_refused(tmp_path: Path):
    """Where one split has titles and the other has none, nothing can be learnt and calibrated."""
    products, split_by_id = shop()
    titled = [product for product in products if split_by_id[product.id] != "validation"]
    with pytest.raises(ValueError, match="have none of title, image, description in common"):
        select_rows(create_encoders(RECIPE, tmp_path), titled, split_by_id, 20)
