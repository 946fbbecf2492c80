"""The kinds of fusion classifier, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from aisle_training.models.fusion.classifier import FusionClassifier
from aisle_training.models.fusion.concatenation import ConcatenationFusion
from aisle_training.models.fusion.gated import GatedFusion
from aisle_training.models.fusion.late import LateFusion
from aisle_training.models.fusion.residual import ResidualFusion
from aisle_training.recipes.recipe import FusionRecipe

TRAINED_KINDS: Final = {kind.kind: kind for kind in (ResidualFusion, ConcatenationFusion, GatedFusion)}


def build_fusion_classifier(recipe: FusionRecipe, classes: int, embedding_sizes: Mapping[str, int]) -> FusionClassifier:
    """Build the fusion classifier that a recipe names.

    Args:
        recipe: Its numbers.
        classes: Number of categories.
        embedding_sizes: Name of each modality -> size of its classifier's embedding.
    """
    if recipe.kind == LateFusion.kind:
        return LateFusion(classes, embedding_sizes)
    return TRAINED_KINDS[recipe.kind](classes, embedding_sizes, recipe.hidden_size, recipe.dropout)
