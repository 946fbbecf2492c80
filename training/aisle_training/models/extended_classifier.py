"""A classifier with categories that were added after its training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import keras
import numpy as np
from keras import ops

from aisle_training.categories.prototypes import PrototypeWeights
from aisle_training.models.temperature import mask_number

LEAST_PROBABILITY: Final = 1e-30


class PrototypeOdds(keras.layers.Layer):  # type: ignore[misc]
    """Log-odds of the added categories, as `PrototypeWeights.log_odds` computes them.

    Args:
        weights: The numbers.
        names: The modalities whose embeddings come, in the order of `weights`.
    """

    def __init__(self, weights: PrototypeWeights, names: Sequence[str], **kwargs: Any) -> None:
        super().__init__(trainable=False, **kwargs)
        self._places = [list(weights.learnt).index(name) for name in names]
        self._learnt = [np.asarray(weights.learnt[name], np.float32) for name in names]
        self._added = [np.asarray(weights.added[name], np.float32) for name in names]
        self._slopes = np.asarray(weights.slopes[:, :, self._places], np.float32)
        self._intercepts = np.asarray(weights.intercepts, np.float32)

    def call(self, inputs: Sequence[Any]) -> Any:
        """Give log-odds [rows, added].

        Args:
            inputs: Of each modality the embedding [rows, size], then of each the flag [rows, 1].
        """
        embeddings, flags = inputs[: len(self._places)], inputs[len(self._places) :]
        mask = sum(
            ops.where(flag[:, 0] > 0.5, mask_number([place]), 0)
            for place, flag in zip(self._places, flags, strict=True)
        )
        odds = ops.take(ops.convert_to_tensor(self._intercepts), mask, axis=0)
        slopes = ops.take(ops.convert_to_tensor(self._slopes), mask, axis=0)
        for number, (embedding, flag) in enumerate(zip(embeddings, flags, strict=True)):
            length = ops.sqrt(ops.sum(ops.square(embedding), axis=1, keepdims=True))
            direction = embedding / ops.maximum(length, 1e-6)
            nearest = ops.max(ops.matmul(direction, self._learnt[number].T), axis=1, keepdims=True)
            margins = ops.matmul(direction, self._added[number].T) - nearest
            # Chosen, not multiplied: what stands in the embedding of a missing input may be anything.
            odds = odds + ops.where(flag > 0.5, margins * slopes[:, :, number], 0.0)
        return odds


def extend_classifier(model: Any, weights: PrototypeWeights, modality: str | None) -> Any:
    """Give a classifier that knows the added categories too, after those it has learnt.

    An added category has its odds against all that was learnt; what is left is shared as before, so the learnt categories
    keep their order.

    Args:
        model: An `ImageClassifier`, or that of another modality, or the `FusionClassifier`.
        weights: The numbers of the added categories.
        modality: Whose classifier it is; None for fusion.

    Returns:
        A Keras model with the same inputs and outputs, but for the classes of `PROBABILITIES`.
    """
    inputs = {
        tensor.name: keras.Input(tensor.shape[1:], dtype=tensor.dtype, name=tensor.name) for tensor in model.inputs
    }
    outputs = dict(model(inputs if modality is None else next(iter(inputs.values()))))
    if modality is None:
        names = list(weights.learnt)
        embeddings = [inputs[f"{name.upper()}_EMBEDDING"] for name in names]
        flags = [inputs[f"{name.upper()}_PRESENT"] for name in names]
    else:
        names, embeddings = [modality], [outputs["EMBEDDING"]]
        flags = [ops.ones_like(outputs["EMBEDDING"][:, :1])]
    odds = PrototypeOdds(weights, names, name="prototype_odds")([*embeddings, *flags])
    learnt = ops.log(ops.maximum(outputs["PROBABILITIES"], LEAST_PROBABILITY))
    outputs["PROBABILITIES"] = ops.softmax(ops.concatenate([learnt, odds], axis=1), axis=1)
    return keras.Model(inputs if modality is None else next(iter(inputs.values())), outputs, name=model.name)
