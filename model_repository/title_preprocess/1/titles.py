"""Titles to token ids: a subword tokenizer over normalised text, trained on the catalogue it will read.

This file is copied beside the repository's `model.py`: it imports NumPy, tokenizers and its neighbour, nothing else.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, Self

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from .title_normalization import normalize_title

PADDING: Final = "[PAD]"
UNKNOWN: Final = "[UNK]"
PADDING_ID: Final = 0


def feature_text(title: str) -> str:
    """The text whose subwords are the features of a title.

    Case is folded, and joined spellings lose the ZWNJ, so that `لپ‌تاپ` and `لپتاپ` give the same features.
    """
    return normalize_title(title).lower().replace("\u200c", "")


class TitleTokenizer:
    """Token ids of a fixed length for titles; id 0 is padding, id 1 a character never seen in training."""

    def __init__(self, tokenizer: Tokenizer, length: int) -> None:
        self._tokenizer = tokenizer
        self._tokenizer.enable_truncation(length)
        self._tokenizer.enable_padding(length=length, pad_id=PADDING_ID, pad_token=PADDING)
        self.length = length

    @classmethod
    def train(cls, titles: Iterable[str], vocabulary_size: int, length: int) -> Self:
        """Learn byte-pair merges from titles. The same titles give the same tokenizer.

        BPE rather than Unigram: its training counts integers and breaks ties by id, so it repeats exactly.

        Args:
            titles: Titles as typed.
            vocabulary_size: Most tokens, padding and unknown included; fewer when the titles hold no more.
            length: Tokens per title: longer ones are cut, shorter ones padded at the end.
        """
        tokenizer = Tokenizer(models.BPE(unk_token=UNKNOWN, fuse_unk=True))
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
        tokenizer.decoder = decoders.Metaspace()
        trainer = trainers.BpeTrainer(
            vocab_size=vocabulary_size, special_tokens=[PADDING, UNKNOWN], show_progress=False, min_frequency=2
        )
        tokenizer.train_from_iterator(map(feature_text, titles), trainer)
        return cls(tokenizer, length)

    @classmethod
    def load(cls, path: Path, length: int) -> Self:
        """Read a tokenizer that `save` wrote.

        Args:
            path: A `tokenizer.json`.
            length: Tokens per title.
        """
        return cls(Tokenizer.from_file(str(path)), length)

    def save(self, path: Path) -> None:
        """Write the tokenizer as a `tokenizer.json` of the tokenizers library."""
        self._tokenizer.save(str(path))

    @property
    def vocabulary_size(self) -> int:
        """Number of token ids; ids run from 0 to one less."""
        return int(self._tokenizer.get_vocab_size())

    def encode(self, titles: Sequence[str]) -> npt.NDArray[np.int32]:
        """Turn titles into token ids.

        Args:
            titles: Titles as typed.

        Returns:
            Ids of shape [len(titles), length]; the row of a blank title is all padding.
        """
        encodings = self._tokenizer.encode_batch_fast([feature_text(title) for title in titles])
        ids = [encoding.ids for encoding in encodings]
        return np.array(ids, dtype=np.int32).reshape(len(titles), self.length)
