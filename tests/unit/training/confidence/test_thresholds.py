"""Thresholds keep the precision that was asked for, on products that nobody has seen."""

import numpy as np
import pytest

from aisle_training.confidence.hierarchy import Hierarchy
from aisle_training.confidence.thresholds import FAMILIARITY_FLOOR, fit_threshold, fit_thresholds, lowest_precision


def test_the_bound():
    """The bound is Clopper and Pearson's: 59 right answers of 59 are 95 % for certain, 58 of 58 are not."""
    right = np.array([58, 59, 0])
    bounds = lowest_precision(right, np.array([58, 59, 10]))
    assert bounds == pytest.approx([0.05 ** (1 / 58), 0.05 ** (1 / 59), 0.0])
    assert bounds[0] < 0.95 < bounds[1]


def test_too_few_products():
    """From a few products no threshold is drawn, however right they all were."""
    assert fit_threshold(np.full(58, 0.9), np.ones(58, bool), 0.95) is None
    assert fit_threshold(np.full(59, 0.9), np.ones(59, bool), 0.95) == 0.9
    assert fit_threshold(np.zeros(0), np.zeros(0, bool), 0.95) is None


def test_a_threshold_keeps_its_precision():
    """Nine in ten thresholds that are fitted on samples keep the precision on products that they were not fitted on."""
    random = np.random.default_rng(0)
    kept = []
    for _ in range(200):
        confidence = random.uniform(0.3, 1.0, 4000)
        threshold = fit_threshold(confidence, random.random(4000) < confidence, 0.95)
        # Of a perfectly calibrated confidence, uniform up to 1, those above t are right in (1 + t) / 2 of the cases;
        # without a threshold nothing is answered, and nothing wrongly.
        kept.append(threshold is None or (1 + threshold) / 2 >= 0.95)
    assert np.mean(kept) > 0.9


def test_never_below_half():
    """A threshold is at least one half, so that what is sure at two levels lies on one path."""
    assert fit_threshold(np.linspace(0.1, 0.9, 1000), np.ones(1000, bool), 0.95) >= 0.5


def test_each_level_has_its_own():
    """A level that is always right takes the lowest threshold, one that often errs a higher one or none."""
    hierarchy = Hierarchy([("a", "x"), ("a", "y"), ("b", "z")])
    random = np.random.default_rng(1)
    leaf = random.uniform(0.5, 1.0, 2000)
    probabilities = np.stack([leaf, 1.0 - leaf - 0.001, np.full(2000, 0.001)], axis=1)
    labels = np.where(random.random(2000) < leaf, 0, 1).astype(np.int32)
    thresholds = fit_thresholds(probabilities, labels, hierarchy, 0.95)
    upper, lower = thresholds.levels
    assert upper == pytest.approx(0.999)
    assert 0.85 < lower < 0.99
    assert thresholds.familiarity is None
    assert fit_thresholds(probabilities, np.ones(2000, np.int32), hierarchy, 0.95).levels[1] is None


def test_unfamiliar_products_do_not_count():
    """The leaf's threshold is that of familiar products: the others are not answered automatically anyway."""
    hierarchy = Hierarchy([("a",), ("b",)])
    probabilities = np.tile([0.9, 0.1], (400, 1))
    labels = np.repeat([0, 1], 200).astype(np.int32)
    familiarity = np.repeat([0.5, FAMILIARITY_FLOOR / 2], 200)
    assert fit_thresholds(probabilities, labels, hierarchy, 0.95).levels == (None,)
    assert fit_thresholds(probabilities, labels, hierarchy, 0.95, familiarity).levels == (0.9,)
