"""Networks of our own, trained from random weights: a small one, and the classic one."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers


def build_convnet(picture_size: int, width: float) -> Any:
    """Build three convolutions with pooling: for tests, and for catalogues of a few hundred pictures.

    No batch normalisation: with a few hundred rows its moving averages would still be those of the start.

    Args:
        picture_size: Height and width, pixels.
        width: Multiplies the channels of every layer.

    Returns:
        A functional model from pixels in -1..1 to features [rows, 128 * width].
    """
    pixels = x = keras.Input((picture_size, picture_size, 3), name="scaled_pixels")
    for stage, channels in enumerate((32, 64, 128)):
        x = layers.Conv2D(round(channels * width), 3, padding="same", activation="relu", name=f"conv_{stage}")(x)
        x = layers.MaxPooling2D(name=f"pool_{stage}")(x)
    x = layers.GlobalAveragePooling2D(name="average")(x)
    return keras.Model(pixels, x, name="convnet")


def build_classic_convnet(picture_size: int, width: float) -> Any:
    """Build the network of the textbooks: convolution, batch normalisation, pooling and dropout, four times over.

    Two convolutions a stage, as in VGG; dropout grows with depth, and the mean over all positions takes the place of the
    wide layers that VGG ends in, which hold nine tenths of its parameters.

    Args:
        picture_size: Height and width, pixels.
        width: Multiplies the channels of every layer.

    Returns:
        A functional model from pixels in -1..1 to features [rows, 256 * width].

    Source: Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", 2015.
    """
    pixels = x = keras.Input((picture_size, picture_size, 3), name="scaled_pixels")
    for stage, (channels, dropout) in enumerate(((32, 0.05), (64, 0.1), (128, 0.15), (256, 0.2))):
        for step in range(2):
            # The normalisation has an offset of its own.
            x = layers.Conv2D(round(channels * width), 3, padding="same", use_bias=False, name=f"conv_{stage}_{step}")(
                x
            )
            x = layers.BatchNormalization(momentum=0.99, name=f"norm_{stage}_{step}")(x)
            x = layers.ReLU(name=f"relu_{stage}_{step}")(x)
        x = layers.MaxPooling2D(name=f"pool_{stage}")(x)
        x = layers.Dropout(dropout, name=f"dropout_{stage}")(x)
    x = layers.GlobalAveragePooling2D(name="average")(x)
    return keras.Model(pixels, x, name="classic_convnet")
