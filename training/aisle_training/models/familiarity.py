"""The familiarity of a product as part of a network, so that whoever serves the network is told of strange products.

It is put on a trained classifier when the classifier is exported, and is not trained: all its weights come from
`confidence/familiarity.py`, which says what they mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from aisle_training.confidence.familiarity import LEVELS, Familiarity
from aisle_training.models.temperature import mask_number


@keras.saving.register_keras_serializable(package="aisle")
class FamiliarityScore(keras.layers.Layer):  # type: ignore[misc]
    """From the embeddings that a product has to its familiarity.

    Args:
        familiarity: What was fitted. Its clouds are in the order of the embeddings.
    """

    def __init__(self, familiarity: Familiarity, **kwargs: Any) -> None:
        super().__init__(trainable=False, **kwargs)
        self._clouds = list(familiarity.clouds.values())
        names = list(familiarity.clouds)
        # A set of inputs that was never seen is as strange as can be: every distance is beyond the last knot.
        knots = np.repeat(np.linspace(-2.0, -1.0, len(LEVELS), dtype=np.float32)[None], 2 ** len(names), axis=0)
        for mask, distances in familiarity.knots.items():
            knots[mask_number(names.index(name) for name in mask)] = distances
        self._knots = knots

    def call(self, inputs: Sequence[Any]) -> Any:
        """Measure products.

        Args:
            inputs: Each modality's embeddings [rows, size]; then each one's flags [rows, 1], 1 where the embedding is that
                of a real input. One modality has no flag.

        Returns:
            Familiarity, 0 to 1, [rows, 1].
        """
        embeddings, flags = inputs[: len(self._clouds)], inputs[len(self._clouds) :]
        total: Any = 0.0
        number: Any = ops.ones_like(embeddings[0][:, :1], dtype="int32")
        if flags:
            number = sum(ops.where(flag > 0.5, mask_number([place]), 0) for place, flag in enumerate(flags))
        for place, (clouds, embedding) in enumerate(zip(self._clouds, embeddings, strict=True)):
            round_ = ops.matmul(embedding, clouds.projection) + clouds.offset
            distances = (
                ops.sum(ops.square(round_), axis=1, keepdims=True)
                - 2.0 * ops.matmul(round_, clouds.means.T)
                + np.square(clouds.means).sum(axis=1)
            )
            # Chosen, not multiplied: what stands in for a missing embedding may be anything, NaN included.
            total = total + (ops.where(flags[place] > 0.5, distances, 0.0) if flags else distances)
        nearest = ops.min(total, axis=1, keepdims=True)
        knots = ops.take(self._knots, ops.reshape(ops.cast(number, "int32"), (-1,)), axis=0)
        steps = -np.diff(np.array(LEVELS, dtype=np.float32))
        passed = ops.clip((nearest - knots[:, :-1]) / (knots[:, 1:] - knots[:, :-1]), 0.0, 1.0)
        return ops.sum((1.0 - passed) * steps, axis=1, keepdims=True)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """One number a row."""
        return (input_shape[0][0], 1)


def with_familiarity(classifier: Any, familiarity: Familiarity, embeddings: Sequence[Any], flags: Sequence[Any]) -> Any:
    """Give a classifier that also says how familiar each product is.

    Args:
        classifier: A functional Keras model with a dictionary of outputs.
        familiarity: What was fitted, of as many modalities as there are embeddings.
        embeddings: The classifier's own tensors that hold the embeddings, in the order of the modalities.
        flags: Its inputs that say which rows have them; none for one modality.

    Returns:
        A model with the same inputs and weights, and the further output `FAMILIARITY`, float32 [rows, 1].
    """
    score = FamiliarityScore(familiarity, name="familiarity")([*embeddings, *flags])
    outputs = {**classifier.output, "FAMILIARITY": score}
    return keras.Model(classifier.input, outputs, name=classifier.name)
