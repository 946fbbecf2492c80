"""Fit the weights of late fusion: how much each classifier's vote counts where there are several."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from aisle_training.datasets import Labels

# A weight never turns a vote against itself.
_LOWEST: Final = 0.0
_STEPS: Final = 50
# How hard the weights are held to those of the plain average, in nats for a distance of 1: about as hard as one row that
# is predicted wrong. Rows that are all predicted right would otherwise ask for weights without end.
_PRIOR: Final = 1.0


def fit_vote_weights(log_probabilities: npt.NDArray[np.floating[Any]], labels: Labels) -> npt.NDArray[np.float64]:
    """Find the weights at which the weighted product of probabilities fits the labels best.

    The negative log-likelihood is convex in the weights; Newton's method on those that are not at their bound.

    Args:
        log_probabilities: Of each classifier, [classifiers, rows, classes].
        labels: The true classes, int32 [rows]; not of rows that a classifier was trained on.

    Returns:
        A weight of 0 or more for each classifier, [classifiers]. They need not sum to 1: classifiers that err
        independently are surer together than each alone.
    """
    votes = np.maximum(log_probabilities.astype(np.float64), -50.0)
    true = votes[:, np.arange(len(labels)), labels]
    average = np.full(len(votes), 1.0 / len(votes))
    weights, loss = average, _loss(votes, true, average, average)
    for _ in range(_STEPS):
        gradient, curvature = _derivatives(votes, true, weights, average)
        free = (weights > _LOWEST) | (gradient < 0)
        step = np.zeros_like(weights)
        step[free] = np.linalg.solve(curvature[np.ix_(free, free)], -gradient[free])
        scale = 1.0
        while True:
            tried = np.maximum(weights + scale * step, _LOWEST)
            tried_loss = _loss(votes, true, tried, average)
            if tried_loss <= loss or scale < 1e-6:
                break
            scale /= 2.0
        if loss - tried_loss < 1e-9:
            break
        weights, loss = tried, tried_loss
    return np.asarray(weights)


def _loss(
    votes: npt.NDArray[np.float64],
    true: npt.NDArray[np.float64],
    weights: npt.NDArray[np.float64],
    average: npt.NDArray[np.float64],
) -> float:
    """Give the negative log-likelihood of all rows and of the weights, in nats."""
    logits = np.tensordot(weights, votes, axes=1)
    highest = logits.max(axis=1)
    log_normalizer = highest + np.log(np.exp(logits - highest[:, None]).sum(axis=1))
    return float((log_normalizer - weights @ true).sum() + _PRIOR * ((weights - average) ** 2).sum())


def _derivatives(
    votes: npt.NDArray[np.float64],
    true: npt.NDArray[np.float64],
    weights: npt.NDArray[np.float64],
    average: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Give gradient [classifiers] and curvature [classifiers, classifiers] of the loss by the weights."""
    logits = np.tensordot(weights, votes, axes=1)
    probabilities = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    means = (votes * probabilities).sum(axis=2)
    gradient = (means - true).sum(axis=1) + 2.0 * _PRIOR * (weights - average)
    curvature = np.einsum("anc,bnc,nc->ab", votes, votes, probabilities, optimize=True) - means @ means.T
    return gradient, curvature + 2.0 * _PRIOR * np.eye(len(weights))
