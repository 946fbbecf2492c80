"""The fusion classifier: the embeddings of all modalities, and which of them are real -> calibrated probabilities."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import keras
import numpy as np
from keras import layers

from aisle_training.models.missing_embedding import MissingEmbedding
from aisle_training.models.temperature import PresenceTemperatureSoftmax, mask_number


@keras.saving.register_keras_serializable(package="aisle")
class FusionClassifier(keras.Model):  # type: ignore[misc]
    """Tell a product's category from its picture, its title, whatever else it is told by, or some of these.

    Inputs, a dictionary, for each modality: `<NAME>_EMBEDDING` float32 [rows, size], and `<NAME>_PRESENT` float32
    [rows, 1], 1 where there is such an input. What stands in an embedding whose flag is 0 has no influence.
    Output: a dictionary of `PROBABILITIES`, float32 [rows, classes].

    Args:
        classes: Number of categories.
        embedding_sizes: Name of each modality -> size of its classifier's embedding.
        hidden_size: Units of the hidden layer.
        dropout: Fraction dropped in training before each layer.
    """

    def __init__(
        self,
        classes: int,
        embedding_sizes: Mapping[str, int],
        hidden_size: int = 256,
        dropout: float = 0.4,
        **kwargs: Any,
    ) -> None:
        # === Layers ===
        votes = {name: layers.Dense(classes, name=f"{name}_logits") for name in embedding_sizes}
        vote_or_missing = {name: MissingEmbedding(name=f"{name}_logits_or_missing") for name in embedding_sizes}
        normalizations = {name: layers.LayerNormalization(name=f"{name}_normalization") for name in embedding_sizes}
        embedding_or_missing = {name: MissingEmbedding(name=f"{name}_or_missing") for name in embedding_sizes}
        concatenation = layers.Concatenate(name="all")
        dropout_of_all = layers.Dropout(dropout, name="dropout_of_all")
        hidden = layers.Dense(hidden_size, activation="gelu", name="hidden")
        hidden_dropout = layers.Dropout(dropout, name="hidden_dropout")
        joint_logits = layers.Dense(classes, kernel_initializer="zeros", name="joint_logits")
        classification = layers.Add(name="logits")
        temperature_softmax = PresenceTemperatureSoftmax(name="temperature_softmax")

        # === Functional Model ===
        embeddings = {
            name: keras.Input((size,), name=f"{name.upper()}_EMBEDDING") for name, size in embedding_sizes.items()
        }
        present = {name: keras.Input((1,), name=f"{name.upper()}_PRESENT") for name in embedding_sizes}
        known = [
            embedding_or_missing[name]([normalizations[name](embedding), present[name]])
            for name, embedding in embeddings.items()
        ]
        joint = joint_logits(hidden_dropout(hidden(dropout_of_all(concatenation(known)))))
        voted = [
            vote_or_missing[name]([votes[name](embedding), present[name]]) for name, embedding in embeddings.items()
        ]
        logits = classification([*voted, joint])
        probabilities = temperature_softmax([logits, *present.values()])
        inputs = {tensor.name: tensor for tensor in (*embeddings.values(), *present.values())}
        outputs = {"PROBABILITIES": probabilities}
        super().__init__(inputs=inputs, outputs=outputs, **{"name": "fusion_classifier", **kwargs})

        # === Config ===
        self.classes = classes
        # A list of pairs: Keras may sort a mapping.
        self.modalities = [(str(name), int(size)) for name, size in embedding_sizes.items()]
        self.hidden_size = hidden_size
        self.dropout = dropout
        self.temperature_softmax = temperature_softmax

    def start_from(self, classifiers: Mapping[str, Any]) -> None:
        """Take over what the classifiers of the modalities, by name, make of their embeddings.

        Untrained, this model then multiplies their probabilities, and with one input it is that input's classifier.
        What the hidden layer adds is zero until it has learnt better.
        """
        for name, classifier in classifiers.items():
            self.get_layer(f"{name}_logits").set_weights(classifier.get_layer("logits").get_weights())

    def logits_model(self) -> Any:
        """Give the part that is trained: the inputs -> logits [rows, classes]; it shares its layers with this model."""
        return keras.Model(self.input, self.get_layer("logits").output, name="fusion_classifier_logits")

    def set_temperature(self, temperature: float, present: Collection[str]) -> None:
        """Set the temperature of the probabilities of rows that have just these modalities."""
        variable = self.temperature_softmax.temperatures
        temperatures = np.array(keras.ops.convert_to_numpy(variable))
        names = [name for name, _ in self.modalities]
        temperatures[mask_number(names.index(name) for name in present)] = temperature
        variable.assign(temperatures)

    def get_config(self) -> dict[str, Any]:
        """Give the arguments that build this model again; its weights are saved apart."""
        return {
            "name": self.name,
            "classes": self.classes,
            "modalities": self.modalities,
            "hidden_size": self.hidden_size,
            "dropout": self.dropout,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> FusionClassifier:
        """Build the model that `get_config` describes, with random weights."""
        sizes = dict(config.pop("modalities"))
        return cls(embedding_sizes=sizes, **config)
