"""The networks that turn token ids into features; the title classifier puts its head on one of them."""

from __future__ import annotations

from typing import Any, Final

import keras
from keras import layers, ops

TITLE_NETWORKS: Final = ("subwords", "transformer")


@keras.saving.register_keras_serializable(package="aisle")
class MaskPadding(keras.layers.Layer):  # type: ignore[misc]
    """Set the vectors of padding (token id 0) to zero."""

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


def build_title_network(
    network: str, vocabulary_size: int, length: int, token_size: int, filters: int, dropout: float
) -> Any:
    """Build a network without a classifier.

    Args:
        network: "subwords", the mean of the subword vectors beside the strongest response of each of `filters`
            convolutions one, two and three subwords wide (after Kim, 2014); or "transformer", two encoder blocks of
            keras-hub and a mean.
        vocabulary_size: Number of token ids; 0 is padding.
        length: Tokens of a title, padded or cut.
        token_size: Size of a subword's vector.
        filters: Convolutions of each width, or the hidden size of the Transformer's feed-forward networks.
        dropout: Fraction dropped in training.

    Returns:
        A functional model from token ids int32 [rows, length] to features [rows, size].

    Raises:
        ValueError: The network is unknown.
    """
    if network not in TITLE_NETWORKS:
        raise ValueError(f"unknown title network {network!r}, expected one of {', '.join(TITLE_NETWORKS)}")
    token_ids = keras.Input((length,), dtype="int32", name="token_ids")
    mask = MaskPadding(name="mask_padding")
    if network == "transformer":
        # Half a minute to import on a small machine, and needed by nobody who trains the other network.
        from keras_hub.layers import TokenAndPositionEmbedding, TransformerEncoder

        x = TokenAndPositionEmbedding(vocabulary_size, length, token_size, name="embedding")(token_ids)
        padding_mask = ops.not_equal(token_ids, 0)
        for block in range(2):
            encoder = TransformerEncoder(filters, num_heads=4, dropout=dropout, name=f"encoder_{block}")
            x = encoder(x, padding_mask=padding_mask)
        features = MeanOfTokens(name="mean")([mask([x, token_ids]), token_ids])
        return keras.Model(token_ids, features, name="transformer")
    x = layers.Embedding(vocabulary_size, token_size, name="embedding")(token_ids)
    x = layers.SpatialDropout1D(dropout / 2, name="token_dropout")(x)
    x = mask([x, token_ids])
    pooled = [MeanOfTokens(name="mean")([x, token_ids])]
    for tokens in (1, 2, 3):
        response = layers.Conv1D(filters, tokens, padding="same", activation="relu", name=f"conv_{tokens}")(x)
        pooled.append(layers.GlobalMaxPooling1D(name=f"strongest_{tokens}")(mask([response, token_ids])))
    features = layers.Concatenate(name="features")(pooled)
    return keras.Model(token_ids, features, name="subwords")
