"""How much each vote counts in late fusion."""

import numpy as np
import numpy.typing as npt
import pytest

from aisle_training.datasets import Labels
from aisle_training.fusion_weights import fit_vote_weights

ROWS, CLASSES = 4000, 4


def draw_votes(
    generator: np.random.Generator, labels: Labels, strength: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Draw evidence about the true classes, and the log-probabilities that are right to conclude from it."""
    evidence = generator.normal(size=(len(labels), CLASSES)) + strength * np.eye(CLASSES)[labels]
    logits = strength * evidence
    return evidence, logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


@pytest.fixture
def labels() -> Labels:
    """Classes, drawn."""
    return np.random.default_rng(1).integers(0, CLASSES, ROWS).astype(np.int32)


def test_independent_votes_count_in_full(labels: Labels):
    """Calibrated classifiers that err independently are multiplied: each weight is near 1."""
    generator = np.random.default_rng(0)
    votes = np.stack([draw_votes(generator, labels, strength)[1] for strength in (1.5, 1.0, 0.7)])
    np.testing.assert_allclose(fit_vote_weights(votes, labels), 1.0, atol=0.15)


def test_a_repeated_vote_counts_once(labels: Labels):
    """Two classifiers that always say the same share the weight of one."""
    _, votes = draw_votes(np.random.default_rng(0), labels, 1.0)
    weights = fit_vote_weights(np.stack([votes, votes]), labels)
    assert weights.sum() == pytest.approx(1.0, abs=0.1)
    assert weights[0] == pytest.approx(weights[1], abs=1e-6)


def test_misleading_votes_count_nothing(labels: Labels):
    """A classifier that points away from the truth gets the weight 0, never a negative one."""
    generator = np.random.default_rng(0)
    _, good = draw_votes(generator, labels, 1.0)
    _, bad = draw_votes(generator, (labels + 1) % CLASSES, 1.0)
    weights = fit_vote_weights(np.stack([good, bad]), labels)
    assert weights[1] == 0.0
    assert weights[0] == pytest.approx(1.0, abs=0.1)


def test_few_rows_do_not_ask_for_endless_weights():
    """Where every held-out row is predicted right, or there is none at all, weights stay near those of the average."""
    labels = np.arange(4, dtype=np.int32)
    sure = np.log(np.full((4, 4), 0.01) + 0.96 * np.eye(4))
    assert fit_vote_weights(np.stack([sure, sure]), labels).max() < 1.0
    np.testing.assert_allclose(fit_vote_weights(np.zeros((2, 0, 4)), labels[:0]), 0.5)


def test_an_impossible_class_is_no_end(labels: Labels):
    """A true class to which a classifier gave the probability 0 leaves the weights numbers."""
    _, votes = draw_votes(np.random.default_rng(0), labels, 1.0)
    votes[0, labels[0]] = -np.inf
    assert np.isfinite(fit_vote_weights(np.stack([votes, votes]), labels)).all()


def test_votes_that_nothing_is_known_of_count_alike():
    """Where no validation product has a set of inputs, such as both of two, the votes are averaged."""
    none = np.zeros((2, 0, CLASSES))
    np.testing.assert_allclose(fit_vote_weights(none, np.zeros(0, dtype=np.int32)), [0.5, 0.5])
