"""The title classifier: token ids -> embedding and calibrated probabilities."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from aisle_training.models.temperature import TemperatureSoftmax
from aisle_training.models.title_networks import build_title_network


@keras.saving.register_keras_serializable(package="aisle")
class TitleClassifier(keras.Model):  # type: ignore[misc]
    """Tell a product's category from its title.

    Input: `TOKEN_IDS`, int32 [rows, length]; 0 is padding.
    Outputs: a dictionary of `EMBEDDING`, float32 [rows, embedding_size], and `PROBABILITIES`, float32 [rows, classes].

    Args:
        classes: Number of categories.
        vocabulary_size: Number of token ids, padding included.
        length: Tokens of a title, padded or cut.
        network: One of `title_networks.TITLE_NETWORKS`.
        token_size: Size of a subword's vector.
        filters: See `build_title_network`.
        embedding_size: Size of the embedding.
        dropout: Fraction dropped in training, in the network and before the logits.
    """

    def __init__(
        self,
        classes: int,
        vocabulary_size: int,
        length: int,
        network: str = "subwords",
        token_size: int = 128,
        filters: int = 128,
        embedding_size: int = 256,
        dropout: float = 0.4,
        **kwargs: Any,
    ) -> None:
        # === Layers ===
        title_network = build_title_network(network, vocabulary_size, length, token_size, filters, dropout)
        feature_dropout = layers.Dropout(dropout, name="feature_dropout")
        projection = layers.Dense(embedding_size, activation="relu", name="embedding")
        embedding_dropout = layers.Dropout(dropout, name="embedding_dropout")
        classification = layers.Dense(classes, name="logits")
        temperature_softmax = TemperatureSoftmax(name="temperature_softmax")

        # === Functional Model ===
        token_ids = keras.Input((length,), dtype="int32", name="TOKEN_IDS")
        embedding = projection(feature_dropout(title_network(token_ids)))
        logits = classification(embedding_dropout(embedding))
        outputs = {"EMBEDDING": embedding, "PROBABILITIES": temperature_softmax(logits)}
        super().__init__(inputs=token_ids, outputs=outputs, **{"name": "title_classifier", **kwargs})

        # === Config ===
        self.classes = classes
        self.vocabulary_size = vocabulary_size
        self.length = length
        self.network = network
        self.token_size = token_size
        self.filters = filters
        self.embedding_size = embedding_size
        self.dropout = dropout
        self.temperature_softmax = temperature_softmax

    def logits_model(self) -> Any:
        """Give the part that is trained: `TOKEN_IDS` -> logits [rows, classes]; the layers are shared."""
        return keras.Model(self.input, self.get_layer("logits").output, name="title_classifier_logits")

    def set_temperature(self, temperature: float) -> None:
        """Set the temperature of the probabilities."""
        self.temperature_softmax.temperature.assign(temperature)

    def get_config(self) -> dict[str, Any]:
        """Give the arguments that build this model again; its weights are saved apart."""
        return {
            "name": self.name,
            "classes": self.classes,
            "vocabulary_size": self.vocabulary_size,
            "length": self.length,
            "network": self.network,
            "token_size": self.token_size,
            "filters": self.filters,
            "embedding_size": self.embedding_size,
            "dropout": self.dropout,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> TitleClassifier:
        """Build the model that `get_config` describes, with random weights."""
        return cls(**config)
