"""The decision rules of a run: thresholds for each classifier, each set of inputs and each wanted precision.

As JSON they stand in `RUN/decisions.json`, and the part of a classifier in the parameter `decisions` of the ensemble that
ends in it, where clients read it from the model configuration:

    {"levels": 3,
     "inputs": {"image+title": {"0.95": {"levels": [0.5, 0.5, 0.61], "familiarity": 0.04, "strange": 0.001},
                                "0.98": {"levels": [0.5, 0.55, null], ...}},
                "image": {...}, "title": {...}}}

`levels` holds the confidence that each level has to reach, the leaf last; null where no confidence is enough.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aisle_training.confidence.hierarchy import Hierarchy
from aisle_training.confidence.thresholds import PRECISIONS, Thresholds, fit_thresholds
from aisle_training.datasets import Labels

# The modalities that a product is judged by, in the order of the recipe.
Mask = tuple[str, ...]


@dataclass(frozen=True)
class Judged:
    """Products judged by one classifier from one set of inputs.

    Attributes:
        probabilities: Calibrated, [rows, classes].
        labels: The true classes, [rows].
        familiarity: [rows]; None where it is not measured.
    """

    probabilities: npt.NDArray[np.floating[Any]]
    labels: Labels
    familiarity: npt.NDArray[np.floating[Any]] | None = None


@dataclass(frozen=True)
class DecisionRules:
    """Thresholds of a classifier.

    Attributes:
        levels: Levels of the category tree, the classes last.
        inputs: For each set of inputs and each wanted precision.
    """

    levels: int
    inputs: Mapping[Mask, Mapping[float, Thresholds]]

    @classmethod
    def fit(cls, judged: Mapping[Mask, Judged], hierarchy: Hierarchy) -> DecisionRules:
        """Fit the rules of a classifier.

        Args:
            judged: The products of the validation split that have each set of inputs, judged by these alone.
            hierarchy: The levels of the classes.

        Returns:
            Thresholds for every precision of `PRECISIONS`; none for a set of inputs that no product has.
        """
        inputs = {
            mask: {
                precision: fit_thresholds(rows.probabilities, rows.labels, hierarchy, precision, rows.familiarity)
                for precision in PRECISIONS
            }
            for mask, rows in judged.items()
            if len(rows.labels)
        }
        return cls(hierarchy.depth, inputs)

    def to_plain(self) -> dict[str, Any]:
        """Give the rules as plain values, see the top of this file."""
        return {
            "levels": self.levels,
            "inputs": {
                "+".join(mask): {f"{precision:g}": asdict(thresholds) for precision, thresholds in by_precision.items()}
                for mask, by_precision in self.inputs.items()
            },
        }

    @classmethod
    def from_plain(cls, content: Mapping[str, Any]) -> DecisionRules:
        """Read what `to_plain` gave."""
        inputs = {
            tuple(mask.split("+")): {
                float(precision): Thresholds(**{**thresholds, "levels": tuple(thresholds["levels"])})
                for precision, thresholds in by_precision.items()
            }
            for mask, by_precision in content["inputs"].items()
        }
        return cls(content["levels"], inputs)


def rules_to_json(rules: Mapping[str, DecisionRules]) -> str:
    """Write the rules of each classifier, by name."""
    return json.dumps({name: each.to_plain() for name, each in rules.items()}, indent=1) + "\n"


def rules_from_json(text: str) -> dict[str, DecisionRules]:
    """Read what `rules_to_json` wrote."""
    return {name: DecisionRules.from_plain(content) for name, content in json.loads(text).items()}
