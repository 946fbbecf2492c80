"""Titles to token ids: a subword tokenizer over normalised text, trained on the catalogue it will read.

Two kinds of ids can stand side by side in a title's row: those of its subwords, in their order, and behind them those of
its character n-grams, for the networks that take a bag of these.

    TOKEN_IDS   [ red  t  -  shirt  0 ... | "re"  "red"  "ed " ...  0 ... ]
                  `subword_length` ids      `NgramVocabulary.length` ids, counted on from the last subword's id

A tokenizer of subwords alone is saved as the tokenizers library saves it. One with n-grams is that file in an envelope:
{"aisle_title_tokenizer": 2, "subwords": {...}, "ngrams": {...}}.

This file is copied beside the repository's `model.py`: it imports NumPy, tokenizers and its neighbours, nothing else.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, Self

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from .title_ngrams import NgramVocabulary
from .title_normalization import normalize_title

PADDING: Final = "[PAD]"
UNKNOWN: Final = "[UNK]"
PADDING_ID: Final = 0

_VERSION_KEY: Final = "aisle_title_tokenizer"
_VERSION: Final = 2


def feature_text(title: str) -> str:
    """The text whose subwords are the features of a title.

    Case is folded, and joined spellings lose the ZWNJ, so that `لپ‌تاپ` and `لپتاپ` give the same features.
    """
    return normalize_title(title).lower().replace("\u200c", "")


class TitleTokenizer:
    """Token ids of a fixed length for titles; id 0 is padding, `unknown_id` what was never seen in training.

    Args:
        tokenizer: Of the subwords; its padding has id 0, and it has an unknown token. Changed: it cuts and pads.
        length: Ids of a title in all, those of n-grams included.
        ngrams: The n-grams that get ids; None for none.

    Raises:
        ValueError: The n-grams leave no place for subwords, or the tokenizer has no unknown token.
    """

    def __init__(self, tokenizer: Tokenizer, length: int, ngrams: NgramVocabulary | None = None) -> None:
        subword_length = length - (ngrams.length if ngrams else 0)
        if subword_length < 1:
            raise ValueError(f"titles have {length} ids, of which {length - subword_length} are n-grams: expected more")
        self._tokenizer = tokenizer
        self._tokenizer.enable_truncation(subword_length)
        self._tokenizer.enable_padding(length=subword_length, pad_id=PADDING_ID, pad_token=PADDING)
        self._ngrams = ngrams
        unknown_id = tokenizer.token_to_id(UNKNOWN)
        if unknown_id is None:
            raise ValueError(f"the tokenizer has no token {UNKNOWN}, expected one for what it does not know")
        self.unknown_id = unknown_id
        self.length = length
        self.subword_length = subword_length

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

    def with_ngrams(self, titles: Iterable[str], size: int, *, shortest: int, longest: int, length: int) -> Self:
        """Give the same tokenizer with `length` ids more, for the character n-grams of these titles.

        Args:
            titles: Titles as typed.
            size: Most n-grams that get an id.
            shortest: Characters of the shortest n-grams.
            longest: Characters of the longest.
            length: N-grams per title: more are cut, fewer padded at the end.
        """
        ngrams = NgramVocabulary.learn(
            map(feature_text, titles), size, shortest=shortest, longest=longest, length=length
        )
        return type(self)(Tokenizer.from_str(self._tokenizer.to_str()), self.subword_length + length, ngrams)

    @classmethod
    def load(cls, path: Path, length: int) -> Self:
        """Read a tokenizer that `save` wrote.

        Args:
            path: A `tokenizer.json`.
            length: Ids per title, those of n-grams included.

        Raises:
            ValueError: A later version of Aisle wrote the file, or its n-grams leave no place for subwords.
        """
        content = json.loads(path.read_text(encoding="utf-8"))
        if _VERSION_KEY not in content:
            return cls(Tokenizer.from_file(str(path)), length)
        if content[_VERSION_KEY] != _VERSION:
            raise ValueError(f"{path.name} is of version {content[_VERSION_KEY]}, expected {_VERSION}")
        tokenizer = Tokenizer.from_str(json.dumps(content["subwords"]))
        return cls(tokenizer, length, NgramVocabulary.from_json(content["ngrams"]))

    def save(self, path: Path) -> None:
        """Write the tokenizer as a `tokenizer.json`; see the module's text."""
        if self._ngrams is None:
            self._tokenizer.save(str(path))
            return
        subwords = json.loads(self._tokenizer.to_str())
        content = {_VERSION_KEY: _VERSION, "subwords": subwords, "ngrams": self._ngrams.to_json()}
        path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")

    @property
    def vocabulary_size(self) -> int:
        """Number of token ids, those of n-grams included; ids run from 0 to one less."""
        return self.subword_count + (len(self._ngrams.ngrams) if self._ngrams else 0)

    @property
    def subword_count(self) -> int:
        """Number of token ids of subwords, padding and unknown included; they are the lowest."""
        return int(self._tokenizer.get_vocab_size())

    def encode(self, titles: Sequence[str]) -> npt.NDArray[np.int32]:
        """Turn titles into token ids.

        Args:
            titles: Titles as typed.

        Returns:
            Ids of shape [len(titles), length]; the row of a blank title is all padding.
        """
        texts = [feature_text(title) for title in titles]
        token_ids = np.full((len(texts), self.length), PADDING_ID, dtype=np.int32)
        first_ngram = int(self._tokenizer.get_vocab_size())
        for row, (text, encoding) in enumerate(zip(texts, self._tokenizer.encode_batch_fast(texts), strict=True)):
            if not text:  # a tokenizer of BERT's would frame nothing with a beginning and an end
                continue
            token_ids[row, : self.subword_length] = encoding.ids
            if self._ngrams is not None:
                places = self._ngrams.places(text)
                ngram_ids = [self.unknown_id if place is None else first_ngram + place for place in places]
                token_ids[row, self.subword_length : self.subword_length + len(places)] = ngram_ids
        return token_ids
