"""Recipes: the shipped ones, their file, their overrides."""

import pytest

from aisle_training.recipes.recipe import Recipe
from aisle_training.recipes.registry import RECIPE_MODULES, load_recipe


@pytest.mark.parametrize("name", RECIPE_MODULES)
def test_shipped_recipe_survives_its_file(name: str):
    """Every shipped recipe carries its own name and is read back from JSON as it was written."""
    recipe = load_recipe(name)
    assert recipe.name == name
    assert Recipe.from_json(recipe.to_json()) == recipe


def test_epochs_are_set_for_all_networks():
    """`with_epochs` changes the epochs of all three networks and nothing else."""
    recipe = load_recipe("fashion")
    short = recipe.with_epochs(1)
    assert {short.image.schedule.epochs, short.title.schedule.epochs, short.fusion.schedule.epochs} == {1}
    assert short.with_epochs(7) == recipe.with_epochs(7)
    assert short.image.schedule.learning_rate == recipe.image.schedule.learning_rate


def test_unknown_recipe_is_told_which_there_are():
    """A misspelt recipe is answered with the names that there are."""
    with pytest.raises(ValueError, match="unknown recipe 'fashoin', expected one of fashion, tiny"):
        load_recipe("fashoin")


@pytest.mark.parametrize("text", ["{}", "not JSON", '{"name": "x", "image": {}, "title": {}, "fusion": {}}'])
def test_other_files_are_no_recipe(text: str):
    """A file that is no recipe of this version is refused by name, not by a KeyError."""
    with pytest.raises(ValueError, match="no recipe of this version"):
        Recipe.from_json(text)
