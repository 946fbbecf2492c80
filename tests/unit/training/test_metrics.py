"""Accuracy, F1, calibration, coverage and confusion."""

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_recall_fscore_support, top_k_accuracy_score

from aisle_training.metrics import (
    accuracy,
    class_scores,
    confusion_matrix,
    coverage_at,
    coverage_curve,
    expected_calibration_error,
    macro_f1,
    reliability_bins,
    top_accuracy,
    weighted_f1,
)


def test_figures_equal_scikit_learn():
    """Macro-F1 is scikit-learn's, on predictions where some classes never occur."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 7, 500)
    predicted = np.where(generator.random(500) < 0.6, labels, generator.integers(0, 7, 500))
    assert macro_f1(predicted, labels, classes=9) == pytest.approx(f1_score(labels, predicted, average="macro"))
    assert accuracy(predicted, labels) == pytest.approx(np.mean(labels == predicted))


def test_confusion_matrix_counts_true_by_predicted():
    """A row of the confusion matrix is a true class, a column a predicted one."""
    matrix = confusion_matrix(np.array([0, 1, 1, 2]), np.array([0, 0, 1, 1]), classes=3)
    assert matrix.tolist() == [[1, 1, 0], [0, 1, 1], [0, 0, 0]]


def test_calibration_error_by_hand():
    """Ten rows at confidence 0.9 of which six are right, and ten at 0.6 of which six are right: (0.3 + 0) / 2."""
    probabilities = np.array([[0.9, 0.1]] * 10 + [[0.6, 0.4]] * 10)
    labels = np.array(([0] * 6 + [1] * 4) * 2)
    assert expected_calibration_error(probabilities, labels) == pytest.approx(0.15)


def test_confidence_of_one_is_counted():
    """A row of confidence 1 falls into the last bin."""
    assert expected_calibration_error(np.array([[1.0, 0.0]]), np.array([1])) == pytest.approx(1.0)


def test_scores_of_classes_equal_scikit_learn():
    """Precision, recall, F1 and support of each class, and the weighted F1, are scikit-learn's."""
    generator = np.random.default_rng(1)
    labels = generator.integers(0, 5, 300)
    predicted = np.where(generator.random(300) < 0.5, labels, generator.integers(0, 7, 300))
    expected = precision_recall_fscore_support(labels, predicted, labels=range(8), zero_division=0)
    scores = class_scores(predicted, labels, classes=8)
    for name, column in zip(("precision", "recall", "f1", "support"), expected, strict=True):
        np.testing.assert_allclose([getattr(score, name) for score in scores], column, err_msg=name)
    assert sum(score.predicted for score in scores) == 300
    assert weighted_f1(predicted, labels, 8) == pytest.approx(f1_score(labels, predicted, average="weighted"))


@pytest.mark.parametrize("best", [1, 3, 5])
def test_top_accuracy_equals_scikit_learn(best: int):
    """A row counts when its class is among the best few; with one, that is the accuracy."""
    generator = np.random.default_rng(2)
    probabilities = generator.dirichlet(np.ones(7), 200)
    labels = generator.integers(0, 7, 200)
    assert top_accuracy(probabilities, labels, best) == pytest.approx(
        top_k_accuracy_score(labels, probabilities, k=best, labels=range(7))
    )


def test_equally_probable_classes_stand_in_the_order_of_their_numbers():
    """Where all classes are equally probable, only the first ones are among the best, not all of them."""
    probabilities = np.full((4, 4), 0.25)
    labels = np.arange(4)
    assert top_accuracy(probabilities, labels, 1) == accuracy(probabilities.argmax(axis=1), labels) == 0.25
    assert top_accuracy(probabilities, labels, 3) == 0.75


def test_reliability_bins_hold_every_row_once():
    """Bins that are empty are left out, and the calibration error is what the others say."""
    generator = np.random.default_rng(3)
    probabilities = generator.dirichlet(np.full(3, 0.3), 400)
    labels = generator.integers(0, 3, 400)
    bins = reliability_bins(probabilities, labels)
    assert sum(each.rows for each in bins) == 400
    assert [each.confidence for each in bins] == sorted(each.confidence for each in bins)
    by_hand = sum(each.rows * abs(each.accuracy - each.confidence) for each in bins) / 400
    assert expected_calibration_error(probabilities, labels) == pytest.approx(by_hand)


def test_coverage_by_hand():
    """Answering the two surest rows is always right; to answer all of them is right for three of five."""
    confidence = np.array([0.9, 0.6, 0.8, 0.6, 0.7])
    probabilities = np.stack([confidence, 1 - confidence], axis=1)
    labels = np.array([0, 1, 0, 0, 1])
    curve = coverage_curve(probabilities, labels)
    assert [point.threshold for point in curve] == [0.9, 0.8, 0.7, 0.6]
    assert [point.coverage for point in curve] == pytest.approx([0.2, 0.4, 0.6, 1.0])
    assert [point.precision for point in curve] == pytest.approx([1.0, 1.0, 2 / 3, 3 / 5])
    assert coverage_at(curve, 0.95) == pytest.approx(0.4)
    assert coverage_at(curve, 0.6) == pytest.approx(1.0)


def test_coverage_is_zero_where_no_threshold_is_precise_enough():
    """A model whose surest answer is wrong covers nothing at any precision above it."""
    curve = coverage_curve(np.array([[0.9, 0.1], [0.8, 0.2]]), np.array([1, 0]))
    assert coverage_at(curve, 0.95) == 0.0
