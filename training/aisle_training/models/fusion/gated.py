"""Gated multimodal unit: gates that look at all inputs decide how much each of them counts, unit by unit.

Source: Arevalo et al., "Gated Multimodal Units for Information Fusion", 2017. For two modalities its gate is a sigmoid and
what is left of it; for more, here, a softmax over the modalities, which for two is the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import layers

from aisle_training.models.fusion.classifier import FusionClassifier, FusionInputs


@keras.saving.register_keras_serializable(package="aisle")
class GatedFusion(FusionClassifier):
    """A fusion classifier of one gated multimodal unit. A learnt vector stands for a missing embedding, also in the gates.

    Args:
        classes: Number of categories.
        embedding_sizes: Name of each modality -> size of its classifier's embedding.
        hidden_size: Units of the joint representation.
        dropout: Fraction dropped in training, of the embeddings and of the joint representation.
    """

    kind = "gated"

    def __init__(
        self,
        classes: int,
        embedding_sizes: Mapping[str, int],
        hidden_size: int = 256,
        dropout: float = 0.4,
        **kwargs: Any,
    ) -> None:
        inputs = FusionInputs.of(embedding_sizes)
        known = [
            layers.Dropout(dropout, name=f"{name}_dropout")(embedding)
            for name, embedding in zip(embedding_sizes, inputs.normalized(), strict=True)
        ]
        features = [
            layers.Dense(hidden_size, activation="tanh", name=f"{name}_features")(embedding)
            for name, embedding in zip(embedding_sizes, known, strict=True)
        ]
        gate_logits = layers.Dense(len(known) * hidden_size, name="gates")(layers.Concatenate(name="all")(known))
        by_modality = (len(known), hidden_size)
        gates = layers.Softmax(axis=1, name="shares")(layers.Reshape(by_modality, name="gate_rows")(gate_logits))
        stacked = layers.Reshape(by_modality, name="feature_rows")(layers.Concatenate(name="all_features")(features))
        # The mean of what the gates let through: the sum, but for a factor that the next layer learns.
        joint = layers.GlobalAveragePooling1D(name="joint")(layers.Multiply(name="gated")([gates, stacked]))
        logits = layers.Dense(classes, name="logits")(layers.Dropout(dropout, name="hidden_dropout")(joint))
        config = {
            "classes": classes,
            "embedding_sizes": embedding_sizes,
            "hidden_size": hidden_size,
            "dropout": dropout,
        }
        super().__init__(inputs, logits, config, **kwargs)
