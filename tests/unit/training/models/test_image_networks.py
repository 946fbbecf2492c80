"""The image networks: their pixels, their weights, and the sizes they can be had in."""

from pathlib import Path

import keras
import numpy as np
import pytest

from aisle_training.models.image_classifier import ImageClassifier
from aisle_training.models.image_networks import build_image_network, scale_pixels

PIXELS = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3), dtype=np.uint8)


@pytest.mark.parametrize("network", ["mobilenet_v2", "resnet50", "inception_v3", "efficientnet_v2_b0"])
def test_pixels_are_scaled_as_the_published_weights_expect(network: str):
    """Each family gets its pixels as Keras prepares them for its ImageNet weights."""
    published = getattr(keras.applications, network.removesuffix("_b0"))
    expected = published.preprocess_input(PIXELS.astype(np.float32))
    np.testing.assert_allclose(scale_pixels(network, PIXELS), expected, atol=1e-4)


def test_weights_are_loaded_from_a_file(tmp_path: Path):
    """A network starts from the weights of a file; at another picture size too, for the kernels are the same."""
    keras.utils.set_random_seed(0)
    trained = build_image_network("mobilenet_v2", 32, 0.35)
    trained.save_weights(tmp_path / "trained.weights.h5")
    keras.utils.set_random_seed(1)
    model = ImageClassifier(3, 48, "mobilenet_v2", 0.35, weights=str(tmp_path / "trained.weights.h5"))
    for ours, theirs in zip(model.image_network.get_weights(), trained.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("network", ["convnet", "classic_convnet"])
def test_network_of_our_own_has_no_weights_to_load(network: str):
    """A network without published weights refuses weights, rather than ignoring them."""
    with pytest.raises(ValueError, match=f"'{network}' is trained from random weights, but 'imagenet'"):
        build_image_network(network, 32, 1.0, "imagenet")


def test_impossible_sizes_are_refused():
    """A picture that is too small, or a width that the network does not have, is refused with what was asked for."""
    with pytest.raises(
        ValueError, match="'inception_v3' needs pictures of 75 pixels or more, but the picture size is 64"
    ):
        build_image_network("inception_v3", 64, 1.0)
    with pytest.raises(ValueError, match="'resnet50' has one width alone, but a width of 0.5 was asked for"):
        build_image_network("resnet50", 64, 0.5)


def test_classic_convnet_learns_with_dropout_and_normalises():
    """The classic network drops features in training alone, and its width multiplies its channels."""
    network = build_image_network("classic_convnet", 16, 0.25)
    pixels = scale_pixels("classic_convnet", np.random.default_rng(1).integers(0, 256, (4, 16, 16, 3), dtype=np.uint8))
    assert network.output.shape == (None, 64)
    kinds = {type(layer).__name__ for layer in network.layers}
    assert kinds >= {"Conv2D", "BatchNormalization", "MaxPooling2D", "Dropout"}
    looks = [keras.ops.convert_to_numpy(network(pixels, training=True)) for _ in range(2)]
    assert np.abs(looks[0] - looks[1]).max() > 0
    np.testing.assert_array_equal(network.predict(pixels, verbose=0), network.predict(pixels, verbose=0))
