"""How familiar a product is: whether it looks like any product of a known class at all.

A classifier's confidence says which of its classes fits best, not whether any does: it may be sure that a title in a
language it never saw is a T-shirt. So the products of each class are taken for a cloud around their mean embedding, and
a product is as strange as it is far from the nearest cloud. The clouds have one shape for all classes, and those of two
modalities are independent: the squared Mahalanobis distances to one class add up over the inputs that a product has.

Distances mean little to people, so a distance is told as the fraction of validation products that are farther away: a
familiarity of 0.01 says that one known product in a hundred looks as strange.

Chosen on Fashion, products of left-out types against the validation split, over the highest probability and the angle to
the nearest mean, which keep fewer of them out, and over the nearest of 12,000 training products, which is as good at two
hundred times the size. How well it separates a run's own products is the `separation` of its `confidence.json`.

Source: Lee et al., "A Simple Unified Framework for Detecting Out-of-Distribution Samples and Adversarial Attacks", 2018.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from aisle_training.datasets import Flags, Labels

# Principal directions of an embedding that are looked at. 32 are as good on titles and worse on pictures, 128 are worse on
# titles: a direction in which known products hardly differ is mostly noise.
DIRECTIONS: Final = 64
# Of the average variance, added in each direction.
SHRINKAGE: Final = 0.1
# Between these a familiarity is interpolated; finer where it is decided upon.
LEVELS: Final = (1.0, 0.8, 0.6, 0.4, 0.3, 0.2, 0.15, 0.1, 0.07, 0.05, 0.04, 0.03, 0.02, 0.01, 0.005, 0.002, 0.001, 0.0)
# Where nothing is near, in units of the clouds' own width.
_FAR: Final = 100.0

Embeddings = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Clouds:
    """The classes as clouds in the embedding of one modality.

    Attributes:
        projection: Makes clouds round, with a variance of 1: float32 [size, directions].
        offset: Added after the projection, float32 [directions].
        means: The centre of each class, float32 [classes, directions].
    """

    projection: npt.NDArray[np.float32]
    offset: npt.NDArray[np.float32]
    means: npt.NDArray[np.float32]

    @classmethod
    def fit(cls, embeddings: Embeddings, labels: Labels, classes: int) -> Clouds:
        """Fit the clouds of training products.

        Args:
            embeddings: [rows, size].
            labels: The class of each, [rows].
            classes: Number of classes.

        Returns:
            The clouds. A class without products has the centre of another.

        Raises:
            ValueError: There are no rows.
        """
        if not len(labels):
            raise ValueError("the clouds of classes cannot be fitted on 0 rows")
        counts = np.bincount(labels, minlength=classes)
        known = np.flatnonzero(counts)
        means = np.stack(
            [embeddings[labels == c].mean(axis=0, dtype=np.float64) for c in np.where(counts, range(classes), known[0])]
        )
        centre = embeddings.mean(axis=0, dtype=np.float64)
        centred = embeddings - centre
        _, vectors = np.linalg.eigh(centred.T @ centred)
        directions = vectors[:, ::-1][:, :DIRECTIONS]
        within = (embeddings - means[labels]) @ directions
        covariance = within.T @ within / len(labels)
        variance = max(float(np.trace(covariance)) / len(covariance), 1e-9)
        covariance += SHRINKAGE * variance * np.eye(len(covariance))
        projection = directions @ np.linalg.cholesky(np.linalg.inv(covariance))
        offset = -centre @ projection
        return cls(*(array.astype(np.float32) for array in (projection, offset, means @ projection + offset)))

    def knowing(self, examples: Embeddings) -> Clouds:
        """Give the clouds with one more class, around the mean of its examples, [rows, size]; far away without any."""
        if len(examples):
            mean = (examples @ self.projection + self.offset).mean(axis=0, dtype=np.float32)
        else:
            mean = np.full_like(self.offset, _FAR)
        return Clouds(self.projection, self.offset, np.concatenate([self.means, mean[None]]).astype(np.float32))

    def squared_distances(self, embeddings: Embeddings) -> npt.NDArray[np.float64]:
        """Give the squared Mahalanobis distances of embeddings [rows, size] to each class, [rows, classes]."""
        round_ = embeddings @ self.projection.astype(np.float64) + self.offset
        means = self.means.astype(np.float64)
        return np.asarray((round_**2).sum(axis=1)[:, None] - 2.0 * round_ @ means.T + (means**2).sum(axis=1))


@dataclass(frozen=True)
class Familiarity:
    """How familiar products are, from any set of modalities.

    Attributes:
        clouds: Of each modality, by name, in the order of the recipe.
        knots: For each set of modalities the squared distances at which the familiarity is that of `LEVELS`, rising.
    """

    clouds: Mapping[str, Clouds]
    knots: Mapping[tuple[str, ...], npt.NDArray[np.float32]]

    @classmethod
    def fit(
        cls,
        train: Mapping[str, tuple[Embeddings, Flags]],
        train_labels: Labels,
        validation: Mapping[str, tuple[Embeddings, Flags]],
        masks: Sequence[tuple[str, ...]],
        classes: int,
    ) -> Familiarity:
        """Fit clouds to the training split, and what a distance means to the validation split.

        Args:
            train: For each modality the embeddings, [rows, size], and which rows have it, [rows].
            train_labels: Classes, [rows].
            validation: The same of the validation split.
            masks: Sets of modalities, each in the order of `train`. One that no validation product has is left out.
            classes: Number of classes.

        Returns:
            The familiarity.
        """
        clouds = {
            name: Clouds.fit(embeddings[present], train_labels[present], classes)
            for name, (embeddings, present) in train.items()
        }
        knots = {}
        for mask in masks:
            chosen = np.logical_and.reduce([validation[name][1] for name in mask])
            if chosen.any():
                distances = nearest_distances(clouds, {name: validation[name][0][chosen] for name in mask})
                knots[mask] = fit_knots(distances)
        return cls(clouds, knots)

    def __call__(self, embeddings: Mapping[str, Embeddings]) -> npt.NDArray[np.float64]:
        """Say how familiar products are.

        Args:
            embeddings: Of each modality that the products have, [rows, size].

        Returns:
            The fraction of validation products that are stranger, [rows]; 0 for a set of modalities that none of them had.
        """
        mask = tuple(name for name in self.clouds if name in embeddings)
        distances = nearest_distances(self.clouds, embeddings)
        if mask not in self.knots:
            return np.zeros(len(distances))
        return np.interp(distances, self.knots[mask].astype(np.float64), LEVELS)

    def knowing(self, categories: Sequence[tuple[Mapping[str, Embeddings], Mapping[str, Flags]]]) -> Familiarity:
        """Give the familiarity where further categories are known.

        Args:
            categories: Of each, by modality, the embeddings of its examples, [rows, size], and which rows have it, [rows].
        """
        clouds = dict(self.clouds)
        for embeddings, present in categories:
            clouds = {name: each.knowing(embeddings[name][present[name]]) for name, each in clouds.items()}
        return Familiarity(clouds, self.knots)

    def only(self, names: Sequence[str]) -> Familiarity:
        """Give the part that speaks of some modalities."""
        return Familiarity(
            {name: self.clouds[name] for name in names},
            {mask: knots for mask, knots in self.knots.items() if set(mask) <= set(names)},
        )

    def save(self, path: Path) -> None:
        """Write it as an `.npz` file, whole or not at all."""
        arrays = {
            f"clouds/{name}/{part}": array
            for name, clouds in self.clouds.items()
            for part, array in vars(clouds).items()
        }
        arrays |= {f"knots/{'+'.join(mask)}": knots for mask, knots in self.knots.items()}
        partial = path.with_suffix(".partial.npz")
        np.savez(partial, **arrays)
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> Familiarity:
        """Read a file that `save` wrote."""
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        names = list(dict.fromkeys(key.split("/")[1] for key in arrays if key.startswith("clouds/")))
        clouds = {
            name: Clouds(*(arrays[f"clouds/{name}/{part}"] for part in ("projection", "offset", "means")))
            for name in names
        }
        knots = {
            tuple(key.removeprefix("knots/").split("+")): array
            for key, array in arrays.items()
            if key.startswith("knots/")
        }
        return cls(clouds, knots)


def nearest_distances(clouds: Mapping[str, Clouds], embeddings: Mapping[str, Embeddings]) -> npt.NDArray[np.float64]:
    """Give each product's squared distance to the class that is nearest in all its modalities together, [rows]."""
    total = sum(clouds[name].squared_distances(embeddings[name]) for name in embeddings)
    return np.asarray(np.maximum(np.asarray(total).min(axis=1), 0.0))


def fit_knots(distances: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Find the distances at which the familiarity of validation products, at `distances` [rows], is that of `LEVELS`.

    Returns:
        As many as there are levels, strictly rising.
    """
    knots = np.quantile(distances, 1.0 - np.array(LEVELS))
    # Products that are all alike would make steps, and a step turns a rounding error into another answer.
    apart = 1e-3 * max(float(np.median(distances)), 1e-3)
    for place in range(1, len(knots)):
        knots[place] = max(knots[place], knots[place - 1] + apart)
    return knots.astype(np.float32)
