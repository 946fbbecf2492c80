"""The classifier of an attribute: the bucket of its value -> embedding and calibrated probabilities."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from aisle_training.models.temperature import TemperatureSoftmax


@keras.saving.register_keras_serializable(package="aisle")
class AttributeClassifier(keras.Model):  # type: ignore[misc]
    """Tell a product's category from one of its attributes.

    Input: `BUCKET`, int32 [rows, 1]; 0 is a missing value.
    Outputs: a dictionary of `EMBEDDING`, float32 [rows, embedding_size], and `PROBABILITIES`, float32 [rows, classes].

    Args:
        classes: Number of categories.
        buckets: Number of buckets, the missing one not counted.
        embedding_size: Size of the embedding.
        dropout: Fraction of the embedding dropped in training, before the logits.
    """

    def __init__(
        self, classes: int, buckets: int, embedding_size: int = 32, dropout: float = 0.2, **kwargs: Any
    ) -> None:
        # === Layers ===
        vectors = layers.Embedding(buckets + 1, embedding_size, name="vectors")
        flatten = layers.Flatten(name="embedding")
        embedding_dropout = layers.Dropout(dropout, name="embedding_dropout")
        classification = layers.Dense(classes, name="logits")
        temperature_softmax = TemperatureSoftmax(name="temperature_softmax")

        # === Functional Model ===
        bucket = keras.Input((1,), dtype="int32", name="BUCKET")
        embedding = flatten(vectors(bucket))
        logits = classification(embedding_dropout(embedding))
        outputs = {"EMBEDDING": embedding, "PROBABILITIES": temperature_softmax(logits)}
        super().__init__(inputs=bucket, outputs=outputs, **{"name": "attribute_classifier", **kwargs})

        # === Config ===
        self.classes = classes
        self.buckets = buckets
        self.embedding_size = embedding_size
        self.dropout = dropout
        self.temperature_softmax = temperature_softmax

    def logits_model(self) -> Any:
        """Give the part that is trained: `BUCKET` -> logits [rows, classes]; it shares its layers with this model."""
        return keras.Model(self.input, self.get_layer("logits").output, name="attribute_classifier_logits")

    def set_temperature(self, temperature: float) -> None:
        """Set the temperature of the probabilities."""
        self.temperature_softmax.temperature.assign(temperature)

    def get_config(self) -> dict[str, Any]:
        """Give the arguments that build this model again; its weights are saved apart."""
        return {
            "name": self.name,
            "classes": self.classes,
            "buckets": self.buckets,
            "embedding_size": self.embedding_size,
            "dropout": self.dropout,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> AttributeClassifier:
        """Build the model that `get_config` describes, with random weights."""
        return cls(**config)
