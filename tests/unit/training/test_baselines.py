"""Linear models that a network has to beat."""

import numpy as np
import pytest

from aisle_training.baselines import score_pictures, score_texts


def draw_pictures(rows: int, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise, with a bright quarter whose place is the class."""
    random = np.random.default_rng(seed)
    labels = np.arange(rows, dtype=np.int32) % classes
    pixels = random.integers(0, 160, (rows, 8, 8, 3), dtype=np.uint8)
    for row, label in enumerate(labels):
        down, across = 4 * (label // 2), 4 * (label % 2)
        pixels[row, down : down + 4, across : across + 4] += 80
    return pixels, labels


@pytest.mark.parametrize("classes", [2, 4])
def test_the_linear_model_learns_what_pixels_say(classes: int):
    """A class that shows in the brightness of a part of the picture is found in pictures that were not learnt."""
    pixels, labels = draw_pictures(80, classes, seed=0)
    others, wanted = draw_pictures(40, classes, seed=1)
    scores = score_pictures(pixels, labels, others, classes)
    assert scores.shape == (40, classes)
    assert (scores.argmax(axis=1) == wanted).mean() > 0.9


def test_the_support_vector_machine_learns_words():
    """A title is put where its words were learnt, whatever the case."""
    titles, labels = ["red shirt", "blue shirt", "gold watch", "steel watch"], np.array([0, 0, 1, 1], np.int32)
    scores = score_texts(titles, labels, ["GREEN SHIRT", "old watch"], 2)
    assert scores.argmax(axis=1).tolist() == [0, 1]


def test_a_class_without_rows_is_never_answered():
    """Classes keep their numbers where one of them has no training row, and that one has the lowest score of all."""
    pixels, labels = draw_pictures(80, 4, seed=0)
    kept = labels != 1
    scores = score_pictures(pixels[kept], labels[kept], pixels[~kept], 5)
    assert set(scores.argmin(axis=1)) == {1}
    assert (scores[:, 1] == scores[:, 4]).all()
    named = score_pictures(pixels[kept], labels[kept], pixels[labels == 3], 5)
    assert (named.argmax(axis=1) == 3).mean() > 0.9
