"""Concatenation: a hidden layer over the embeddings side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import layers

from aisle_training.models.fusion.classifier import FusionClassifier, FusionInputs


@keras.saving.register_keras_serializable(package="aisle")
class ConcatenationFusion(FusionClassifier):
    """A fusion classifier that learns all from the normalised embeddings, side by side.

    Args:
        classes: Number of categories.
        embedding_sizes: Name of each modality -> size of its classifier's embedding.
        hidden_size: Units of the hidden layer.
        dropout: Fraction dropped in training before each layer.
    """

    kind = "concatenation"

    def __init__(
        self,
        classes: int,
        embedding_sizes: Mapping[str, int],
        hidden_size: int = 256,
        dropout: float = 0.4,
        **kwargs: Any,
    ) -> None:
        inputs = FusionInputs.of(embedding_sizes)
        known = layers.Dropout(dropout, name="dropout_of_all")(layers.Concatenate(name="all")(inputs.normalized()))
        hidden = layers.Dense(hidden_size, activation="gelu", name="hidden")(known)
        logits = layers.Dense(classes, name="logits")(layers.Dropout(dropout, name="hidden_dropout")(hidden))
        config = {
            "classes": classes,
            "embedding_sizes": embedding_sizes,
            "hidden_size": hidden_size,
            "dropout": dropout,
        }
        super().__init__(inputs, logits, config, **kwargs)
