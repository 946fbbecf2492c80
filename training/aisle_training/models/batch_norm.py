"""Make batch normalisation ready for fine-tuning.

A network that was quantised or fused for inference has had its batch normalisations folded into the convolutions: mean
0, variance 1, all of the scale in gamma and beta. That computes the right thing at inference, but a training step
normalises with the statistics of its batch, and then almost all features come out 0: the network is dead. So before
training, each batch normalisation is given the mean and variance that its input really has, and gamma and beta are
moved the other way, so that the inference output stays what it was. For statistics that were right already it changes
next to nothing.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops


def recalibrate_batch_norms(network: Any, inputs: npt.NDArray[np.float32], batch_size: int = 64) -> int:
    """Give every batch normalisation the statistics of its own input; the inference output stays the same.

    Args:
        network: A functional model; the batch normalisations among its own layers are changed.
        inputs: What the network takes, scaled as it expects, [rows, height, width, channels]; about 1,000 rows of the
            training split say enough. Rows beyond the last whole batch are left out.
        batch_size: Rows at a time; all intermediate feature maps of one batch are in memory at once.

    Returns:
        How many layers were recalibrated.
    """
    layers = [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]
    if not layers:
        return 0
    # One pass serves all layers: a layer's inference output does not change, so nor does the input of the next.
    moments = keras.Model(
        network.inputs,
        [
            [ops.mean(layer.input, axis=(0, 1, 2)), ops.mean(ops.square(layer.input), axis=(0, 1, 2))]
            for layer in layers
        ],
    )
    batch_size = min(batch_size, len(inputs))
    starts = range(0, len(inputs) - batch_size + 1, batch_size)
    sums: list[list[npt.NDArray[np.float64]]] = [[np.zeros(1), np.zeros(1)] for _ in layers]
    for start in starts:
        batch = moments(ops.convert_to_tensor(inputs[start : start + batch_size]), training=False)
        for total, (mean, square) in zip(sums, batch, strict=True):
            total[0] = total[0] + ops.convert_to_numpy(mean).astype(np.float64)
            total[1] = total[1] + ops.convert_to_numpy(square).astype(np.float64)
    for layer, (mean, square) in zip(layers, sums, strict=True):
        new_mean = mean / len(starts)
        new_variance = np.maximum(square / len(starts) - new_mean**2, 0.0)
        gamma, beta, old_mean, old_variance = (weight.astype(np.float64) for weight in layer.get_weights())
        scale = gamma / np.sqrt(old_variance + layer.epsilon)
        new_gamma = scale * np.sqrt(new_variance + layer.epsilon)
        layer.set_weights([new_gamma, beta + scale * (new_mean - old_mean), new_mean, new_variance])
    return len(layers)
