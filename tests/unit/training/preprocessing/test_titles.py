"""The tokenizer: titles in, token ids of a fixed length out."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aisle_training.preprocessing.titles import TitleTokenizer, feature_text

LENGTH = 12
TITLES = [
    *(f"{maker} Men's {colour} T-Shirt" for maker in ("Alder", "Birch", "Cedar") for colour in ("Red", "Blue", "Grey")),
    *("گوشی موبایل سامسونگ A52s 128GB", "لپ‌تاپ ایسوس", "لپتاپ لنوو", "کفش ورزشی مردانه", "کتاب‌های کودک") * 3,
]
TOKENIZER = TitleTokenizer.train(TITLES, vocabulary_size=200, length=LENGTH)


def test_ids() -> None:
    """Each title becomes a row of int32 ids below the vocabulary size, padded with 0 at the end."""
    ids = TOKENIZER.encode(["Red T-Shirt", ""])
    assert ids.shape == (2, LENGTH)
    assert ids.dtype == np.int32
    used = int((ids[0] > 0).sum())
    assert 0 < used < LENGTH
    assert (ids[0, :used] > 1).all()
    assert (ids[0, used:] == 0).all()
    assert (ids[1] == 0).all()
    assert ids.max() < TOKENIZER.vocabulary_size <= 200


def test_no_titles() -> None:
    """No titles give no rows."""
    assert TOKENIZER.encode([]).shape == (0, LENGTH)


def test_long_titles_are_cut() -> None:
    """A title with more tokens than the length keeps the first ones."""
    long, short = TOKENIZER.encode(["Red T-Shirt " * 5000, "Red T-Shirt " * LENGTH])
    assert (long == short).all()
    assert (long > 0).all()


def test_rows_do_not_depend_on_their_neighbours() -> None:
    """A title has the same ids alone and in a batch."""
    batch = TOKENIZER.encode(TITLES)
    assert all((TOKENIZER.encode([title])[0] == row).all() for title, row in zip(TITLES, batch, strict=True))


def test_unknown_characters() -> None:
    """Characters never seen in training share the one id for the unknown, and are not lost."""
    assert TOKENIZER.encode(["漢字"])[0, :3].tolist().count(1) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("گوشی ۱۲۸GB", "گوشي 128gb"),
        ("لپ‌تاپ", "لپتاپ"),
        ("كتاب هاي", "کتاب‌های"),
        ("کتاب ها", "کتاب‌ها"),
        ("T-SHIRT", "t-shirt"),
        ("کَفش\u200f", "کفش"),
    ],
)
def test_spellings_share_their_tokens(one: str, other: str) -> None:
    """Two spellings of one title give the same tokens."""
    ids = TOKENIZER.encode([one, other])
    assert (ids[0] == ids[1]).all()
    assert ids.any()


def test_saved_tokenizer_is_the_same(tmp_path: Path) -> None:
    """A tokenizer that was saved and loaded gives the same ids, at any length."""
    TOKENIZER.save(tmp_path / "tokenizer.json")
    loaded = TitleTokenizer.load(tmp_path / "tokenizer.json", LENGTH)
    assert loaded.vocabulary_size == TOKENIZER.vocabulary_size
    assert (loaded.encode(TITLES) == TOKENIZER.encode(TITLES)).all()
    longer = TitleTokenizer.load(tmp_path / "tokenizer.json", LENGTH + 5).encode(["Red T-Shirt"])
    assert (longer[0, :LENGTH] == TOKENIZER.encode(["Red T-Shirt"])[0]).all()
    assert longer.shape == (1, LENGTH + 5)


def test_training_repeats(tmp_path: Path) -> None:
    """The same titles in the same order give the same tokenizer, byte for byte."""
    TOKENIZER.save(tmp_path / "one.json")
    TitleTokenizer.train(iter(TITLES), vocabulary_size=200, length=LENGTH).save(tmp_path / "other.json")
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "other.json").read_bytes()


def test_ngrams_stand_behind_subwords(tmp_path: Path) -> None:
    """With n-grams a title keeps its subwords, and behind them stand its n-grams; also when saved and loaded."""
    both = TOKENIZER.with_ngrams(TITLES, 60, shortest=2, longest=3, length=20)
    assert (both.length, both.subword_length) == (LENGTH + 20, LENGTH)
    assert both.vocabulary_size == TOKENIZER.vocabulary_size + 60
    ids = both.encode(TITLES)
    assert (ids[:, :LENGTH] == TOKENIZER.encode(TITLES)).all()
    ngram_ids = ids[:, LENGTH:]
    assert ((ngram_ids >= TOKENIZER.vocabulary_size) | (ngram_ids <= 1)).all()
    assert ids.max() == both.vocabulary_size - 1
    both.save(tmp_path / "tokenizer.json")
    loaded = TitleTokenizer.load(tmp_path / "tokenizer.json", LENGTH + 20)
    assert (loaded.encode(TITLES) == ids).all()
    assert loaded.vocabulary_size == both.vocabulary_size
    assert not both.encode([""]).any()


def test_words_have_ngrams_in_common() -> None:
    """Words that share no subword but most of their letters share n-grams; what was never seen is the unknown."""
    tokenizer = TitleTokenizer.train(["sunglasses"] * 3, vocabulary_size=12, length=4)
    tokenizer = tokenizer.with_ngrams(["sunglasses"] * 3, 100, shortest=3, longest=3, length=12)
    one, other, foreign = (set(row) - {0} for row in tokenizer.encode(["sunglasses", "sunglass", "漢字漢字"])[:, 4:])
    assert len(one & other) >= 6
    assert foreign == {tokenizer.unknown_id}


def test_no_place_for_subwords(tmp_path: Path) -> None:
    """A length that n-grams fill is refused, and so is a file of a version that is not known."""
    both = TOKENIZER.with_ngrams(TITLES, 60, shortest=2, longest=3, length=20)
    both.save(tmp_path / "tokenizer.json")
    with pytest.raises(ValueError, match="titles have 20 ids, of which 20 are n-grams: expected more"):
        TitleTokenizer.load(tmp_path / "tokenizer.json", 20)
    (tmp_path / "tokenizer.json").write_text('{"aisle_title_tokenizer": 3}')
    with pytest.raises(ValueError, match=r"tokenizer.json is of version 3, expected 2"):
        TitleTokenizer.load(tmp_path / "tokenizer.json", 20)


@settings(deadline=None)
@given(title=st.text(st.characters(codec=None), max_size=50))
def test_any_title_has_tokens(title: str) -> None:
    """Any string has ids, surrogates and NULs included, and whatever is legible has at least one."""
    ids = TOKENIZER.encode([title])
    assert ids.shape == (1, LENGTH)
    assert bool(ids.any()) == bool(feature_text(title))
