"""Softmax at a temperature: the last layer of each classifier, which makes its confidence honest.

A network is trained at temperature 1. Afterwards `calibration.py` finds the temperature at which its probabilities fit
the validation split best, and sets it here, so that what is exported is calibrated and nobody downstream needs to know.

Source: Guo et al., "On Calibration of Modern Neural Networks", 2017.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="aisle")
class TemperatureSoftmax(keras.layers.Layer):  # type: ignore[misc]
    """`softmax(logits / temperature)`; the temperature is set after training, never trained."""

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the temperature, 1 until it is set."""
        self.temperature = self.add_weight(name="temperature", shape=(), initializer="ones", trainable=False)

    def call(self, logits: Any) -> Any:
        """Turn logits [rows, classes] into probabilities of the same shape."""
        return ops.softmax(logits / self.temperature, axis=-1)


@keras.saving.register_keras_serializable(package="aisle")
class PresenceTemperatureSoftmax(keras.layers.Layer):  # type: ignore[misc]
    """Softmax with a temperature of its own for each set of inputs that a row can have.

    A guess from the picture alone is less sure than one from picture and title, and it is also less sure of how sure
    it is: one temperature for all rows would be right for none of them.
    """

    def build(self, input_shape: Any) -> None:
        """Make the temperatures [image present, title present], all 1 until they are set."""
        self.temperatures = self.add_weight(name="temperatures", shape=(2, 2), initializer="ones", trainable=False)

    def call(self, inputs: tuple[Any, Any, Any]) -> Any:
        """Turn logits into probabilities.

        Args:
            inputs: Logits [rows, classes], and two flags [rows, 1], 1 where the picture and the title are present.

        Returns:
            Probabilities [rows, classes].
        """
        logits, image_present, title_present = inputs
        image = ops.where(image_present > 0.5, 1.0, 0.0)
        title = ops.where(title_present > 0.5, 1.0, 0.0)
        by_title = (1.0 - title) * self.temperatures[:, 0] + title * self.temperatures[:, 1]
        temperature = (1.0 - image) * by_title[:, :1] + image * by_title[:, 1:]
        return ops.softmax(logits / temperature, axis=-1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Give the shape of the logits, which is that of the probabilities."""
        return input_shape[0]
