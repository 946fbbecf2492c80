"""Titles without the words of their category."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aisle_training.category_words import mask_category_words
from aisle_training.preprocessing.title_normalization import MAXIMUM_CHARACTERS


@pytest.mark.parametrize(
    ("title", "path", "masked"),
    [
        ("Puma Men's Blue T-Shirt", ("Apparel", "Topwear", "Tshirts"), "Puma Men's Blue"),
        ("Puma Men T shirts", ("Tshirts",), "Puma Men"),
        ("Red tee shirts", ("Tshirts",), "Red tee shirts"),
        ("Reebok FLIP-FLOPS black", ("Footwear", "Flip Flops"), "Reebok black"),
        ("Nike flip flop (black)", ("Flip Flops",), "Nike (black)"),
        ("Nike Casual Leather Shoe", ("Footwear", "Shoes", "Casual Shoes"), "Nike Leather"),
        ("Casio Watch G-101", ("Watches",), "Casio G-101"),
        ("Watchmaker's tools", ("Watches",), "Watchmaker's tools"),
        ("Fossil Women's Dress's belt", ("Dresses",), "Fossil Women's belt"),
        ("Lip gloss by Revlon", ("Lips", "Lip Gloss"), "by Revlon"),
        ("Sunglasses-case", ("Sunglasses",), "-case"),
        ("Ray-Ban sun glasses", ("Sunglasses",), "Ray-Ban"),
        ("Pouch for the bag", ("Pouch for Bags",), "for the"),
        ("Dress - dresses", ("Dress",), ""),
        ("کاپشن‌های مردانه چرم", ("کاپشن، بارانی و پالتو مردانه",), "چرم"),
        ("كاپشن ها و چرم", ("کاپشن",), "و چرم"),
        ("ساعت مچی", (), "ساعت مچی"),
        ("", ("Bags",), ""),
    ],
)
def test_words_of_the_category_go(title: str, path: tuple[str, ...], masked: str) -> None:
    """Each word of the category's names goes, in singular and plural, joined or apart; all others stay."""
    assert mask_category_words(title, path) == masked


@settings(deadline=None)
@given(st.text(max_size=60), st.lists(st.text(max_size=20), max_size=3))
def test_any_title_and_path(title: str, path: list[str]) -> None:
    """Any title of any category can be masked; masking again takes out no more than what then stands side by side."""
    masked = mask_category_words(title, path)
    assert len(masked) <= MAXIMUM_CHARACTERS
    assert len(mask_category_words(masked, path)) <= len(masked)


def test_long_titles() -> None:
    """A title of a hundred thousand words is cut, as everywhere."""
    assert len(mask_category_words("red shirt " * 100_000, ("Shirts",))) <= MAXIMUM_CHARACTERS
