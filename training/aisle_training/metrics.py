"""Figures about predictions: accuracy, macro-F1, expected calibration error, confusion matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from aisle_training.datasets import Labels


def accuracy(predicted: npt.NDArray[np.integer[Any]], labels: Labels) -> float:
    """Give the fraction of rows whose predicted class is the true one; both are [rows]."""
    return float(np.mean(predicted == labels))


def confusion_matrix(predicted: npt.NDArray[np.integer[Any]], labels: Labels, classes: int) -> npt.NDArray[np.int64]:
    """Count rows by true class (first axis) and predicted class (second axis), [classes, classes]."""
    matrix = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(matrix, (labels, predicted), 1)
    return matrix


def macro_f1(predicted: npt.NDArray[np.integer[Any]], labels: Labels, classes: int) -> float:
    """Average the F1 of the classes, each counting the same however rare it is.

    Args:
        predicted: Predicted classes, [rows].
        labels: True classes, [rows].
        classes: Number of classes.

    Returns:
        The mean over the classes that occur among the labels or the predictions.
    """
    matrix = confusion_matrix(predicted, labels, classes)
    hits = np.diag(matrix)
    either = matrix.sum(axis=0) + matrix.sum(axis=1)
    occurs = either > 0
    return float(np.mean(2.0 * hits[occurs] / either[occurs]))


def expected_calibration_error(probabilities: npt.NDArray[np.floating[Any]], labels: Labels, bins: int = 15) -> float:
    """Say how far confidence is from accuracy, on average.

    Args:
        probabilities: [rows, classes].
        labels: True classes, [rows].
        bins: The confidence of the predicted class falls into so many bins of equal width.

    Returns:
        The mean over rows of |accuracy - mean confidence| of the row's bin: 0 is honest, 1 as wrong as can be.

    Source: Naeini et al., "Obtaining Well Calibrated Probabilities Using Bayesian Binning", 2015.
    """
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == labels
    # Bins are open below and closed above; confidence 0 cannot occur among the largest of probabilities.
    bin_of = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    gaps = np.bincount(bin_of, weights=correct - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(labels))
