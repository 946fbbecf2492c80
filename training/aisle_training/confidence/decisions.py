"""What becomes of a product: answered automatically, looked at by somebody, or left open.

The client decides by the same rules from what the server answers; `tests/unit/client/test_decisions.py` holds the two
against each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from aisle_training.confidence.hierarchy import Hierarchy
from aisle_training.confidence.thresholds import LOWEST_THRESHOLD, Thresholds
from aisle_training.datasets import Labels

AUTO: Final = "auto"
REVIEW: Final = "review"
ABSTAIN: Final = "abstain"


@dataclass(frozen=True)
class Decisions:
    """Decisions about products.

    Attributes:
        actions: `auto`, `review` or `abstain`, [rows].
        levels: The level that is answered, or proposed to whoever reviews; 0 where nothing is, [rows].
        nodes: The most likely node of that level; -1 where nothing is answered, [rows].
        confidence: Its probability; 0 where nothing is answered, [rows].
    """

    actions: npt.NDArray[np.str_]
    levels: npt.NDArray[np.int64]
    nodes: npt.NDArray[np.int64]
    confidence: npt.NDArray[np.float64]

    def is_right(self, hierarchy: Hierarchy, labels: Labels) -> npt.NDArray[np.bool_]:
        """Say which answers and proposals name a node that the product's true class, [rows], stands below."""
        right = np.zeros(len(labels), dtype=np.bool_)
        for level in range(1, hierarchy.depth + 1):
            rows = self.levels == level
            right[rows] = self.nodes[rows] == hierarchy.node_of(level)[labels[rows]]
        return right


def decide(
    probabilities: npt.NDArray[np.floating[Any]],
    hierarchy: Hierarchy,
    thresholds: Thresholds,
    familiarity: npt.NDArray[np.floating[Any]] | None = None,
) -> Decisions:
    """Decide about each product.

    1. A strange product, about which the network knows nothing: `abstain`.
    2. The leaf is sure enough, and the product is familiar: `auto`, the leaf.
    3. Else `review`, proposing the deepest level above the leaf that is sure enough. An unfamiliar product is likely to be
       of no known class, so its leaf is not proposed, however sure it seems.
    4. No level is sure enough: `review`, proposing the first level, if it is more likely right than wrong.
    5. Else `abstain`.

    Args:
        probabilities: Calibrated, [rows, classes].
        hierarchy: The levels of these classes.
        thresholds: For the wanted precision and for the inputs that the products have.
        familiarity: Of each product, [rows]; None where it is not measured.

    Returns:
        The decisions.
    """
    rows, depth = len(probabilities), hierarchy.depth
    nodes, confidence = np.zeros((depth + 1, rows), np.int64), np.zeros((depth + 1, rows))
    is_sure = np.zeros((depth + 1, rows), dtype=np.bool_)
    for level, threshold in enumerate(thresholds.levels, start=1):
        at_level = hierarchy.probabilities(probabilities, level)
        nodes[level], confidence[level] = at_level.argmax(axis=1), at_level.max(axis=1)
        if threshold is not None:
            is_sure[level] = confidence[level] >= threshold
    is_familiar, is_strange = np.ones(rows, dtype=np.bool_), np.zeros(rows, dtype=np.bool_)
    if familiarity is not None and thresholds.familiarity is not None and thresholds.strange is not None:
        is_familiar, is_strange = familiarity >= thresholds.familiarity, familiarity < thresholds.strange
    is_auto = is_sure[depth] & is_familiar & ~is_strange

    levels = np.zeros(rows, np.int64)
    levels[confidence[1] >= LOWEST_THRESHOLD] = 1
    for level in range(1, depth):
        levels[is_sure[level]] = level
    levels[is_auto] = depth
    levels[is_strange] = 0
    actions = np.where(is_auto, AUTO, np.where(levels > 0, REVIEW, ABSTAIN))
    chosen = levels, np.arange(rows)
    return Decisions(actions, levels, np.where(levels > 0, nodes[chosen], -1), confidence[chosen])
