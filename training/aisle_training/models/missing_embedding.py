"""What stands in for the embedding of an input that a product does not have."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="aisle")
class MissingEmbedding(keras.layers.Layer):  # type: ignore[misc]
    """Replace the embedding of each row whose input is missing by one learned vector.

    The row's own embedding is chosen away, not multiplied by zero: whatever stands there, NaN included, has no
    influence on the output.
    """

    def build(self, input_shape: Any) -> None:
        """Make the vector that stands for "missing"."""
        self.missing = self.add_weight(name="missing", shape=(input_shape[0][-1],), initializer="zeros")

    def call(self, inputs: tuple[Any, Any]) -> Any:
        """Choose row by row.

        Args:
            inputs: Embeddings [rows, size], and flags [rows, 1], 1 where the embedding is that of a real input.

        Returns:
            Embeddings [rows, size].
        """
        embedding, present = inputs
        return ops.where(present > 0.5, embedding, ops.convert_to_tensor(self.missing))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Give the shape of the embeddings, which does not change."""
        return input_shape[0]
