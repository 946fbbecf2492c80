"""Character n-grams: pieces of words that misspellings, joined words and inflections have in common.

`لپتاپ` and `لپ تاپ`, `sunglass` and `sunglasses` share most of their n-grams where they may share no subword. The n-grams
of the training titles are kept as a list rather than hashed into buckets: one that was never seen is then known to be
unknown, and does not pass for whichever n-gram has the same hash.

This file is copied beside the repository's `model.py`: it imports the standard library alone.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Self

# Stands before and after each word, so that `<red` and `red>` are no part of `bored`.
_EDGE: Final = " "


@dataclass(frozen=True)
class NgramVocabulary:
    """The character n-grams that have an id.

    Attributes:
        shortest: Characters of the shortest n-grams, 1 or more; an edge of a word counts as one.
        longest: Characters of the longest.
        length: Most n-grams of a title that are looked at, the first ones.
        ngrams: Those that have an id, which is their place in this list.
    """

    shortest: int
    longest: int
    length: int
    ngrams: tuple[str, ...] = ()
    _places: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not (1 <= self.shortest <= self.longest and self.length >= 1):
            raise ValueError(
                f"n-grams of {self.shortest} to {self.longest} characters, {self.length} of a title: expected 1 or more, "
                "and the shortest no longer than the longest"
            )
        object.__setattr__(self, "_places", {ngram: place for place, ngram in enumerate(self.ngrams)})

    @classmethod
    def learn(cls, texts: Iterable[str], size: int, *, shortest: int, longest: int, length: int) -> Self:
        """Choose the n-grams that stand in most texts, and in two at least. The same texts give the same n-grams.

        Args:
            texts: Normalised titles.
            size: Most n-grams.
            shortest: Characters of the shortest.
            longest: Characters of the longest.
            length: Most n-grams of a title.
        """
        none = cls(shortest, longest, length)
        texts_with = Counter(ngram for text in texts for ngram in none.split(text))
        ranked = sorted((-count, ngram) for ngram, count in texts_with.items() if count > 1)
        return cls(shortest, longest, length, tuple(ngram for _, ngram in ranked[:size]))

    def split(self, text: str) -> list[str]:
        """Give the n-grams of a normalised title, each once, in the order in which they begin, `length` at most."""
        found: dict[str, None] = {}
        for ngram in self._spans(text):
            found[ngram] = None
            if len(found) == self.length:
                break
        return list(found)

    def places(self, text: str) -> list[int | None]:
        """Give the place in `ngrams` of each n-gram of a normalised title; None for one that is not there."""
        return [self._places.get(ngram) for ngram in self.split(text)]

    def to_json(self) -> dict[str, Any]:
        """Give everything as plain values; `NgramVocabulary.from_json` takes them."""
        return {
            "shortest": self.shortest,
            "longest": self.longest,
            "length": self.length,
            "ngrams": list(self.ngrams),
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Read what `to_json` gave."""
        return cls(values["shortest"], values["longest"], values["length"], tuple(values["ngrams"]))

    def _spans(self, text: str) -> Iterator[str]:
        for word in text.split():
            edged = f"{_EDGE}{word}{_EDGE}"
            for start in range(len(edged)):
                for end in range(start + self.shortest, min(start + self.longest, len(edged)) + 1):
                    yield edged[start:end]
