"""Accuracy, macro-F1, calibration error and confusion matrix."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from aisle_training.metrics import accuracy, confusion_matrix, expected_calibration_error, macro_f1


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
