"""Coverage at a precision: how many products can be answered well enough."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisle_training.confidence.coverage import coverage_at_precision, coverage_curve

CONFIDENCE = np.array([0.9, 0.2, 0.8, 0.7, 0.6])
CORRECT = np.array([True, False, True, False, True])


@pytest.mark.parametrize(("precision", "coverage"), [(1.0, 0.4), (0.75, 0.8), (0.7, 0.8), (0.6, 1.0), (0.0, 1.0)])
def test_the_largest_fraction(precision, coverage):
    """The largest fraction counts, even where a smaller one has a lower precision."""
    assert coverage_at_precision(CONFIDENCE, CORRECT, precision) == coverage


def test_equals_are_answered_together():
    """A threshold cannot tell equals apart, so the right ones among them are not counted alone."""
    assert coverage_at_precision(np.full(4, 0.5), np.array([True, True, True, False]), 0.9) == 0.0


def test_a_curve():
    """A curve runs from the surest product to all of them."""
    curve = coverage_curve(CONFIDENCE, CORRECT)
    assert curve.coverage == [0.2, 0.4, 0.6, 0.8, 1.0]
    assert curve.precision == pytest.approx([1.0, 1.0, 2 / 3, 0.75, 0.6])


def test_a_curve_has_few_points():
    """A curve over many products is given at a bounded number of points, both ends among them."""
    confidence = np.random.default_rng(0).random(5000)
    curve = coverage_curve(confidence, confidence > 0.3, points=50)
    assert len(curve.coverage) == 50
    assert (curve.coverage[0], curve.coverage[-1]) == (1 / 5000, 1.0)


@given(st.lists(st.tuples(st.sampled_from([0.1, 0.5, 0.9]), st.booleans()), max_size=30), st.floats(0, 1))
def test_no_threshold_does_better(rows, precision):
    """No threshold on confidence covers more at this precision, and one covers as much."""
    confidence, correct = np.array([row[0] for row in rows]), np.array([row[1] for row in rows], dtype=bool)
    best = 0.0
    for threshold in set(confidence):
        answered = confidence >= threshold
        if correct[answered].mean() >= precision:
            best = max(best, answered.mean())
    assert coverage_at_precision(confidence, correct, precision) == pytest.approx(best)
