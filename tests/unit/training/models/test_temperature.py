"""Softmax at a temperature."""

import keras
import numpy as np

from aisle_training.models.temperature import PresenceTemperatureSoftmax, TemperatureSoftmax, mask_number

LOGITS = np.array([[2.0, 0.0, -1.0], [0.5, 3.0, 1.0], [0.0, 0.0, 4.0]], dtype=np.float32)


def softmax(logits: np.ndarray) -> np.ndarray:
    """The softmax by hand."""
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def test_temperature_is_one_until_set():
    """Probabilities are the softmax of the logits until a temperature is set, then that of the divided logits."""
    layer = TemperatureSoftmax()
    np.testing.assert_allclose(keras.ops.convert_to_numpy(layer(LOGITS)), softmax(LOGITS), rtol=1e-5)
    layer.temperature.assign(2.5)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(layer(LOGITS)), softmax(LOGITS / 2.5), rtol=1e-5)


def test_temperature_is_not_trained():
    """A temperature never moves with the weights of a network."""
    layer = TemperatureSoftmax()
    layer(LOGITS)
    assert layer.trainable_variables == []


def test_each_presence_has_its_temperature():
    """A row's temperature is that of the inputs which just this row has."""
    layer = PresenceTemperatureSoftmax()
    image, title, brand = np.array([[[1], [1], [0]], [[1], [0], [1]], [[0], [0], [1]]], dtype=np.float32)
    layer([LOGITS, image, title, brand])
    temperatures = np.full(8, 7.0)
    temperatures[[mask_number([0, 1]), mask_number([0]), mask_number([1, 2])]] = 0.5, 2.0, 3.0
    layer.temperatures.assign(temperatures)
    expected = softmax(LOGITS / np.array([[0.5], [2.0], [3.0]]))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(layer([LOGITS, image, title, brand])), expected, rtol=1e-5)
