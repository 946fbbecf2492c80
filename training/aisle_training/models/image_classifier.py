"""The image classifier: pixels -> embedding and calibrated probabilities."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from aisle_training.models.image_networks import build_image_network
from aisle_training.models.temperature import TemperatureSoftmax


@keras.saving.register_keras_serializable(package="aisle")
class ImageClassifier(keras.Model):  # type: ignore[misc]
    """Tell a product's category from its picture.

    Input: `PIXELS`, uint8 [rows, picture_size, picture_size, 3], RGB. Scaling happens inside.
    Outputs: a dictionary of `EMBEDDING`, float32 [rows, embedding_size], and `PROBABILITIES`, float32 [rows, classes].

    Args:
        classes: Number of categories.
        picture_size: Height and width, pixels.
        network: One of `image_networks.IMAGE_NETWORKS`.
        width: Multiplies the number of channels of the network.
        dropout: Fraction of the embedding that is dropped in training, before the logits.
        weights: What the network starts from, see `build_image_network`; not part of the saved configuration.
        flip_average: Whether a picture and its mirror image are both looked at, and the mean of their embeddings (so
            also of their logits, which are linear in them) is what counts. The part that is trained looks at one.
    """

    def __init__(
        self,
        classes: int,
        picture_size: int = 96,
        network: str = "mobilenet_v2",
        width: float = 1.0,
        dropout: float = 0.2,
        weights: str | None = None,
        flip_average: bool = False,
        **kwargs: Any,
    ) -> None:
        # === Layers ===
        image_network = build_image_network(network, picture_size, width, weights)
        rescaling = layers.Rescaling(1 / 127.5, offset=-1.0, name="rescaling")
        embedding_dropout = layers.Dropout(dropout, name="embedding_dropout")
        classification = layers.Dense(classes, name="logits")
        temperature_softmax = TemperatureSoftmax(name="temperature_softmax")

        # === Functional Model ===
        pixels = keras.Input((picture_size, picture_size, 3), dtype="uint8", name="PIXELS")
        embedding = image_network(rescaling(pixels))
        trained_logits = logits = classification(embedding_dropout(embedding))
        if flip_average:
            # As one batch of twice the rows: the graph stays as small as it was.
            both = ops.concatenate([pixels, pixels[:, :, ::-1]], axis=0)
            embeddings = image_network(rescaling(both))
            embedding = ops.mean(ops.reshape(embeddings, (2, -1, embeddings.shape[-1])), axis=0)
            logits = classification(embedding)
        outputs = {"EMBEDDING": embedding, "PROBABILITIES": temperature_softmax(logits)}
        super().__init__(inputs=pixels, outputs=outputs, **{"name": "image_classifier", **kwargs})

        # === Config ===
        self.classes = classes
        self.picture_size = picture_size
        self.network = network
        self.width = width
        self.dropout = dropout
        self.flip_average = flip_average
        self.image_network = image_network
        self.temperature_softmax = temperature_softmax
        self.embedding_size = int(embedding.shape[-1])
        self._trained_logits = trained_logits

    def logits_model(self) -> Any:
        """Give the part that is trained: `PIXELS` -> logits [rows, classes]; it shares its layers with this model."""
        return keras.Model(self.input, self._trained_logits, name="image_classifier_logits")

    def set_temperature(self, temperature: float) -> None:
        """Set the temperature of the probabilities."""
        self.temperature_softmax.temperature.assign(temperature)

    def get_config(self) -> dict[str, Any]:
        """Give the arguments that build this model again; its weights are saved apart."""
        return {
            "name": self.name,
            "classes": self.classes,
            "picture_size": self.picture_size,
            "network": self.network,
            "width": self.width,
            "dropout": self.dropout,
            "flip_average": self.flip_average,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> ImageClassifier:
        """Build the model that `get_config` describes, with random weights."""
        return cls(**config)
