"""Odds that a product is of an added category, from how near its embeddings are to the mean of a few examples.

For each modality the examples have a prototype, the mean direction of their embeddings; so has each category that was
learnt. What counts is the margin: the cosine to the added prototype less the largest cosine to a learnt one. For each set
of modalities that a product can have, a logistic regression turns margins into log-odds against all that was learnt. It
is fitted on the examples, each judged by the prototype of the others, and on training rows of the learnt categories,
weighted as if the added category were as common as a learnt one is on average.

Source: Snell et al., "Prototypical Networks for Few-shot Learning", 2017, for the prototypes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from aisle_training.datasets import Flags
from aisle_training.fusion_training import FusionRows
from aisle_training.models.temperature import mask_number

Floats = npt.NDArray[np.floating[Any]]

# Margins of cosines are small; so many times larger, the usual regularisation neither binds nor lets go.
MARGIN_SCALE: Final = 10.0
# Log-odds of a category that a set of modalities says nothing about.
NEVER: Final = -30.0


@dataclass(frozen=True)
class Examples:
    """The examples of an added category.

    Attributes:
        path: Of the category.
        embeddings: By modality, [examples, size].
        present: By modality, which examples have it, [examples].
    """

    path: tuple[str, ...]
    embeddings: Mapping[str, Floats]
    present: Mapping[str, Flags]

    def __len__(self) -> int:
        return len(next(iter(self.present.values())))


@dataclass(frozen=True)
class PrototypeWeights:
    """All numbers that turn embeddings into log-odds.

    Attributes:
        learnt: By modality, in the order of the recipe: prototypes of the learnt categories, [classes, size].
        added: By modality, likewise: prototypes of the added ones, [added, size]; zeros where the examples lack it.
        slopes: For each set of modalities, see `mask_number`: of the margins, [2^modalities, added, modalities].
        intercepts: [2^modalities, added].
    """

    learnt: dict[str, Floats]
    added: dict[str, Floats]
    slopes: Floats
    intercepts: Floats

    def log_odds(self, embeddings: Mapping[str, Floats], names: Sequence[str]) -> Floats:
        """Give the log-odds of each added category, [rows, added], by the modalities `names` alone, which all rows have."""
        mask = mask_number(list(self.learnt).index(name) for name in names)
        odds = np.tile(self.intercepts[mask], (len(next(iter(embeddings.values()))), 1))
        for place, name in enumerate(self.learnt):
            if name in names:
                margins = _margins(embeddings[name], self.added[name], self.learnt[name])
                odds = odds + margins * self.slopes[mask, :, place]
        return np.asarray(odds)


def fit_prototypes(anchors: FusionRows, classes: int, categories: Sequence[Examples]) -> PrototypeWeights:
    """Fit the odds of all added categories.

    Args:
        anchors: Training rows of the learnt categories.
        classes: Number of the learnt categories.
        categories: The added ones; each is told from the learnt and from the other added ones.

    Returns:
        The numbers.
    """
    modalities = list(anchors.embeddings)
    learnt = {name: _class_means(anchors, name, classes) for name in modalities}
    added = {
        name: np.stack([_mean(each.embeddings[name][each.present[name]]) for each in categories]) for name in modalities
    }
    slopes = np.zeros((2 ** len(modalities), len(categories), len(modalities)))
    intercepts = np.full((2 ** len(modalities), len(categories)), NEVER)
    for size in range(1, len(modalities) + 1):
        for names in combinations(modalities, size):
            mask = mask_number(modalities.index(name) for name in names)
            for number, category in enumerate(categories):
                others = [each for each in categories if each is not category]
                fitted = _fit_odds(category, others, anchors, names, added, learnt, number, classes)
                if fitted is not None:
                    slopes[mask, number, [modalities.index(name) for name in names]], intercepts[mask, number] = fitted
    return PrototypeWeights(learnt, added, slopes, intercepts)


def _fit_odds(
    category: Examples,
    others: Sequence[Examples],
    anchors: FusionRows,
    names: Sequence[str],
    added: Mapping[str, Floats],
    learnt: Mapping[str, Floats],
    number: int,
    classes: int,
) -> tuple[Floats, float] | None:
    """Fit slopes and intercept of one category for one set of modalities; None when too few examples have all of them."""
    from sklearn.linear_model import LogisticRegression

    mine = np.flatnonzero(np.logical_and.reduce([category.present[name] for name in names]))
    if len(mine) < 2:
        return None
    positives = np.stack([_left_out_margins(category.embeddings[name][mine], learnt[name]) for name in names], axis=1)
    negatives = []
    for embeddings, present in [(anchors.embeddings, anchors.present), *((o.embeddings, o.present) for o in others)]:
        rows = np.flatnonzero(np.logical_and.reduce([present[name] for name in names]))
        one = slice(number, number + 1)
        negatives.append(
            np.concatenate([_margins(embeddings[name][rows], added[name][one], learnt[name]) for name in names], axis=1)
        )
    rejected = np.concatenate(negatives)
    margins = MARGIN_SCALE * np.concatenate([positives, rejected])
    truth = np.r_[np.ones(len(mine)), np.zeros(len(rejected))]
    weight = np.r_[np.full(len(mine), len(rejected) / classes / len(mine)), np.ones(len(rejected))]
    model = LogisticRegression(C=1.0).fit(margins, truth, sample_weight=weight)
    return MARGIN_SCALE * model.coef_[0], float(model.intercept_[0])


def _left_out_margins(examples: Floats, learnt: Floats) -> Floats:
    """Give the margin of each example to the prototype of the others, [examples]."""
    margins = [
        _margins(examples[[row]], _mean(np.delete(examples, row, axis=0))[None], learnt)[0, 0]
        for row in range(len(examples))
    ]
    return np.array(margins)


def _margins(embeddings: Floats, added: Floats, learnt: Floats) -> Floats:
    """Give how much nearer rows are to each added prototype than to the nearest learnt one, [rows, added]."""
    directions = _directions(embeddings)
    return np.asarray(directions @ added.T - (directions @ learnt.T).max(axis=1, keepdims=True))


def _class_means(anchors: FusionRows, name: str, classes: int) -> Floats:
    present = anchors.present[name]
    return np.stack([_mean(anchors.embeddings[name][present & (anchors.labels == label)]) for label in range(classes)])


def _mean(embeddings: Floats) -> Floats:
    """Give the mean direction, [size]; zeros of no rows."""
    if not len(embeddings):
        return np.zeros(embeddings.shape[1])
    return np.asarray(_directions(_directions(embeddings).mean(axis=0, keepdims=True))[0])


def _directions(embeddings: Floats) -> Floats:
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    return np.asarray(embeddings / np.maximum(lengths, 1e-6))
