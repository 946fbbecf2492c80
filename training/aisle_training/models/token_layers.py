"""Layers over the vectors of a title's tokens that know what is padding."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="aisle")
class MaskPadding(keras.layers.Layer):  # type: ignore[misc]
    """Set the vectors of padding (token id 0) to zero; a Keras mask ends here, for nothing is left to be masked."""

    supports_masking = True

    def compute_mask(self, inputs: Any, previous_mask: Any) -> None:
        """Hand no mask on."""

    def call(self, inputs: tuple[Any, Any]) -> Any:
        """Mask row by row.

        Args:
            inputs: Vectors [rows, length, size] and token ids [rows, length].

        Returns:
            Vectors [rows, length, size].
        """
        vectors, token_ids = inputs
        return vectors * ops.expand_dims(ops.cast(ops.not_equal(token_ids, 0), vectors.dtype), -1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Give the shape of the vectors, which does not change."""
        return input_shape[0]


@keras.saving.register_keras_serializable(package="aisle")
class MeanOfTokens(keras.layers.Layer):  # type: ignore[misc]
    """Average the vectors of the tokens that are not padding; zero for a title without tokens."""

    def call(self, inputs: tuple[Any, Any]) -> Any:
        """Average row by row.

        Args:
            inputs: Vectors [rows, length, size], zero at padding, and token ids [rows, length].

        Returns:
            Vectors [rows, size].
        """
        vectors, token_ids = inputs
        tokens = ops.sum(ops.cast(ops.not_equal(token_ids, 0), vectors.dtype), axis=1, keepdims=True)
        return ops.sum(vectors, axis=1) / ops.maximum(tokens, 1.0)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Give [rows, size]."""
        rows, _, size = input_shape[0]
        return rows, size
