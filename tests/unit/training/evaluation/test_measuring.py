"""Figures and breakdowns of a model's answers."""

import numpy as np
import pytest

from aisle_training.classifiers import Answers
from aisle_training.evaluation.evaluation import CLEAN
from aisle_training.evaluation.measuring import COVERAGE_POINTS, break_down, measure, measure_classes
from aisle_training.metrics import coverage_at
from tests.support.drawn_evaluation import draw_answers


def test_figures_agree_with_each_other():
    """More guesses never err more, more precision never covers more, and a clean row is its own comparison."""
    answers, labels = draw_answers("title_classifier", "title", accuracy=0.8, rows=500)
    figures = measure(answers, labels)
    assert figures.rows == 500
    assert figures.accuracy == figures.clean_accuracy == pytest.approx(0.8, abs=0.06)
    assert figures.accuracy <= figures.top_3_accuracy <= figures.top_5_accuracy == 1.0
    assert figures.coverage_at_98 <= figures.coverage_at_95 <= 1.0
    assert figures.condition == CLEAN


def test_only_the_rows_that_were_answered_count():
    """A model that answers some rows of the split is measured on their labels, in their order."""
    labels = np.array([0, 1, 2, 0], dtype=np.int32)
    figures = measure(Answers("image_classifier", "picture", np.array([3, 1]), np.eye(3)[[0, 2]]), labels)
    assert (figures.rows, figures.accuracy) == (2, 0.5)


def test_disturbed_rows_are_held_against_the_same_rows_as_they_are():
    """The clean accuracy of a disturbed sample is that of the sampled rows, not of all."""
    labels = np.zeros(4, dtype=np.int32)
    clean = Answers("image_classifier", "picture", np.arange(4), np.eye(2)[[0, 0, 1, 1]])
    noisy = Answers("image_classifier", "picture", np.array([0, 2]), np.eye(2)[[1, 1]])
    figures = measure(noisy, labels, "picture blurred", clean)
    assert (figures.condition, figures.rows) == ("picture blurred", 2)
    assert (figures.accuracy, figures.clean_accuracy) == (0.0, 0.5)


def test_what_has_no_confidence_has_no_figures_of_it():
    """A baseline that gives classes alone has accuracy and F1, and None for the rest."""
    figures = measure_classes("most frequent class", "nothing", np.zeros(4, dtype=np.int32), np.array([0, 0, 1, 2]), 3)
    assert figures.accuracy == 0.5
    assert figures.expected_calibration_error is figures.top_3_accuracy is figures.coverage_at_95 is None


def test_a_breakdown_counts_every_row_and_names_the_surest_errors():
    """Confusions add up to the rows, and errors come most confident first, with the product and the place of its class."""
    answers, labels = draw_answers("fusion_classifier", "picture and title", accuracy=0.7, rows=300)
    breakdown = break_down(answers, labels, [f"p{row}" for row in range(300)])
    assert sum(rows for _, _, rows in breakdown.confusion) == 300
    wrong = sum(rows for label, predicted, rows in breakdown.confusion if label != predicted)
    assert len(breakdown.confident_errors) == min(wrong, 60)
    surest = breakdown.confident_errors[0]
    row = int(surest.product_id[1:])
    assert (surest.label, surest.predicted) == (labels[row], answers.predicted[row])
    assert surest.confidence == max(answers.probabilities[answers.predicted != labels].max(axis=1))
    assert all(error.rank >= 2 for error in breakdown.confident_errors)
    confidences = [error.confidence for error in breakdown.confident_errors]
    assert confidences == sorted(confidences, reverse=True)


def test_a_long_coverage_curve_is_thinned_to_its_ends_and_steps():
    """A curve of thousands of thresholds keeps its first and last point, a few hundred in all, and its shape."""
    answers, labels = draw_answers("title_classifier", "title", accuracy=0.9, rows=5000)
    breakdown = break_down(answers, labels, [str(row) for row in range(5000)])
    assert len(breakdown.coverage) <= COVERAGE_POINTS + 2
    assert breakdown.coverage[0].coverage == pytest.approx(1 / 5000)
    assert breakdown.coverage[-1].coverage == 1.0
    figures = measure(answers, labels)
    assert breakdown.coverage[-1].precision == pytest.approx(figures.accuracy)
    assert coverage_at(breakdown.coverage, 0.95) == pytest.approx(figures.coverage_at_95, abs=2 / COVERAGE_POINTS)
