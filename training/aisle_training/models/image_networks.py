"""The networks that turn pixels into features; the image classifier puts its head on one of them."""

from __future__ import annotations

from typing import Any, Final

import keras
from keras import layers

IMAGE_NETWORKS: Final = ("mobilenet_v2", "convnet")

# Keras builds MobileNetV2 with a momentum of 0.999. A fine-tuning is a few thousand steps, and its moving averages have
# to follow weights that still move: over the last epochs, not over the whole run.
BATCH_NORM_MOMENTUM: Final = 0.99


def build_image_network(network: str, picture_size: int, width: float, weights: str | None = None) -> Any:
    """Build a network without a classifier.

    Args:
        network: "mobilenet_v2" (Sandler et al., 2018) or "convnet", a small one for tests and small catalogues.
        picture_size: Height and width, pixels.
        width: Multiplies the number of channels of every layer.
        weights: None for random ones, "imagenet" for those that Keras downloads, or a Keras weights file.

    Returns:
        A functional model from pixels in -1..1, [rows, picture_size, picture_size, 3], to features [rows, size].

    Raises:
        ValueError: The network is unknown, or it has no weights to load.
    """
    if network == "mobilenet_v2":
        # Height and width stay in the weights' file name only: the kernels are the same at every picture size.
        model = keras.applications.MobileNetV2(
            input_shape=(picture_size, picture_size, 3),
            alpha=width,
            include_top=False,
            weights=weights,
            pooling="avg",
            name="mobilenet_v2",
        )
        for layer in model.layers:
            if isinstance(layer, layers.BatchNormalization):
                layer.momentum = BATCH_NORM_MOMENTUM
        return model
    if network != "convnet":
        raise ValueError(f"unknown image network {network!r}, expected one of {', '.join(IMAGE_NETWORKS)}")
    if weights is not None:
        raise ValueError(f"the image network 'convnet' is trained from random weights, but {weights!r} was asked for")
    pixels = x = keras.Input((picture_size, picture_size, 3), name="scaled_pixels")
    for stage, channels in enumerate((32, 64, 128)):
        # No batch normalisation: with a few hundred rows its moving averages would still be those of the start.
        x = layers.Conv2D(round(channels * width), 3, padding="same", activation="relu", name=f"conv_{stage}")(x)
        x = layers.MaxPooling2D(name=f"pool_{stage}")(x)
    x = layers.GlobalAveragePooling2D(name="average")(x)
    return keras.Model(pixels, x, name="convnet")
