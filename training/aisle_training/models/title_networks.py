"""The networks that turn token ids into features; the title classifier puts its head on one of them."""

from __future__ import annotations

from typing import Any, Final

import keras
from keras import layers, ops

from aisle_training.models.token_layers import MaskPadding, MeanOfTokens

TITLE_NETWORKS: Final = ("subwords", "bag", "lstm", "conv_bilstm", "transformer", "bert")


def build_title_network(
    network: str,
    vocabulary_size: int,
    length: int,
    token_size: int,
    filters: int,
    dropout: float,
    *,
    ngram_length: int = 0,
    backbone: dict[str, Any] | None = None,
) -> Any:
    """Build a network without a classifier.

    Where there are n-grams, their mean stands beside what the network makes of the subwords, whichever network it is.

    Args:
        network: Of the subwords.
            "subwords", their mean beside the strongest response of each of `filters` convolutions one, two and three
            subwords wide (after Kim, 2014).
            "bag", their mean alone (after Joulin et al., 2016).
            "lstm", a long short-term memory of `filters` units and its last state.
            "conv_bilstm", a convolution three subwords wide, then an LSTM in each direction, and the strongest response
            of each unit.
            "transformer", two encoder blocks of keras-hub and a mean.
            "bert", keras-hub's BERT and what it makes of its first token; `token_size`, `filters` and `dropout` play no
            part.
        vocabulary_size: Number of token ids, those of n-grams included; 0 is padding.
        length: Ids of a title, those of n-grams included.
        token_size: Size of a token's vector.
        filters: Convolutions of each width, units of each LSTM, or the hidden size of the Transformer's feed-forward
            networks.
        dropout: Fraction dropped in training.
        ngram_length: How many of the ids, at the end, are those of n-grams.
        backbone: The configuration of a `keras_hub.models.BertBackbone`, for "bert" alone.

    Returns:
        A functional model from token ids int32 [rows, length] to features [rows, size].

    Raises:
        ValueError: The network is unknown, or "bert" has no backbone.
    """
    if network not in TITLE_NETWORKS:
        raise ValueError(f"unknown title network {network!r}, expected one of {', '.join(TITLE_NETWORKS)}")
    token_ids = keras.Input((length,), dtype="int32", name="token_ids")
    subword_length = length - ngram_length
    subword_ids = token_ids[:, :subword_length] if ngram_length else token_ids
    if network == "bert":
        features = [_bert(subword_ids, backbone)]
    elif network == "transformer":
        features = [_transformer(subword_ids, vocabulary_size, subword_length, token_size, filters, dropout)]
    else:
        embedding = layers.Embedding(vocabulary_size, token_size, name="embedding")
        x = layers.SpatialDropout1D(dropout / 2, name="token_dropout")(embedding(subword_ids))
        x = MaskPadding(name="mask_padding")([x, subword_ids])
        features = _OF_VECTORS[network](x, subword_ids, filters)
    if ngram_length:
        ngram_ids = token_ids[:, subword_length:]
        # All ids are below `vocabulary_size`, so a table for all of them serves whatever ids come.
        x = layers.Embedding(vocabulary_size, token_size, name="ngram_embedding")(ngram_ids)
        x = MaskPadding(name="mask_ngram_padding")([x, ngram_ids])
        features.append(MeanOfTokens(name="mean_of_ngrams")([x, ngram_ids]))
    joined = layers.Concatenate(name="features")(features) if len(features) > 1 else features[0]
    return keras.Model(token_ids, joined, name=network)


def _bag(x: Any, token_ids: Any, _filters: int) -> list[Any]:
    return [MeanOfTokens(name="mean")([x, token_ids])]


def _subwords(x: Any, token_ids: Any, filters: int) -> list[Any]:
    mask = MaskPadding(name="mask_responses")
    pooled = _bag(x, token_ids, filters)
    for tokens in (1, 2, 3):
        response = layers.Conv1D(filters, tokens, padding="same", activation="relu", name=f"conv_{tokens}")(x)
        pooled.append(layers.GlobalMaxPooling1D(name=f"strongest_{tokens}")(mask([response, token_ids])))
    return pooled


def _lstm(x: Any, token_ids: Any, filters: int) -> list[Any]:
    # Not cuDNN's, which no exported graph can hold.
    return [layers.LSTM(filters, use_cudnn=False, name="lstm")(x, mask=ops.not_equal(token_ids, 0))]


def _conv_bilstm(x: Any, token_ids: Any, filters: int) -> list[Any]:
    mask = MaskPadding(name="mask_responses")
    x = layers.Conv1D(filters, 3, padding="same", activation="relu", name="conv")(x)
    lstm = layers.LSTM(filters, return_sequences=True, use_cudnn=False, name="lstm")
    states = layers.Bidirectional(lstm, name="bilstm")(x, mask=ops.not_equal(token_ids, 0))
    return [layers.GlobalMaxPooling1D(name="strongest")(mask([states, token_ids]))]


_OF_VECTORS: Final = {"subwords": _subwords, "bag": _bag, "lstm": _lstm, "conv_bilstm": _conv_bilstm}


def _transformer(
    token_ids: Any, vocabulary_size: int, length: int, token_size: int, filters: int, dropout: float
) -> Any:
    # Half a minute to import on a small machine, and needed by nobody who trains another network.
    from keras_hub.layers import TokenAndPositionEmbedding, TransformerEncoder

    x = TokenAndPositionEmbedding(vocabulary_size, length, token_size, name="embedding")(token_ids)
    padding_mask = ops.not_equal(token_ids, 0)
    for block in range(2):
        encoder = TransformerEncoder(filters, num_heads=4, dropout=dropout, name=f"encoder_{block}")
        x = encoder(x, padding_mask=padding_mask)
    return MeanOfTokens(name="mean")([MaskPadding(name="mask_padding")([x, token_ids]), token_ids])


def _bert(token_ids: Any, backbone: dict[str, Any] | None) -> Any:
    if backbone is None:
        raise ValueError("the title network 'bert' has no backbone, expected that of a preset")
    from keras_hub.models import BertBackbone

    bert = BertBackbone.from_config({**backbone, "name": "backbone"})
    inputs = {
        "token_ids": token_ids,
        "segment_ids": ops.zeros_like(token_ids),
        "padding_mask": ops.cast(ops.not_equal(token_ids, 0), "int32"),
    }
    return bert(inputs)["pooled_output"]
