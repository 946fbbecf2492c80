"""The encoders of a recipe's modalities."""

from __future__ import annotations

from pathlib import Path

# Imported for their subclasses of `Encoder`.
from aisle_training.modalities import attribute, image, text  # noqa: F401
from aisle_training.modalities.encoder import Encoder
from aisle_training.recipes.recipe import Recipe


def create_encoders(recipe: Recipe, folder: Path) -> list[Encoder]:
    """Make the encoder of each modality, in the order of the recipe.

    Args:
        recipe: The recipe.
        folder: The run folder.

    Returns:
        The encoders.

    Raises:
        ValueError: The numbers of a modality cannot be used.
    """
    kinds = {encoder.recipe_type: encoder for encoder in Encoder.__subclasses__()}
    return [kinds[type(modality)](name, modality, folder) for name, modality in recipe.modalities.items()]
