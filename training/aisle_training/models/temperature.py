"""Softmax at a temperature: the last layer of each classifier, which makes its confidence honest.

A network is trained at temperature 1. Afterwards `calibration.py` finds the temperature at which its probabilities fit
the validation split best, and sets it here, so that what is exported is calibrated and nobody downstream needs to know.

Source: Guo et al., "On Calibration of Modern Neural Networks", 2017.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
        """Make a temperature for each set of inputs, all 1 until they are set; see `mask_number`."""
        inputs = len(input_shape) - 1
        self.temperatures = self.add_weight(
            name="temperatures", shape=(2**inputs,), initializer="ones", trainable=False
        )

    def call(self, inputs: Sequence[Any]) -> Any:
        """Turn logits into probabilities.

        Args:
            inputs: Logits [rows, classes], and for each input flags [rows, 1], 1 where it is present.

        Returns:
            Probabilities [rows, classes].
        """
        logits, *flags = inputs
        return ops.softmax(logits / ops.take(self.temperatures, presence_number(flags)), axis=-1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Give the shape of the logits, which is that of the probabilities."""
        return input_shape[0]


def mask_number(places: Iterable[int]) -> int:
    """Number a set of inputs, given by their places from 0: each set has its own number."""
    return sum(1 << place for place in places)


def presence_number(flags: Sequence[Any]) -> Any:
    """Number the set of inputs of each row, int32 [rows, 1], from the flags [rows, 1] of each input; see `mask_number`."""
    return sum(ops.where(flag > 0.5, mask_number([place]), 0) for place, flag in enumerate(flags))
