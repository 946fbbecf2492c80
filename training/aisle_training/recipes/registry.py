"""Recipes by name."""

from __future__ import annotations

import importlib
from typing import Final

from aisle_training.recipes.recipe import Recipe

RECIPE_MODULES: Final = {
    "fashion": "aisle_training.recipes.fashion",
    "tiny": "aisle_training.recipes.tiny",
}


def load_recipe(name: str) -> Recipe:
    """Load a recipe that ships with Aisle.

    Args:
        name: One of `RECIPE_MODULES`.

    Returns:
        The recipe.

    Raises:
        ValueError: There is no recipe of this name.
    """
    if name not in RECIPE_MODULES:
        raise ValueError(f"unknown recipe {name!r}, expected one of {', '.join(sorted(RECIPE_MODULES))}")
    recipe = importlib.import_module(RECIPE_MODULES[name]).RECIPE
    assert isinstance(recipe, Recipe)
    return recipe
