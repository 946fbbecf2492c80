"""Late fusion: the weighted product of the classifiers' calibrated probabilities.

A few weights, fitted on products that no classifier was trained on (`fusion_weights.py`), cannot mistake what a classifier
knows by heart for what it knows. Also known as product of experts, or logarithmic opinion pool.

Source: Genest and Zidek, "Combining Probability Distributions: A Critique and an Annotated Bibliography", 1986.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import layers, ops

from aisle_training.models.fusion.classifier import FusionClassifier, FusionInputs
from aisle_training.models.temperature import presence_number


@keras.saving.register_keras_serializable(package="aisle")
class LateFusion(FusionClassifier):
    """A fusion classifier whose logits are the weighted sum of the log-probabilities that the classifiers give.

    Each set of inputs has weights of its own. A row with one input is answered as that input's classifier answers.

    Args:
        classes: Number of categories.
        embedding_sizes: Name of each modality -> size of its classifier's embedding.
    """

    kind = "late"

    def __init__(self, classes: int, embedding_sizes: Mapping[str, int], **kwargs: Any) -> None:
        inputs = FusionInputs.of(embedding_sizes)
        votes = [
            layers.Dense(classes, activation="log_softmax", name=f"{name}_log_probabilities")(embedding)
            for name, embedding in inputs.embeddings.items()
        ]
        pool = WeightedVotes(name="logits")
        logits = pool([*votes, *inputs.present.values()])
        super().__init__(inputs, logits, {"classes": classes, "embedding_sizes": embedding_sizes}, **kwargs)
        self._pool = pool
        self._votes = dict(zip(inputs.embeddings, votes, strict=True))

    def start_from(self, classifiers: Mapping[str, Any]) -> None:
        """Take over the classifiers' logits and temperatures: the temperature of a logit goes into its weights."""
        for name, classifier in classifiers.items():
            temperature = float(classifier.temperature_softmax.temperature)
            weights = classifier.get_layer("logits").get_weights()
            self.get_layer(f"{name}_log_probabilities").set_weights([weight / temperature for weight in weights])

    def votes(self, inputs: Mapping[str, Any]) -> dict[str, npt.NDArray[np.float32]]:
        """Give the log-probabilities by each modality, [rows, classes], for the inputs of the model."""
        model = keras.Model(self.input, self._votes, name="fusion_classifier_votes")
        votes: dict[str, npt.NDArray[np.float32]] = model.predict(inputs, batch_size=1024, verbose=0)
        return votes

    def set_vote_weights(self, weights: Mapping[str, float]) -> None:
        """Set the weights of rows that have just these modalities.

        Args:
            weights: By modality.
        """
        variable = self._pool.vote_weights
        values = np.array(keras.ops.convert_to_numpy(variable))
        values[self.mask_number(weights)] = [weights.get(name, 0.0) for name in self.names]
        variable.assign(values)


@keras.saving.register_keras_serializable(package="aisle")
class WeightedVotes(layers.Layer):  # type: ignore[misc]
    """Sum of votes, weighted for each set of inputs that a row can have; what is missing is chosen away, NaN included."""

    def build(self, input_shape: Any) -> None:
        """Make the weights, 1 until they are set: a row for each set of inputs, see `mask_number`."""
        inputs = len(input_shape) // 2
        self.vote_weights = self.add_weight(
            name="vote_weights", shape=(2**inputs, inputs), initializer="ones", trainable=False
        )

    def call(self, inputs: Sequence[Any]) -> Any:
        """Add votes up.

        Args:
            inputs: Each input's votes [rows, classes]; then each one's flags [rows, 1], 1 where it is present.

        Returns:
            The weighted sum, [rows, classes].
        """
        votes, flags = inputs[: len(inputs) // 2], inputs[len(inputs) // 2 :]
        weights = ops.take(self.vote_weights, ops.reshape(presence_number(flags), (-1,)), axis=0)
        return sum(
            ops.where(flag > 0.5, vote * weights[:, place : place + 1], 0.0)
            for place, (vote, flag) in enumerate(zip(votes, flags, strict=True))
        )

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Give the shape of a vote, which is that of the sum."""
        return input_shape[0]
