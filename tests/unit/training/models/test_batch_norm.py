"""Recalibration of batch normalisation before fine-tuning."""

import keras
import numpy as np
from keras import layers

from aisle_training.models.batch_norm import measure_batch_norms, recalibrate_batch_norms


def folded_network() -> keras.Model:
    """A network whose batch normalisations say mean 0 and variance 1, whatever really comes in."""
    pixels = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, name="first")(pixels)
    x = layers.BatchNormalization(name="first_norm")(x)
    x = layers.Conv2D(5, 3, name="second")(layers.ReLU()(x))
    return keras.Model(pixels, layers.BatchNormalization(name="second_norm")(x))


def test_inference_output_stays_and_training_output_comes_close():
    """After recalibration the network says the same at inference, and at training what it says at inference."""
    keras.utils.set_random_seed(0)
    network = folded_network()
    generator = np.random.default_rng(0)
    for layer in (network.get_layer("first_norm"), network.get_layer("second_norm")):
        gamma, beta, mean, variance = layer.get_weights()
        layer.set_weights([gamma * 0.8, beta + 3.0, mean, variance])
    pixels = generator.normal(2.0, 1.0, (64, 8, 8, 3)).astype(np.float32)
    before = network.predict(pixels, verbose=0)
    in_training_before = keras.ops.convert_to_numpy(network(pixels, training=True))
    assert np.abs(in_training_before - before).max() > 1.0  # dead or not, far from what inference gives

    fresh = folded_network()
    fresh.set_weights(network.get_weights())
    # `network` has just seen a training step, which moved its statistics; the same gamma and beta, folded anew:
    for name in ("first_norm", "second_norm"):
        gamma, beta, _, _ = fresh.get_layer(name).get_weights()
        fresh.get_layer(name).set_weights([gamma, beta, np.zeros_like(gamma), np.ones_like(gamma)])
    assert recalibrate_batch_norms(fresh, pixels, batch_size=16) == 2
    np.testing.assert_allclose(fresh.predict(pixels, verbose=0), before, atol=2e-4)
    in_training = keras.ops.convert_to_numpy(fresh(pixels, training=True))
    np.testing.assert_allclose(in_training, before, atol=2e-2)


def test_network_without_batch_norm_is_left_alone():
    """A network that has no batch normalisation needs no recalibration."""
    pixels = keras.Input((8, 8, 3))
    network = keras.Model(pixels, layers.Conv2D(2, 3)(pixels))
    assert recalibrate_batch_norms(network, np.zeros((4, 8, 8, 3), dtype=np.float32)) == 0


def test_measured_statistics_are_those_of_the_weights():
    """Measured anew, the network says at inference what it says in training; what is frozen stays as it is."""
    keras.utils.set_random_seed(0)
    network = folded_network()
    pixels = np.random.default_rng(0).normal(2.0, 3.0, (64, 8, 8, 3)).astype(np.float32)
    in_training = keras.ops.convert_to_numpy(network(pixels, training=True))
    assert np.abs(network.predict(pixels, verbose=0) - in_training).max() > 0.3
    assert measure_batch_norms(network, pixels, batch_size=64) == 2
    np.testing.assert_allclose(network.predict(pixels, verbose=0), in_training, atol=1e-3)

    network.get_layer("first_norm").trainable = False
    frozen = network.get_layer("first_norm").get_weights()
    assert measure_batch_norms(network, pixels + 5.0) == 1
    for before, after in zip(frozen, network.get_layer("first_norm").get_weights(), strict=True):
        np.testing.assert_array_equal(after, before)
