"""Thresholds on confidence that keep a wanted precision, found on the validation split.

They are numbers about products that nobody has seen yet, so they leave room for the luck of the sample: a threshold is
taken when the lower Clopper-Pearson bound of its precision, not the precision itself, is as high as wanted. Where no
threshold is good enough there is none, and nothing is answered automatically.

Source: Clopper and Pearson, "The Use of Confidence or Fiducial Limits Illustrated in the Case of the Binomial", 1934.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import scipy.stats

from aisle_training.confidence.hierarchy import Hierarchy
from aisle_training.datasets import Labels

PRECISIONS: Final = (0.95, 0.98)
# The chance that a threshold keeps less than the wanted precision because validation was lucky.
ERROR_RATE: Final = 0.05
# Two nodes of one level cannot both have more than half, so what is sure at two levels lies on one path.
LOWEST_THRESHOLD: Final = 0.5
# Known products that are let go for the sake of unknown ones. On Fashion with both inputs, 4 % brought the products of
# left-out types that are answered automatically from 73 % to 19 %; 8 % would bring them to 15 %.
FAMILIARITY_FLOOR: Final = 0.04
# One known product in a thousand is stranger than this: blank pictures and noise all are.
STRANGE_BELOW: Final = 0.001


@dataclass(frozen=True)
class Thresholds:
    """What an answer has to reach, for one wanted precision and one set of inputs.

    Attributes:
        levels: The confidence at each level, the leaf last, 0.5 to 1; None where none keeps the precision.
        familiarity: Less familiar products are not answered automatically; None where familiarity is not measured.
        strange: About products less familiar than this nothing is said; None as above.
    """

    levels: tuple[float | None, ...]
    familiarity: float | None = None
    strange: float | None = None


def lowest_precision(
    right: npt.NDArray[np.int64], answered: npt.NDArray[np.int64], error_rate: float = ERROR_RATE
) -> npt.NDArray[np.float64]:
    """Give bounds that true precisions exceed, each with a probability of 1 - `error_rate`.

    Args:
        right: Answers that were right, of any shape.
        answered: All answers, of the same shape.
        error_rate: How often a bound may be wrong.

    Returns:
        0 to 1, of the same shape; 0 where nothing was right.
    """
    bounds = scipy.stats.beta.ppf(error_rate, np.maximum(right, 1), answered - right + 1)
    return np.where(right > 0, bounds, 0.0)


def fit_threshold(
    confidence: npt.NDArray[np.floating[Any]], correct: npt.NDArray[np.bool_], precision: float
) -> float | None:
    """Find the lowest confidence from which on answers are precise enough.

    Args:
        confidence: Of each validation product's answer, [rows].
        correct: Whether the answer is right, [rows].
        precision: The wanted fraction of right answers.

    Returns:
        The threshold, 0.5 to 1, with six digits; None when no threshold keeps the precision for certain.
    """
    order = np.argsort(-confidence, kind="stable")
    falling, hits = confidence[order], np.cumsum(correct[order], dtype=np.int64)
    candidates = np.flatnonzero(np.append(np.diff(falling) != 0, True)[: len(order)] & (falling >= LOWEST_THRESHOLD))
    good_enough = candidates[lowest_precision(hits[candidates], candidates + 1) >= precision]
    if not len(good_enough):
        return None
    # Of those that are good enough the last covers most. Six digits: more are not sent by the classification extension.
    return max(LOWEST_THRESHOLD, math.floor(float(falling[good_enough[-1]]) * 1e6) / 1e6)


def fit_thresholds(
    probabilities: npt.NDArray[np.floating[Any]],
    labels: Labels,
    hierarchy: Hierarchy,
    precision: float,
    familiarity: npt.NDArray[np.floating[Any]] | None = None,
) -> Thresholds:
    """Fit a threshold for each level.

    The leaf's is fitted on the products that are familiar enough to be answered automatically, those of the levels above
    on all, for these are also what is proposed about unfamiliar products.

    Args:
        probabilities: Calibrated, of the validation split, [rows, classes].
        labels: The true classes, [rows].
        hierarchy: The levels of these classes.
        precision: The wanted fraction of right answers at each level.
        familiarity: Of each product, [rows]; None where it is not measured.

    Returns:
        The thresholds.
    """
    levels = []
    for level in range(1, hierarchy.depth + 1):
        at_level = hierarchy.probabilities(probabilities, level)
        confidence, correct = at_level.max(axis=1), at_level.argmax(axis=1) == hierarchy.node_of(level)[labels]
        if level == hierarchy.depth and familiarity is not None:
            is_familiar = familiarity >= FAMILIARITY_FLOOR
            confidence, correct = confidence[is_familiar], correct[is_familiar]
        levels.append(fit_threshold(confidence, correct, precision))
    if familiarity is None:
        return Thresholds(tuple(levels))
    return Thresholds(tuple(levels), FAMILIARITY_FLOOR, STRANGE_BELOW)
