"""The encoders: what of a product they take, and that what is served does the same."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aisle_training.catalogue.catalogue import Product
from aisle_training.modalities.registry import create_encoders
from aisle_training.preprocessing.attributes import hash_values
from aisle_training.recipes.recipe import AttributeRecipe, Recipe, Schedule, TextRecipe
from aisle_training.recipes.tiny import RECIPE

PRODUCTS = [
    Product("1", "Red lamp", ("Lamps",), None, "A lamp of glass", {"brand": "Aster"}),
    Product("2", " ", ("Lamps",), None, "A lamp of \u200funknown shade", {"brand": "ASTER "}),
    Product("3", "Blue clock", ("Clocks",), None, "", {"brand": "Rowan"}),
    Product("4", "Clock", ("Clocks",), None, "\u200f"),
]
SCHEDULE = Schedule(epochs=1, batch_size=2)


def recipe_of(**modalities: TextRecipe | AttributeRecipe) -> Recipe:
    """A recipe of some modalities."""
    return replace(RECIPE, modalities=modalities)


def test_texts_have_their_own_field_and_tokenizer(tmp_path: Path):
    """A title and a description are read from their fields, each with a tokenizer learnt on its own texts."""
    recipe = recipe_of(title=TextRecipe(SCHEDULE, length=8), description=TextRecipe(SCHEDULE, "description", length=12))
    title, description = create_encoders(recipe, tmp_path)
    for encoder, present in ((title, [True, False, True, True]), (description, [True, True, False, False])):
        assert [encoder.has(product) for product in PRODUCTS] == present
        encoder.learn(PRODUCTS)
        encoded = encoder.encode(PRODUCTS)
        assert encoded.array.shape == (4, encoder.recipe.length)
        assert encoded.array.max() <= encoder.highest
        assert encoded.present.tolist() == present
        assert not encoded.array[~encoded.present].any()
    assert (title.noun, title.input_name, title.present_name) == ("title", "TITLE", "TITLE_PRESENT")
    assert {path.name for path in tmp_path.iterdir()} == {"title_tokenizer.json", "description_tokenizer.json"}
    before = description.tokenizer_path.read_bytes()
    description.learn(PRODUCTS[:1])
    assert description.tokenizer_path.read_bytes() == before


def test_attribute_is_hashed(tmp_path: Path):
    """Values that differ in case and spaces alone share a bucket; a product without the attribute has none."""
    (brand,) = create_encoders(recipe_of(brand=AttributeRecipe(SCHEDULE, buckets=1000)), tmp_path)
    encoded = brand.encode(PRODUCTS)
    assert encoded.present.tolist() == [True, True, True, False]
    first, same, other, missing = encoded.array[:, 0]
    assert first == same != other
    assert missing == 0
    assert encoded.array[encoded.present].min() >= 1
    assert encoded.array.max() <= brand.highest


def test_buckets_are_the_same_everywhere():
    """A bucket is a matter of the value and the number of buckets alone: a served model hashes as its training did."""
    assert hash_values(["Aster", "", "آستر", "Rowan"], 4096).tolist() == [[2541], [0], [2509], [2956]]
    drawn = hash_values([f"brand {number}" for number in range(20_000)], 50)
    assert np.bincount(drawn[:, 0], minlength=51)[1:].min() > 300


def test_unknown_field_is_refused(tmp_path: Path):
    """A text over a field that products do not have is refused when the encoders are made."""
    with pytest.raises(ValueError, match="the field 'blurb', expected title or description"):
        create_encoders(recipe_of(blurb=TextRecipe(SCHEDULE, field="blurb")), tmp_path)


@pytest.mark.parametrize(("words", "length"), [(3, 32), (40, 64), (500, 96)])
def test_length_grows_with_the_texts(tmp_path: Path, words: int, length: int):
    """A text of most of its training texts is read whole, up to `longest`; the length is fixed from then on."""
    text = " ".join(["lamp"] * words)
    products = [Product(str(n), text, ("Lamps",), None) for n in range(19)]
    products += [Product("long", "lamp " * 5000, ("Lamps",), None), Product("none", " ", ("Lamps",), None)]
    (title,) = create_encoders(recipe_of(title=TextRecipe(SCHEDULE, longest=96)), tmp_path)
    fitted = title.fitted_recipe(products)
    assert fitted == TextRecipe(SCHEDULE, length=length)
    (again,) = create_encoders(recipe_of(title=fitted), tmp_path)
    assert again.fitted_recipe(products[:1]) == fitted


def test_ngrams_are_for_few_texts(tmp_path: Path):
    """A recipe may read n-grams where texts are few alone; which it was is fixed from then on."""
    (title,) = create_encoders(recipe_of(title=TextRecipe(SCHEDULE, ngrams=50, few_texts=3)), tmp_path)
    assert title.fitted_recipe(PRODUCTS) == TextRecipe(SCHEDULE, ngrams=50)
    assert title.fitted_recipe([*PRODUCTS, PRODUCTS[0]]) == TextRecipe(SCHEDULE, ngrams=0)
