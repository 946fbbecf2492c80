"""The networks that turn pixels into features; the image classifier puts its head on one of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import keras
import numpy as np
import numpy.typing as npt
from keras import layers, ops

from aisle_training.models.convnets import build_classic_convnet, build_convnet

# Keras builds the MobileNets with a momentum of 0.999. A fine-tuning is a few thousand steps, and their moving averages
# have to follow weights that still move: over the last epochs, not over the whole run.
HIGHEST_BATCH_NORM_MOMENTUM: Final = 0.99

# Mean blue, green and red of ImageNet's pictures, which ResNet50's published weights expect to be taken away.
# Source: keras.applications.imagenet_utils, mode "caffe".
IMAGENET_MEAN_BGR: Final = (103.939, 116.779, 123.68)


def from_minus_one_to_one(pixels: Any) -> Any:
    """Scale pixels 0..255 to -1..1."""
    return layers.Rescaling(1 / 127.5, offset=-1.0, name="rescaling")(pixels)


def centred_blue_green_red(pixels: Any) -> Any:
    """Turn RGB pixels 0..255 into BGR around zero, as Caffe had them."""
    return ops.subtract(ops.cast(pixels[..., ::-1], "float32"), ops.array(IMAGENET_MEAN_BGR, "float32"))


def from_0_to_255(pixels: Any) -> Any:
    """Leave pixels as they are; the network scales them itself."""
    return ops.cast(pixels, "float32")


@dataclass(frozen=True)
class ImageNetwork:
    """A network that can be named in a recipe.

    Attributes:
        build: Builds it without a classifier from picture size, width and weights.
        scale: Turns pixels 0..255, uint8 RGB [rows, height, width, 3], into what it takes; on symbolic tensors and on
            real ones.
        smallest_picture: Height and width below which its feature maps would vanish, pixels.
        is_published: Whether there are ImageNet weights for it.
        has_width: Whether its number of channels can be multiplied.
    """

    build: Callable[[int, float, str | None], Any]
    scale: Callable[[Any], Any] = from_minus_one_to_one
    smallest_picture: int = 32
    is_published: bool = True
    has_width: bool = False


def _published(function: str, **arguments: Any) -> Callable[[int, float, str | None], Any]:
    """Make a builder from a function of `keras.applications`; `arguments` are passed on."""

    def build(picture_size: int, width: float, weights: str | None) -> Any:
        # Height and width stay in the weights' file name only: the kernels are the same at every picture size.
        model = getattr(keras.applications, function)(
            input_shape=(picture_size, picture_size, 3),
            include_top=False,
            weights=weights,
            pooling="avg",
            **arguments,
            **({"alpha": width} if function.startswith("MobileNet") else {}),
        )
        for layer in model.layers:
            if isinstance(layer, layers.BatchNormalization):
                layer.momentum = min(layer.momentum, HIGHEST_BATCH_NORM_MOMENTUM)
        return model

    return build


# Parameters without the head, at width 1.
IMAGE_NETWORKS: Final = {
    # 2.3 million. Sandler et al., 2018.
    "mobilenet_v2": ImageNetwork(_published("MobileNetV2", name="mobilenet_v2"), has_width=True),
    # 0.9 million. Howard et al., 2019.
    "mobilenet_v3_small": ImageNetwork(
        _published("MobileNetV3Small", name="mobilenet_v3_small", include_preprocessing=False), has_width=True
    ),
    # 5.9 million. Tan and Le, 2021.
    "efficientnet_v2_b0": ImageNetwork(_published("EfficientNetV2B0"), from_0_to_255),
    # 23.6 million. He et al., 2015.
    "resnet50": ImageNetwork(_published("ResNet50", name="resnet50"), centred_blue_green_red),
    # 21.8 million. Szegedy et al., 2015.
    "inception_v3": ImageNetwork(_published("InceptionV3", name="inception_v3"), smallest_picture=75),
    # 1.2 million.
    "classic_convnet": ImageNetwork(
        lambda picture_size, width, _: build_classic_convnet(picture_size, width),
        smallest_picture=16,
        is_published=False,
        has_width=True,
    ),
    # 0.1 million.
    "convnet": ImageNetwork(
        lambda picture_size, width, _: build_convnet(picture_size, width),
        smallest_picture=8,
        is_published=False,
        has_width=True,
    ),
}


def image_network(network: str) -> ImageNetwork:
    """Look a network up.

    Raises:
        ValueError: There is none of this name.
    """
    if network not in IMAGE_NETWORKS:
        raise ValueError(f"unknown image network {network!r}, expected one of {', '.join(IMAGE_NETWORKS)}")
    return IMAGE_NETWORKS[network]


def scale_pixels(network: str, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Scale pixels, [rows, height, width, 3], as a network takes them."""
    return np.asarray(ops.convert_to_numpy(image_network(network).scale(ops.convert_to_tensor(pixels))))


def build_image_network(network: str, picture_size: int, width: float, weights: str | None = None) -> Any:
    """Build a network without a classifier.

    Args:
        network: One of `IMAGE_NETWORKS`.
        picture_size: Height and width, pixels.
        width: Multiplies the number of channels of every layer.
        weights: None for random ones, "imagenet" for those that Keras downloads, a Keras weights file, or the
            `image_classifier.keras` of an earlier run, of which the head is left behind.

    Returns:
        A functional model from scaled pixels, [rows, picture_size, picture_size, 3], to features [rows, size].

    Raises:
        ValueError: The network is unknown, has no such weights, or cannot be had in this size.
    """
    chosen = image_network(network)
    is_earlier_run = weights is not None and weights.endswith(".keras")
    if weights is not None and not is_earlier_run and not chosen.is_published:
        raise ValueError(f"the image network {network!r} is trained from random weights, but {weights!r} was asked for")
    if picture_size < chosen.smallest_picture:
        raise ValueError(
            f"the image network {network!r} needs pictures of {chosen.smallest_picture} pixels or more, "
            f"but the picture size is {picture_size}"
        )
    if width != 1.0 and not chosen.has_width:
        raise ValueError(f"the image network {network!r} has one width alone, but a width of {width:g} was asked for")
    if weights is None or not is_earlier_run:
        return chosen.build(picture_size, width, weights)
    model = chosen.build(picture_size, width, None)
    model.set_weights(_earlier_network(weights, network, width).get_weights())
    return model


def _earlier_network(path: str, network: str, width: float) -> Any:
    """Load the network of an image classifier that was trained before; kernels are the same at every picture size."""
    # Imported for its class, which Keras finds by name; it imports this module itself.
    from aisle_training.models.image_classifier import ImageClassifier

    earlier = keras.models.load_model(path, compile=False)
    if not isinstance(earlier, ImageClassifier) or (earlier.network, earlier.width) != (network, width):
        raise ValueError(f"{path} holds no image classifier of the network {network!r} in width {width:g}")
    return earlier.image_network
