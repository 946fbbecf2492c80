"""Character n-grams: which a title has, and which get an id."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aisle_training.preprocessing.title_ngrams import NgramVocabulary

NONE = NgramVocabulary(shortest=2, longest=3, length=100)


def test_ngrams_of_a_title() -> None:
    """N-grams lie within a word and its edges, each stands once, in the order in which they begin."""
    assert NONE.split("ab ab c") == [" a", " ab", "ab", "ab ", "b ", " c", " c ", "c "]
    assert NONE.split("") == []


def test_only_the_first_are_looked_at() -> None:
    """Of a long title only as many n-grams are taken as there is room for, the first ones."""
    few = NgramVocabulary(shortest=2, longest=3, length=4)
    assert few.split("abcdefgh " * 1000) == [" a", " ab", "ab", "abc"]


def test_the_most_frequent_are_learnt() -> None:
    """Those get an id that stand in most titles, and in two at least; ties are broken by their letters."""
    learnt = NgramVocabulary.learn(["ab", "ab", "abx", "ay", "q q q q"], 4, shortest=2, longest=2, length=9)
    assert learnt.ngrams == (" a", "ab", "b ")
    assert learnt.places("ay") == [0, None, None]
    assert NgramVocabulary.learn(["ab", "ab"], 1, shortest=2, longest=2, length=9).ngrams == (" a",)


@pytest.mark.parametrize(("shortest", "longest", "length"), [(0, 3, 9), (4, 3, 9), (2, 3, 0)])
def test_sizes_that_cannot_be(shortest: int, longest: int, length: int) -> None:
    """Sizes that make no n-grams are refused."""
    with pytest.raises(ValueError, match="expected 1 or more, and the shortest no longer than the longest"):
        NgramVocabulary(shortest, longest, length)


@settings(deadline=None)
@given(st.text(max_size=40))
def test_any_text(text: str) -> None:
    """N-grams have the sizes asked for, and survive being written as JSON values."""
    vocabulary = NgramVocabulary.learn([text, text], 50, shortest=2, longest=3, length=30)
    ngrams = vocabulary.split(text)
    assert len(ngrams) == len(set(ngrams)) <= 30
    assert all(2 <= len(ngram) <= 3 for ngram in ngrams)
    assert NgramVocabulary.from_json(vocabulary.to_json()) == vocabulary
    assert None not in vocabulary.places(text)
