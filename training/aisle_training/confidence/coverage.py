"""How many products can be answered at a wanted precision: the measure of the ShopStyle study.

Products are answered in the order of their confidence. The coverage at 95 % precision is the largest fraction of them that
can be answered with 95 % of these answers right.

Source: gtoubassi/ProductClassification, "percent of products that can be categorized with 95% precision".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

CURVE_POINTS: Final = 200


@dataclass(frozen=True)
class CoverageCurve:
    """Precision against coverage, from the most confident product to all of them.

    Attributes:
        coverage: Fractions of the products that are answered, rising.
        precision: The fraction of those answers that is right.
    """

    coverage: list[float]
    precision: list[float]


def coverage_curve(
    confidence: npt.NDArray[np.floating[Any]], correct: npt.NDArray[np.bool_], points: int = CURVE_POINTS
) -> CoverageCurve:
    """Follow precision as ever less confident products are answered.

    Args:
        confidence: Of each product's answer, [rows].
        correct: Whether the answer is right, [rows].
        points: The curve is given at so many points at most.

    Returns:
        The curve; products of the same confidence are answered together.
    """
    coverage, precision, _ = running_precision(confidence, correct)
    if len(coverage) > points:
        chosen = np.unique(np.linspace(0, len(coverage) - 1, points).round().astype(np.int64))
        coverage, precision = coverage[chosen], precision[chosen]
    return CoverageCurve(coverage.tolist(), precision.tolist())


def coverage_at_precision(
    confidence: npt.NDArray[np.floating[Any]], correct: npt.NDArray[np.bool_], precision: float
) -> float:
    """Give the largest fraction of products that can be answered with a precision.

    Args:
        confidence: Of each product's answer, [rows].
        correct: Whether the answer is right, [rows].
        precision: The fraction of the answers that has to be right.

    Returns:
        0 to 1; 0 when not even the most confident answers are right often enough.
    """
    coverage, reached, _ = running_precision(confidence, correct)
    enough = coverage[reached >= precision]
    return float(enough.max()) if len(enough) else 0.0


def running_precision(
    confidence: npt.NDArray[np.floating[Any]], correct: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Give coverage, precision and answered rows at each distinct confidence, falling; arguments as for `coverage_curve`."""
    order = np.argsort(-confidence, kind="stable")
    # A threshold cannot tell equals apart: count after the last of them.
    last_of_equals = np.append(np.diff(confidence[order]) != 0, len(order) > 0)[: len(order)]
    answered = np.flatnonzero(last_of_equals).astype(np.int64) + 1
    hits = np.cumsum(correct[order])[answered - 1]
    return answered / max(len(order), 1), hits / answered, answered
