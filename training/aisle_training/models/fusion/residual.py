"""Votes and a residual: the classifiers' logits are added, and a hidden layer learns what to add to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import layers

from aisle_training.models.fusion.classifier import FusionClassifier, FusionInputs
from aisle_training.models.missing_embedding import MissingEmbedding


# Saved under the name it had when it was the only one.
@keras.saving.register_keras_serializable(package="aisle", name="FusionClassifier")
class ResidualFusion(FusionClassifier):
    """A fusion classifier that starts as the product of the classifiers' probabilities, and learns what to add.

    Args:
        classes: Number of categories.
        embedding_sizes: Name of each modality -> size of its classifier's embedding.
        hidden_size: Units of the hidden layer.
        dropout: Fraction dropped in training before each layer of the residual.
    """

    kind = "residual"

    def __init__(
        self,
        classes: int,
        embedding_sizes: Mapping[str, int],
        hidden_size: int = 256,
        dropout: float = 0.4,
        **kwargs: Any,
    ) -> None:
        inputs = FusionInputs.of(embedding_sizes)
        votes = [
            MissingEmbedding(name=f"{name}_logits_or_missing")(
                [layers.Dense(classes, name=f"{name}_logits")(embedding), inputs.present[name]]
            )
            for name, embedding in inputs.embeddings.items()
        ]
        known = layers.Dropout(dropout, name="dropout_of_all")(layers.Concatenate(name="all")(inputs.normalized()))
        hidden = layers.Dense(hidden_size, activation="gelu", name="hidden")(known)
        # Zero until it has learnt better.
        residual = layers.Dense(classes, kernel_initializer="zeros", name="joint_logits")
        logits = layers.Add(name="logits")([*votes, residual(layers.Dropout(dropout, name="hidden_dropout")(hidden))])
        config = {
            "classes": classes,
            "embedding_sizes": embedding_sizes,
            "hidden_size": hidden_size,
            "dropout": dropout,
        }
        super().__init__(inputs, logits, config, **kwargs)

    def start_from(self, classifiers: Mapping[str, Any]) -> None:
        """Take over the classifiers' logits: untrained, this model multiplies their probabilities."""
        for name, classifier in classifiers.items():
            self.get_layer(f"{name}_logits").set_weights(classifier.get_layer("logits").get_weights())
