"""The image classifier: pixels -> embedding and calibrated probabilities."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from aisle_training.models.image_networks import build_image_network, image_network
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
        dropout: Fraction of the embedding that is dropped in training, before the logits; and of the features, before the
            hidden layer.
        weights: What the network starts from, see `build_image_network`; not part of the saved configuration.
        flip_average: Whether a picture and its mirror image are both looked at, and the mean of their embeddings (so
            also of their logits, which are linear in them) is what counts. The part that is trained looks at one.
        hidden_size: Units of a hidden layer between the network's features and the logits; 0 for none.
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
        hidden_size: int = 0,
        **kwargs: Any,
    ) -> None:
        # === Layers ===
        features = build_image_network(network, picture_size, width, weights)
        feature_dropout = layers.Dropout(dropout, name="feature_dropout")
        hidden = layers.Dense(hidden_size, activation="relu", name="hidden") if hidden_size else None
        embedding_dropout = layers.Dropout(dropout, name="embedding_dropout")
        classification = layers.Dense(classes, name="logits")
        temperature_softmax = TemperatureSoftmax(name="temperature_softmax")

        def embed(scaled: Any) -> Any:
            return features(scaled) if hidden is None else hidden(feature_dropout(features(scaled)))

        # === Functional Model ===
        pixels = keras.Input((picture_size, picture_size, 3), dtype="uint8", name="PIXELS")
        scaled = image_network(network).scale(pixels)
        embedding = embed(scaled)
        trained_logits = logits = classification(embedding_dropout(embedding))
        if flip_average:
            # As one batch of twice the rows: the graph stays as small as it was.
            embeddings = embed(ops.concatenate([scaled, scaled[:, :, ::-1]], axis=0))
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
        self.hidden_size = hidden_size
        self.image_network = features
        self.temperature_softmax = temperature_softmax
        self.embedding_size = int(embedding.shape[-1])
        self._scaled = scaled
        self._trained_logits = trained_logits

    def logits_model(self) -> Any:
        """Give the part that is trained: `PIXELS` -> logits [rows, classes]; it shares its layers with this model."""
        return keras.Model(self.input, self._trained_logits, name="image_classifier_logits")

    def split_at(self, layer: str) -> tuple[Any, Any]:
        """Freeze the image network up to a layer, and cut the part that is trained in two.

        Args:
            layer: Name of a layer of the image network through which all goes, or "all" for the whole network.

        Returns:
            The frozen part, `PIXELS` -> activations, and the trained one, activations -> logits [rows, classes]; both
            share their layers with this model.

        Raises:
            ValueError: There is no such layer, or some of what is computed goes past it.
        """
        network = self.image_network
        if layer != "all" and layer not in {known.name for known in network.layers}:
            raise ValueError(f"the image network {self.network!r} has no layer {layer!r}")
        cut = network.output if layer == "all" else network.get_layer(layer).output
        lower = keras.Model(network.input, cut, name="frozen")
        for frozen in lower.layers:
            frozen.trainable = False
        activations = keras.Input(cut.shape[1:], name="activations")
        features = activations
        if layer != "all":
            try:
                features = keras.Model(cut, network.output, name="trained")(activations)
            except ValueError:
                raise ValueError(f"not all that {self.network!r} computes goes through its layer {layer!r}") from None
        # New ones, for a graph that averages over the mirror image holds no dropout.
        dropout = layers.Dropout(self.dropout, name="embedding_dropout")
        if self.hidden_size:
            features = self.get_layer("hidden")(layers.Dropout(self.dropout, name="feature_dropout")(features))
        logits = self.get_layer("logits")(dropout(features))
        return (
            keras.Model(self.input, lower(self._scaled), name="image_classifier_frozen"),
            keras.Model(activations, logits, name="image_classifier_trained"),
        )

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
            "hidden_size": self.hidden_size,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> ImageClassifier:
        """Build the model that `get_config` describes, with random weights."""
        return cls(**config)
