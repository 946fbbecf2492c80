"""Figures about predictions: accuracy, F1, calibration, coverage, confusion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aisle_training.confidence.coverage import running_precision
from aisle_training.datasets import Labels

Probabilities = npt.NDArray[np.floating[Any]]
Classes = npt.NDArray[np.integer[Any]]


def accuracy(predicted: Classes, labels: Labels) -> float:
    """Give the fraction of rows whose predicted class is the true one; both are [rows]."""
    return float(np.mean(predicted == labels))


def top_accuracy(probabilities: Probabilities, labels: Labels, best: int) -> float:
    """Give the fraction of rows whose true class is among the `best` most probable ones.

    A class that is as probable as the true one, and has a lower number, stands before it.

    Args:
        probabilities: [rows, classes].
        labels: True classes, [rows].
        best: How many classes may be named.
    """
    of_label = probabilities[np.arange(len(labels)), labels][:, None]
    before = np.arange(probabilities.shape[1])[None, :] < labels[:, None]
    rank = (probabilities > of_label).sum(axis=1) + ((probabilities == of_label) & before).sum(axis=1)
    return float(np.mean(rank < best))


def confusion_matrix(predicted: Classes, labels: Labels, classes: int) -> npt.NDArray[np.int64]:
    """Count rows by true class (first axis) and predicted class (second axis), [classes, classes]."""
    matrix = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(matrix, (labels, predicted), 1)
    return matrix


def macro_f1(predicted: Classes, labels: Labels, classes: int) -> float:
    """Average the F1 of the classes, each counting the same however rare it is.

    Args:
        predicted: Predicted classes, [rows].
        labels: True classes, [rows].
        classes: Number of classes.

    Returns:
        The mean over the classes that occur among the labels or the predictions.
    """
    scores = class_scores(predicted, labels, classes)
    return float(np.mean([score.f1 for score in scores if score.support or score.predicted]))


def weighted_f1(predicted: Classes, labels: Labels, classes: int) -> float:
    """Average the F1 of the classes, each by its number of rows; arguments as for `macro_f1`."""
    scores = class_scores(predicted, labels, classes)
    return float(np.average([score.f1 for score in scores], weights=[score.support for score in scores]))


@dataclass(frozen=True, slots=True)
class ClassScore:
    """How one class is told from the others; a quotient by zero is 0.

    Attributes:
        precision: Of the rows that were put here, the fraction that belongs here.
        recall: Of the rows that belong here, the fraction that was put here.
        f1: Harmonic mean of the two.
        support: Rows that belong here.
        predicted: Rows that were put here.
    """

    precision: float
    recall: float
    f1: float
    support: int
    predicted: int


def class_scores(predicted: Classes, labels: Labels, classes: int) -> list[ClassScore]:
    """Score each class on its own; arguments as for `macro_f1`."""
    matrix = confusion_matrix(predicted, labels, classes)
    return [
        ClassScore(
            precision=float(hits / max(chosen, 1)),
            recall=float(hits / max(support, 1)),
            f1=float(2.0 * hits / max(support + chosen, 1)),
            support=int(support),
            predicted=int(chosen),
        )
        for hits, support, chosen in zip(np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0), strict=True)
    ]


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """The rows whose confidence lies in one interval.

    Attributes:
        rows: How many there are, at least one.
        confidence: Their mean confidence.
        accuracy: The fraction of them that is right.
    """

    rows: int
    confidence: float
    accuracy: float


def reliability_bins(probabilities: Probabilities, labels: Labels, bins: int = 15) -> list[ReliabilityBin]:
    """Hold confidence against accuracy, bin by bin.

    Args:
        probabilities: [rows, classes].
        labels: True classes, [rows].
        bins: The confidence of the predicted class falls into so many bins of equal width.

    Returns:
        The bins that are not empty, least confident first.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    correct = probabilities.argmax(axis=1) == labels
    # Bins are open below and closed above; confidence 0 cannot occur among the largest of probabilities.
    bin_of = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    rows = np.bincount(bin_of, minlength=bins)
    confidences, hits = (np.bincount(bin_of, weights=weights, minlength=bins) for weights in (confidence, correct))
    return [
        ReliabilityBin(int(rows[number]), float(confidences[number] / rows[number]), float(hits[number] / rows[number]))
        for number in np.flatnonzero(rows)
    ]


def expected_calibration_error(probabilities: Probabilities, labels: Labels, bins: int = 15) -> float:
    """Say how far confidence is from accuracy, on average; arguments as for `reliability_bins`.

    Returns:
        The mean over rows of |accuracy - mean confidence| of the row's bin: 0 is honest, 1 as wrong as can be.

    Source: Naeini et al., "Obtaining Well Calibrated Probabilities Using Bayesian Binning", 2015.
    """
    gaps = [each.rows * abs(each.accuracy - each.confidence) for each in reliability_bins(probabilities, labels, bins)]
    return float(sum(gaps) / len(labels))


@dataclass(frozen=True, slots=True)
class CoveragePoint:
    """What comes of answering only where the confidence reaches a threshold.

    Attributes:
        threshold: The lowest confidence that is answered.
        coverage: The fraction of rows that is answered.
        precision: The fraction of the answers that is right.
    """

    threshold: float
    coverage: float
    precision: float


def coverage_curve(probabilities: Probabilities, labels: Labels) -> list[CoveragePoint]:
    """Give coverage and precision at every threshold that makes a difference.

    Args:
        probabilities: [rows, classes].
        labels: True classes, [rows].

    Returns:
        A point for each confidence that occurs, the highest first; rows of equal confidence are answered together.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    coverage, precision, answered = running_precision(confidence, probabilities.argmax(axis=1) == labels)
    thresholds = np.sort(confidence)[::-1][answered - 1]
    return [CoveragePoint(*map(float, point)) for point in zip(thresholds, coverage, precision, strict=True)]


def coverage_at(curve: Sequence[CoveragePoint], precision: float) -> float:
    """Give the largest coverage of a curve at which the answers are as precise as wanted; 0 where there is none."""
    return max((point.coverage for point in curve if point.precision >= precision), default=0.0)
