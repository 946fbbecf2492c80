"""Figures about trust: coverage at each level, what the decisions come to, and what becomes of unknown products."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path as FilePath
from typing import Any

import numpy as np
import numpy.typing as npt

from aisle_training.confidence.coverage import CoverageCurve, coverage_at_precision, coverage_curve
from aisle_training.confidence.decisions import ABSTAIN, AUTO, REVIEW, Decisions, decide
from aisle_training.confidence.hierarchy import Hierarchy, Path
from aisle_training.confidence.rules import DecisionRules, Judged, Mask
from aisle_training.confidence.thresholds import PRECISIONS


@dataclass(frozen=True)
class LevelFigures:
    """How one level is answered by one classifier.

    Attributes:
        model: The classifier.
        inputs: The modalities that products are judged by.
        level: From 1, the first names of the paths, to the classes themselves.
        nodes: Number of nodes of the level.
        rows: Products.
        accuracy: The fraction whose node is the most likely one.
        coverage: For each precision, as "0.95", the largest fraction that can be answered with it: what the best threshold
            for these very products would give.
        thresholds: For each precision the threshold that was fitted on validation; None where there is none.
        curve: Precision against coverage.
    """

    model: str
    inputs: Mask
    level: int
    nodes: int
    rows: int
    accuracy: float
    coverage: dict[str, float]
    thresholds: dict[str, float | None]
    curve: CoverageCurve


@dataclass(frozen=True)
class DecisionFigures:
    """What the decision rules come to on products of known classes.

    Attributes:
        model: The classifier.
        inputs: The modalities that products are judged by.
        precision: The wanted one.
        rows: Products.
        auto: The fraction that is answered automatically.
        auto_precision: The fraction of these answers that is right; None when there are none.
        review: The fraction that somebody looks at.
        review_precision: The fraction of the proposals that is right; None when there are none.
        abstain: The fraction about which nothing is said.
    """

    model: str
    inputs: Mask
    precision: float
    rows: int
    auto: float
    auto_precision: float | None
    review: float
    review_precision: float | None
    abstain: float


@dataclass(frozen=True)
class OutOfClassFigures:
    """What becomes of products of no known class; every automatic answer to them is wrong.

    Attributes:
        source: What these products are.
        model: The classifier.
        inputs: The modalities that products are judged by.
        precision: The wanted one.
        rows: Products.
        auto: The fraction that is answered automatically.
        review: The fraction that somebody looks at.
        review_precision: The fraction of the proposals that name a node the product does stand below; None when it is not
            known where they belong, or when there are none.
        abstain: The fraction about which nothing is said.
        separation: The chance that a product of a known class is more familiar than one of these (the area under the ROC
            curve); None where familiarity is not measured.
    """

    source: str
    model: str
    inputs: Mask
    precision: float
    rows: int
    auto: float
    review: float
    review_precision: float | None
    abstain: float
    separation: float | None


@dataclass(frozen=True)
class ConfidenceFigures:
    """All of them.

    Attributes:
        levels: Coverage at each level.
        decisions: On products of known classes.
        out_of_class: On others.
    """

    levels: list[LevelFigures] = field(default_factory=list)
    decisions: list[DecisionFigures] = field(default_factory=list)
    out_of_class: list[OutOfClassFigures] = field(default_factory=list)

    def to_plain(self) -> dict[str, Any]:
        """Give them as plain values that JSON can hold."""
        return asdict(self)

    def to_json(self) -> str:
        """Write them down."""
        return json.dumps(self.to_plain(), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> ConfidenceFigures:
        """Read what `to_json` wrote.

        Raises:
            ValueError: `text` is something else.
        """
        try:
            content = json.loads(text)
            return cls(
                [
                    LevelFigures(**{**_masked(each), "curve": CoverageCurve(**each["curve"])})
                    for each in content["levels"]
                ],
                [DecisionFigures(**_masked(each)) for each in content["decisions"]],
                [OutOfClassFigures(**_masked(each)) for each in content["out_of_class"]],
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"these are no figures about confidence of this version of Aisle: {error}") from error

    @classmethod
    def read(cls, path: FilePath) -> ConfidenceFigures | None:
        """Read `confidence.json`; None where there is none, as in runs of earlier versions.

        Raises:
            ValueError: The file holds something else.
        """
        try:
            return cls.from_json(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error


def measure_levels(
    model: str, inputs: Mask, judged: Judged, hierarchy: Hierarchy, rules: DecisionRules | None = None
) -> list[LevelFigures]:
    """Measure a classifier at each level.

    Args:
        model: The classifier.
        inputs: The modalities that products are judged by.
        judged: Products of known classes.
        hierarchy: The levels of the classes.
        rules: The classifier's rules; None when there are none.

    Returns:
        One a level, the first names first.
    """
    fitted = rules.inputs.get(inputs, {}) if rules else {}
    figures = []
    for level in range(1, hierarchy.depth + 1):
        at_level = hierarchy.probabilities(judged.probabilities, level)
        confidence = at_level.max(axis=1)
        correct = at_level.argmax(axis=1) == hierarchy.node_of(level)[judged.labels]
        figures.append(
            LevelFigures(
                model,
                inputs,
                level,
                len(hierarchy.nodes(level)),
                len(correct),
                float(correct.mean()),
                {f"{wanted:g}": coverage_at_precision(confidence, correct, wanted) for wanted in PRECISIONS},
                {f"{wanted:g}": thresholds.levels[level - 1] for wanted, thresholds in fitted.items()},
                coverage_curve(confidence, correct),
            )
        )
    return figures


def measure_decisions(
    model: str, inputs: Mask, judged: Judged, hierarchy: Hierarchy, rules: DecisionRules
) -> list[DecisionFigures]:
    """Measure what a classifier's rules come to, once for each wanted precision; see `measure_levels`."""
    figures = []
    for precision, thresholds in rules.inputs.get(inputs, {}).items():
        decisions = decide(judged.probabilities, hierarchy, thresholds, judged.familiarity)
        right = decisions.is_right(hierarchy, judged.labels)
        figures.append(
            DecisionFigures(
                model,
                inputs,
                precision,
                len(right),
                auto=_fraction(decisions, AUTO),
                auto_precision=_mean(right[decisions.actions == AUTO]),
                review=_fraction(decisions, REVIEW),
                review_precision=_mean(right[decisions.actions == REVIEW]),
                abstain=_fraction(decisions, ABSTAIN),
            )
        )
    return figures


def measure_out_of_class(
    source: str,
    model: str,
    inputs: Mask,
    probabilities: npt.NDArray[np.floating[Any]],
    hierarchy: Hierarchy,
    rules: DecisionRules,
    *,
    familiarity: npt.NDArray[np.floating[Any]] | None = None,
    known_familiarity: npt.NDArray[np.floating[Any]] | None = None,
    categories: Sequence[Path] | None = None,
) -> list[OutOfClassFigures]:
    """Measure what a classifier's rules make of products of no known class.

    Args:
        source: What these products are, for people.
        model: The classifier.
        inputs: The modalities that products are judged by.
        probabilities: Calibrated, [rows, classes].
        hierarchy: The levels of the classes.
        rules: The classifier's rules.
        familiarity: Of the products, [rows].
        known_familiarity: Of products of known classes, [other rows].
        categories: The true path of each product; None when it is not known.

    Returns:
        One for each wanted precision.
    """
    figures = []
    for precision, thresholds in rules.inputs.get(inputs, {}).items():
        decisions = decide(probabilities, hierarchy, thresholds, familiarity)
        reviewed: list[int] = np.flatnonzero(decisions.actions == REVIEW).tolist()
        right = None
        if categories is not None:
            proposed = (hierarchy.nodes(decisions.levels[row])[decisions.nodes[row]] for row in reviewed)
            right = np.array(
                [categories[row][: len(path)] == path for row, path in zip(reviewed, proposed, strict=True)]
            )
        figures.append(
            OutOfClassFigures(
                source,
                model,
                inputs,
                precision,
                len(probabilities),
                auto=_fraction(decisions, AUTO),
                review=_fraction(decisions, REVIEW),
                review_precision=None if right is None else _mean(right),
                abstain=_fraction(decisions, ABSTAIN),
                separation=separation(known_familiarity, familiarity),
            )
        )
    return figures


def separation(
    known: npt.NDArray[np.floating[Any]] | None, unknown: npt.NDArray[np.floating[Any]] | None
) -> float | None:
    """Give the chance that one of the known is more familiar than one of the unknown, ties counting half.

    Source: the area under the ROC curve is the Mann-Whitney U statistic over the number of pairs.
    """
    if known is None or unknown is None or not len(known) or not len(unknown):
        return None
    rising = np.sort(unknown)
    below, up_to = np.searchsorted(rising, known, "left"), np.searchsorted(rising, known, "right")
    return float((below + up_to).mean() / (2 * len(rising)))


def _masked(content: dict[str, Any]) -> dict[str, Any]:
    return {**content, "inputs": tuple(content["inputs"])}


def _fraction(decisions: Decisions, action: str) -> float:
    return float(np.mean(decisions.actions == action))


def _mean(flags: npt.NDArray[np.bool_]) -> float | None:
    return float(flags.mean()) if len(flags) else None
