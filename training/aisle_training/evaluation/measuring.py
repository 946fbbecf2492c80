"""Answers of a model to figures about them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Final

import numpy as np

from aisle_training.classifiers import Answers
from aisle_training.datasets import Labels
from aisle_training.evaluation.evaluation import CLEAN, Breakdown, ConfidentError, Figures
from aisle_training.metrics import (
    Classes,
    CoveragePoint,
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

CONFIDENT_ERRORS: Final = 60
COVERAGE_POINTS: Final = 200


def measure(answers: Answers, labels: Labels, condition: str = CLEAN, clean: Answers | None = None) -> Figures:
    """Measure a classifier.

    Args:
        answers: Its answers, at least one.
        labels: True classes of the whole split.
        condition: What was done to the inputs.
        clean: The same model's answers to the inputs as they are, to these rows and perhaps to more; None when these are
            they.

    Returns:
        The figures.
    """
    mine, probabilities = labels[answers.rows], answers.probabilities
    figures = measure_classes(answers.model, answers.inputs, answers.predicted, mine, probabilities.shape[1])
    clean_accuracy = figures.accuracy
    if clean is not None:
        same = np.isin(clean.rows, answers.rows)
        clean_accuracy = accuracy(clean.predicted[same], labels[clean.rows[same]])
    curve = coverage_curve(probabilities, mine)
    return dataclasses.replace(
        figures,
        condition=condition,
        clean_accuracy=clean_accuracy,
        top_3_accuracy=top_accuracy(probabilities, mine, 3),
        top_5_accuracy=top_accuracy(probabilities, mine, 5),
        expected_calibration_error=expected_calibration_error(probabilities, mine),
        coverage_at_95=coverage_at(curve, 0.95),
        coverage_at_98=coverage_at(curve, 0.98),
    )


def measure_classes(model: str, inputs: str, predicted: Classes, labels: Labels, classes: int) -> Figures:
    """Measure what gives a class and no confidence.

    Args:
        model: What it is.
        inputs: What it was given.
        predicted: Its answers, [rows].
        labels: True classes, [rows].
        classes: Number of classes.
    """
    share = accuracy(predicted, labels)
    return Figures(
        model=model,
        inputs=inputs,
        condition=CLEAN,
        rows=len(labels),
        accuracy=share,
        clean_accuracy=share,
        macro_f1=macro_f1(predicted, labels, classes),
        weighted_f1=weighted_f1(predicted, labels, classes),
    )


def break_down(answers: Answers, labels: Labels, product_ids: Sequence[str]) -> Breakdown:
    """Say where a classifier errs.

    Args:
        answers: Its answers, at least one.
        labels: True classes of the whole split.
        product_ids: Of the whole split.
    """
    mine, predicted, probabilities = labels[answers.rows], answers.predicted, answers.probabilities
    classes = probabilities.shape[1]
    matrix = confusion_matrix(predicted, mine, classes)
    confidence = probabilities.max(axis=1)
    wrong = np.flatnonzero(predicted != mine)
    surest = wrong[np.argsort(-confidence[wrong], kind="stable")][:CONFIDENT_ERRORS]
    return Breakdown(
        model=answers.model,
        inputs=answers.inputs,
        reliability=reliability_bins(probabilities, mine),
        coverage=_thinned(coverage_curve(probabilities, mine)),
        class_scores=class_scores(predicted, mine, classes),
        confusion=[(int(label), int(other), int(matrix[label, other])) for label, other in np.argwhere(matrix)],
        confident_errors=[
            ConfidentError(
                product_id=product_ids[answers.rows[row]],
                label=int(mine[row]),
                predicted=int(predicted[row]),
                confidence=float(confidence[row]),
                rank=int(1 + np.sum(probabilities[row] > probabilities[row, mine[row]])),
            )
            for row in surest
        ],
    )


def _thinned(curve: Sequence[CoveragePoint]) -> list[CoveragePoint]:
    """Keep the first and last point of a curve, and between them one for each step of coverage."""
    kept: list[CoveragePoint] = []
    for point in curve[:-1]:
        if not kept or point.coverage - kept[-1].coverage >= 1.0 / COVERAGE_POINTS:
            kept.append(point)
    return [*kept, curve[-1]]
