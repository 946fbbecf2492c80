"""Recipes by name."""

from __future__ import annotations

import importlib
from typing import Final

from aisle_training.recipes.recipe import Recipe

# The module of each, and behind a colon its name there where it is not `RECIPE`.
RECIPE_MODULES: Final = {
    "fashion": "aisle_training.recipes.fashion",
    "fashion_concatenation": "aisle_training.recipes.fashion:CONCATENATION",
    "fashion_gated": "aisle_training.recipes.fashion:GATED",
    "fashion_residual": "aisle_training.recipes.fashion:RESIDUAL",
    "shop": "aisle_training.recipes.shop",
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
    module, _, attribute = RECIPE_MODULES[name].partition(":")
    recipe = getattr(importlib.import_module(module), attribute or "RECIPE")
    assert isinstance(recipe, Recipe)
    return recipe
