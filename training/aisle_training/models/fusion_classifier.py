"""The fusion classifier: both embeddings, and which of them are real -> calibrated probabilities."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers

from aisle_training.models.image_classifier import ImageClassifier
from aisle_training.models.missing_embedding import MissingEmbedding
from aisle_training.models.temperature import PresenceTemperatureSoftmax
from aisle_training.models.title_classifier import TitleClassifier


@keras.saving.register_keras_serializable(package="aisle")
class FusionClassifier(keras.Model):  # type: ignore[misc]
    """Tell a product's category from its picture, its title, or both.

    Inputs, a dictionary: `IMAGE_EMBEDDING` float32 [rows, image_embedding_size], `TITLE_EMBEDDING` float32 [rows,
    title_embedding_size], and `IMAGE_PRESENT`, `TITLE_PRESENT` float32 [rows, 1], 1 where there is such an input.
    What stands in an embedding whose flag is 0 has no influence.
    Output: a dictionary of `PROBABILITIES`, float32 [rows, classes].

    Args:
        classes: Number of categories.
        image_embedding_size: Size of the image classifier's embedding.
        title_embedding_size: Size of the title classifier's embedding.
        hidden_size: Units of each hidden layer.
        dropout: Fraction dropped in training before each layer.
    """

    def __init__(
        self,
        classes: int,
        image_embedding_size: int,
        title_embedding_size: int,
        hidden_size: int = 256,
        dropout: float = 0.4,
        **kwargs: Any,
    ) -> None:
        # === Layers ===
        image_logits = layers.Dense(classes, name="image_logits")
        title_logits = layers.Dense(classes, name="title_logits")
        image_logits_or_missing = MissingEmbedding(name="image_logits_or_missing")
        title_logits_or_missing = MissingEmbedding(name="title_logits_or_missing")
        image_normalization = layers.LayerNormalization(name="image_normalization")
        title_normalization = layers.LayerNormalization(name="title_normalization")
        image_or_missing = MissingEmbedding(name="image_or_missing")
        title_or_missing = MissingEmbedding(name="title_or_missing")
        both = layers.Concatenate(name="both")
        both_dropout = layers.Dropout(dropout, name="both_dropout")
        hidden = layers.Dense(hidden_size, activation="gelu", name="hidden")
        hidden_dropout = layers.Dropout(dropout, name="hidden_dropout")
        joint_logits = layers.Dense(classes, kernel_initializer="zeros", name="joint_logits")
        classification = layers.Add(name="logits")
        temperature_softmax = PresenceTemperatureSoftmax(name="temperature_softmax")

        # === Functional Model ===
        image_embedding = keras.Input((image_embedding_size,), name="IMAGE_EMBEDDING")
        title_embedding = keras.Input((title_embedding_size,), name="TITLE_EMBEDDING")
        image_present = keras.Input((1,), name="IMAGE_PRESENT")
        title_present = keras.Input((1,), name="TITLE_PRESENT")
        image_vote = image_logits_or_missing([image_logits(image_embedding), image_present])
        title_vote = title_logits_or_missing([title_logits(title_embedding), title_present])
        image = image_or_missing([image_normalization(image_embedding), image_present])
        title = title_or_missing([title_normalization(title_embedding), title_present])
        joint = joint_logits(hidden_dropout(hidden(both_dropout(both([image, title])))))
        logits = classification([image_vote, title_vote, joint])
        probabilities = temperature_softmax([logits, image_present, title_present])
        inputs = {
            "IMAGE_EMBEDDING": image_embedding,
            "TITLE_EMBEDDING": title_embedding,
            "IMAGE_PRESENT": image_present,
            "TITLE_PRESENT": title_present,
        }
        outputs = {"PROBABILITIES": probabilities}
        super().__init__(inputs=inputs, outputs=outputs, **{"name": "fusion_classifier", **kwargs})

        # === Config ===
        self.classes = classes
        self.image_embedding_size = image_embedding_size
        self.title_embedding_size = title_embedding_size
        self.hidden_size = hidden_size
        self.dropout = dropout
        self.temperature_softmax = temperature_softmax

    def start_from(self, image_classifier: ImageClassifier, title_classifier: TitleClassifier) -> None:
        """Take over what the two classifiers make of their embeddings.

        Untrained, this model then multiplies their probabilities, and with one input missing it is the other's
        classifier. What the hidden layer adds is zero until it has learnt better.
        """
        for name, classifier in (("image_logits", image_classifier), ("title_logits", title_classifier)):
            self.get_layer(name).set_weights(classifier.get_layer("logits").get_weights())

    def logits_model(self) -> Any:
        """Give the part that is trained: the inputs -> logits [rows, classes]; it shares its layers with this model."""
        return keras.Model(self.input, self.get_layer("logits").output, name="fusion_classifier_logits")

    def set_temperature(self, temperature: float, *, image_present: bool, title_present: bool) -> None:
        """Set the temperature of the probabilities of rows that have just these inputs."""
        variable = self.temperature_softmax.temperatures
        temperatures = np.array(keras.ops.convert_to_numpy(variable))
        temperatures[int(image_present), int(title_present)] = temperature
        variable.assign(temperatures)

    def get_config(self) -> dict[str, Any]:
        """Give the arguments that build this model again; its weights are saved apart."""
        return {
            "name": self.name,
            "classes": self.classes,
            "image_embedding_size": self.image_embedding_size,
            "title_embedding_size": self.title_embedding_size,
            "hidden_size": self.hidden_size,
            "dropout": self.dropout,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> FusionClassifier:
        """Build the model that `get_config` describes, with random weights."""
        return cls(**config)
