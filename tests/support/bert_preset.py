"""A BERT preset that the tests make: KerasHub's own format, random weights, a dozen word pieces."""

from __future__ import annotations

from pathlib import Path

PIECES = ("red", "blue", "shirt", "##s", "t", "-", "shoe", "کفش", "##ها", "é", "[MASK]", "漢")


def write_preset(folder: Path, *specials: str) -> str:
    """Write a BERT of random weights as a KerasHub preset."""
    import keras
    from keras_hub.models import BertBackbone, BertTokenizer

    vocabulary = [*specials, *PIECES]
    keras.utils.set_random_seed(0)
    backbone = BertBackbone(
        vocabulary_size=len(vocabulary),
        num_layers=1,
        num_heads=2,
        hidden_dim=8,
        intermediate_dim=16,
        max_sequence_length=12,
    )
    backbone.save_to_preset(str(folder))
    BertTokenizer(vocabulary, lowercase=True).save_to_preset(str(folder))
    return str(folder)
