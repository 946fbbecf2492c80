"""Temperature scaling: make a confidence of 0.8 mean that 8 of 10 such answers are right.

Source: Guo et al., "On Calibration of Modern Neural Networks", 2017.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from aisle_training.datasets import Labels

LOWEST_TEMPERATURE: Final = 0.05
HIGHEST_TEMPERATURE: Final = 20.0


def fit_temperature(probabilities: npt.NDArray[np.floating[Any]], labels: Labels) -> float:
    """Find the temperature at which probabilities fit the labels best (smallest negative log-likelihood).

    The loss is convex in 1/temperature, so one valley is all there is to search.

    Args:
        probabilities: At temperature 1, [rows, classes]; their logarithms serve as logits.
        labels: The true classes, int32 [rows]; not of the rows that the network was trained on.

    Returns:
        A temperature between 0.05 and 20, exact to a thousandth part.

    Raises:
        ValueError: There are no rows.
    """
    if not len(labels):
        raise ValueError("a temperature cannot be fitted on 0 rows")
    logits = np.log(np.maximum(probabilities.astype(np.float64), 1e-30))
    low, high = np.log(LOWEST_TEMPERATURE), np.log(HIGHEST_TEMPERATURE)
    golden = (np.sqrt(5.0) - 1.0) / 2.0
    while high - low > 1e-3:
        left, right = high - golden * (high - low), low + golden * (high - low)
        if negative_log_likelihood(logits, labels, float(np.exp(left))) < negative_log_likelihood(
            logits, labels, float(np.exp(right))
        ):
            high = right
        else:
            low = left
    return float(np.exp((low + high) / 2.0))


def negative_log_likelihood(logits: npt.NDArray[np.float64], labels: Labels, temperature: float) -> float:
    """Average `-log(probability of the true class)` at a temperature.

    Args:
        logits: [rows, classes].
        labels: int32 [rows].
        temperature: Divides the logits.

    Returns:
        Nats a row.
    """
    scaled = logits / temperature
    scaled = scaled - scaled.max(axis=1, keepdims=True)
    log_normalizer = np.log(np.exp(scaled).sum(axis=1))
    return float(np.mean(log_normalizer - scaled[np.arange(len(labels)), labels]))


def scale_probabilities(probabilities: npt.NDArray[np.floating[Any]], temperature: float) -> npt.NDArray[np.float64]:
    """Give the probabilities [rows, classes] that a temperature makes of those at temperature 1."""
    logits = np.log(np.maximum(probabilities.astype(np.float64), 1e-30)) / temperature
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))
