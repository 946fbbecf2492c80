"""Recipes by name."""

from __future__ import annotations

import importlib
from typing import Final

from aisle_training.recipes.recipe import Recipe

# The module of each, and behind a colon its name there where it is not `RECIPE`.
RECIPE_MODULES: Final = {
    "fashion": "aisle_training.recipes.fashion",
    "fashion_all_types": "aisle_training.recipes.fashion:ALL_TYPES",
    "fashion_concatenation": "aisle_training.recipes.fashion:CONCATENATION",
    "fashion_first": "aisle_training.recipes.fashion:FIRST",
    "fashion_gated": "aisle_training.recipes.fashion:GATED",
    "fashion_residual": "aisle_training.recipes.fashion:RESIDUAL",
    "pictures_convnet": "aisle_training.recipes.pictures:CONVNET",
    "pictures_efficientnet_v2_b0": "aisle_training.recipes.pictures:EFFICIENTNET_V2_B0",
    "pictures_frozen_inception_v3": "aisle_training.recipes.pictures:FROZEN_INCEPTION_V3",
    "pictures_frozen_mobilenet_v2": "aisle_training.recipes.pictures:FROZEN_MOBILENET_V2",
    "pictures_frozen_resnet50": "aisle_training.recipes.pictures:FROZEN_RESNET50",
    "pictures_half_frozen_mobilenet_v2": "aisle_training.recipes.pictures:HALF_FROZEN_MOBILENET_V2",
    "pictures_mobilenet_v2": "aisle_training.recipes.pictures:MOBILENET_V2",
    "pictures_mobilenet_v3_small": "aisle_training.recipes.pictures:MOBILENET_V3_SMALL",
    "shop": "aisle_training.recipes.shop",
    "tiny": "aisle_training.recipes.tiny",
    "titles_bag": "aisle_training.recipes.titles:BAG",
    "titles_bert": "aisle_training.recipes.titles:BERT",
    "titles_conv_bilstm": "aisle_training.recipes.titles:CONV_BILSTM",
    "titles_lstm": "aisle_training.recipes.titles:LSTM",
    "titles_ngrams": "aisle_training.recipes.titles:NGRAMS",
    "titles_subwords": "aisle_training.recipes.titles:SUBWORDS",
    "titles_transformer": "aisle_training.recipes.titles:TRANSFORMER",
    "torob": "aisle_training.recipes.torob",
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
