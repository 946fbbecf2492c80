"""Disturbed pictures and titles."""

import numpy as np
import pytest

from aisle_training.evaluation.disturbances import (
    PICTURE_DISTURBANCES,
    TEXT_DISTURBANCES,
    add_typos,
    blur_pictures,
    darken_pictures,
    drop_words,
)

KINDS = ("Puma Men Running Shoes", "ساعت مچی مردانه", "cap", "  Red   wall clock ")
TITLES = ["", *(f"{kind} {number}" for kind in KINDS for number in range(40))]


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    """Chessboards of 32 pixels, with squares of one pixel."""
    board = np.indices((32, 32)).sum(axis=0) % 2 * 255
    return np.repeat(np.repeat(board[None, :, :, None], 3, axis=3), 2, axis=0).astype(np.uint8)


@pytest.mark.parametrize("name", PICTURE_DISTURBANCES)
def test_a_disturbed_picture_is_another_picture_of_the_same_shape(name: str, pictures: np.ndarray):
    """Pixels stay bytes of the same shape, change, change alike each time, and leave the originals alone."""
    before = pictures.copy()
    disturbed = PICTURE_DISTURBANCES[name](pictures)
    assert (disturbed.shape, disturbed.dtype) == (pictures.shape, np.uint8)
    assert not np.array_equal(disturbed, pictures)
    np.testing.assert_array_equal(disturbed, PICTURE_DISTURBANCES[name](pictures))
    np.testing.assert_array_equal(pictures, before)


def test_blur_takes_detail_and_darkness_takes_light(pictures: np.ndarray):
    """A blurred chessboard keeps its mean and loses its contrast; a darkened one keeps three tenths of its light."""
    blurred = blur_pictures(pictures)
    assert blurred.mean() == pytest.approx(pictures.mean(), abs=2)
    assert blurred.std() < 0.7 * pictures.std()
    assert darken_pictures(pictures).max() == round(255 * 0.3)


@pytest.mark.parametrize("name", TEXT_DISTURBANCES)
def test_disturbed_titles_are_repeatable(name: str):
    """The same titles are disturbed alike each time, some of them are, and an empty one stays empty."""
    disturbed = TEXT_DISTURBANCES[name](TITLES)
    assert disturbed == TEXT_DISTURBANCES[name](TITLES)
    assert disturbed != [" ".join(title.split()) for title in TITLES]
    assert [each for each, title in zip(disturbed, TITLES, strict=True) if not title] == [""]


def test_typos_stay_in_longer_words():
    """Words keep their number, their first letter, and their length but for one letter; short words stay whole."""
    changed = 0
    for before, after in zip(TITLES, add_typos(TITLES), strict=True):
        for word, typed in zip(before.split(), after.split(), strict=True):
            assert typed[0] == word[0]
            assert abs(len(typed) - len(word)) <= 1
            assert typed == word or len(word) >= 4
            changed += typed != word
    assert 0 < changed < 0.5 * sum(len(title.split()) for title in TITLES)


def test_a_title_never_loses_all_its_words():
    """Some words go, in every title with words one stays, and what stays is in its order."""
    for before, after in zip(TITLES, drop_words(TITLES), strict=True):
        remaining = iter(before.split())
        assert all(word in remaining for word in after.split())
        assert bool(after) == bool(before.split())
