"""Give batch normalisations the statistics of what they really normalise.

Before fine-tuning: a network that was quantised or fused for inference has had its batch normalisations folded into the convolutions: mean
0, variance 1, all of the scale in gamma and beta. That computes the right thing at inference, but a training step
normalises with the statistics of its batch, and then almost all features come out 0: the network is dead. So before
training, each batch normalisation is given the mean and variance that its input really has, and gamma and beta are
moved the other way, so that the inference output stays what it was. For statistics that were right already it changes
next to nothing.

After averaging: the moving averages of a training run belong to the weights of its steps, not to their average, whose
feature maps are others. They are measured anew for it.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

Moment = npt.NDArray[np.float64]


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
    # Without a gamma and a beta there is nothing to move; such a layer (InceptionV3's have no gamma) stays as it is.
    layers = [layer for layer in _batch_norms(network) if layer.scale and layer.center]
    # One pass serves all layers: a layer's inference output does not change, so nor does the input of the next.
    for layer, (new_mean, new_variance) in zip(
        layers, _input_moments(network, layers, inputs, batch_size), strict=True
    ):
        gamma, beta, old_mean, old_variance = (weight.astype(np.float64) for weight in layer.get_weights())
        scale = gamma / np.sqrt(old_variance + layer.epsilon)
        new_gamma = scale * np.sqrt(new_variance + layer.epsilon)
        layer.set_weights([new_gamma, beta + scale * (new_mean - old_mean), new_mean, new_variance])
    return len(layers)


def measure_batch_norms(network: Any, inputs: npt.NDArray[Any], batch_size: int = 64) -> int:
    """Replace the moving averages of every trainable batch normalisation by what its input has with these weights.

    Args:
        network: A functional model; the batch normalisations among its own layers are changed.
        inputs: What the network takes, [rows, height, width, channels]; see `recalibrate_batch_norms`.
        batch_size: Rows at a time; as in training, each batch is normalised with its own statistics on the way.

    Returns:
        How many layers were measured.

    Source: Izmailov et al., "Averaging Weights Leads to Wider Optima and Better Generalization", 2018, section 3.2.
    """
    layers = [layer for layer in _batch_norms(network) if layer.trainable]
    moments = _input_moments(network, layers, inputs, batch_size, training=True)
    for layer, (mean, variance) in zip(layers, moments, strict=True):
        layer.moving_mean.assign(mean)
        layer.moving_variance.assign(variance)
    return len(layers)


def _batch_norms(network: Any) -> list[Any]:
    return [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]


def _input_moments(
    network: Any, layers: list[Any], inputs: npt.NDArray[Any], batch_size: int, *, training: bool = False
) -> list[tuple[Moment, Moment]]:
    """Measure mean and variance of each channel of the inputs of some layers, over all rows and positions.

    Returns:
        Mean and variance, float64 [channels], for each layer.
    """
    if not layers:
        return []
    # By name, for Keras unpacks a list of one.
    moments = keras.Model(
        network.inputs,
        {
            layer.name: ops.stack(
                [ops.mean(layer.input, axis=(0, 1, 2)), ops.mean(ops.square(layer.input), axis=(0, 1, 2))]
            )
            for layer in layers
        },
    )
    batch_size = min(batch_size, len(inputs))
    starts = range(0, len(inputs) - batch_size + 1, batch_size)
    sums: dict[str, Moment] = {layer.name: np.zeros(1) for layer in layers}
    for start in starts:
        batch = moments(ops.convert_to_tensor(inputs[start : start + batch_size], "float32"), training=training)
        for name, values in batch.items():
            sums[name] = sums[name] + ops.convert_to_numpy(values).astype(np.float64) / len(starts)
    return [(mean, np.maximum(square - mean**2, 0.0)) for mean, square in (sums[layer.name] for layer in layers)]
