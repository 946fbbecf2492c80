"""The title classifier: token ids -> embedding and calibrated probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers

from aisle_training.models.temperature import TemperatureSoftmax
from aisle_training.models.title_networks import build_title_network


@keras.saving.register_keras_serializable(package="aisle")
class TitleClassifier(keras.Model):  # type: ignore[misc]
    """Tell a product's category from its title.

    It can hold several networks that are alike but for what was drawn: its members. Each is trained by itself, with a
    head of its own; then their embeddings stand side by side in one, and the logits are the mean of theirs.

    Input: `TOKEN_IDS`, int32 [rows, length]; 0 is padding.
    Outputs: a dictionary of `EMBEDDING`, float32 [rows, embedding_size * members], and `PROBABILITIES`, float32 [rows,
    classes].

    Args:
        classes: Number of categories.
        vocabulary_size: Number of token ids, padding included.
        length: Ids of a title, padded or cut.
        network: One of `title_networks.TITLE_NETWORKS`.
        token_size: Size of a subword's vector.
        filters: See `build_title_network`.
        embedding_size: Size of the embedding of a member.
        dropout: Fraction dropped in training, in the network and before the logits.
        ngram_length: How many of the ids of a title are those of n-grams.
        members: Number of networks.
        backbone: See `build_title_network`.
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
        ngram_length: int = 0,
        members: int = 1,
        backbone: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        # === Layers ===
        title_networks = [
            build_title_network(
                network,
                vocabulary_size,
                length,
                token_size,
                filters,
                dropout,
                ngram_length=ngram_length,
                backbone=backbone,
            )
            for _ in range(members)
        ]
        classification = layers.Dense(classes, name="logits")
        temperature_softmax = TemperatureSoftmax(name="temperature_softmax")

        # === Functional Model ===
        token_ids = keras.Input((length,), dtype="int32", name="TOKEN_IDS")
        embeddings = []
        for member, title_network in enumerate(title_networks):
            if members > 1:
                title_network.name = f"{network}_{member}"
            features = layers.Dropout(dropout, name=_of_member("feature_dropout", member))(title_network(token_ids))
            projection = layers.Dense(embedding_size, activation="relu", name=_of_member("embedding", member))
            embeddings.append(projection(features))
        embedding = layers.Concatenate(name="embeddings")(embeddings) if members > 1 else embeddings[0]
        outputs = {"EMBEDDING": embedding, "PROBABILITIES": temperature_softmax(classification(embedding))}
        super().__init__(inputs=token_ids, outputs=outputs, **{"name": "title_classifier", **kwargs})

        # === Config ===
        self.classes = classes
        self.vocabulary_size = vocabulary_size
        self.length = length
        self.network = network
        self.token_size = token_size
        self.filters = filters
        self.member_size = embedding_size
        self.embedding_size = embedding_size * members
        self.dropout = dropout
        self.ngram_length = ngram_length
        self.members = members
        self.backbone = backbone
        self.title_networks = title_networks
        self.temperature_softmax = temperature_softmax

    def start_from(self, backbone: Any) -> None:
        """Give the networks of "bert" the weights of a preset's backbone."""
        for title_network in self.title_networks:
            title_network.get_layer("backbone").set_weights(backbone.get_weights())

    def member_model(self, member: int) -> Any:
        """Give what is trained of a member: `TOKEN_IDS` -> logits [rows, classes].

        Its last layer is the member's own head, which `join_members` wants back; all others are shared with this model.
        """
        embedding = self.get_layer(_of_member("embedding", member)).output
        dropped = layers.Dropout(self.dropout, name="embedding_dropout")(embedding)
        logits = layers.Dense(self.classes, name="head")(dropped)
        return keras.Model(self.input, logits, name=f"title_classifier_member_{member}")

    def join_members(self, models: Sequence[Any]) -> None:
        """Make the logits the mean of those of all members.

        Args:
            models: What `member_model` gave for each, trained.
        """
        heads = [model.get_layer("head").get_weights() for model in models]
        kernel = np.concatenate([kernel for kernel, _ in heads]) / self.members
        self.get_layer("logits").set_weights([kernel, np.mean([bias for _, bias in heads], axis=0)])

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
            "embedding_size": self.member_size,
            "dropout": self.dropout,
            "ngram_length": self.ngram_length,
            "members": self.members,
            "backbone": self.backbone,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> TitleClassifier:
        """Build the model that `get_config` describes, with random weights."""
        return cls(**config)


def _of_member(layer: str, member: int) -> str:
    """Name a layer of a member; the first one's keeps its plain name, which saved models know."""
    return f"{layer}_{member}" if member else layer
