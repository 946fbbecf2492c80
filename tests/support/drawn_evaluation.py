"""Evaluations that the tests draw: answers of a model that errs as it is told to, measured by the real code."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import numpy.typing as npt

from aisle_training.classifiers import Answers
from aisle_training.evaluation.evaluation import Evaluation, Origin, TrainingCost
from aisle_training.evaluation.measuring import break_down, measure, measure_classes
from aisle_training.recipes.tiny import RECIPE
from aisle_training.report.comparison import ReportedRun

CLASSES = [("Home", "Clocks"), ("Home", "Crates & <Boxes>"), ("Outdoor", "Tents"), ("کتاب", "شعر")]
ROWS = 120


def draw_answers(
    model: str, inputs: str, accuracy: float, seed: int = 0, classes: int = len(CLASSES), rows: int = ROWS
) -> tuple[Answers, npt.NDArray[np.int32]]:
    """Draw probabilities whose best class is the true one in about `accuracy` of the rows; returns the labels too."""
    generator = np.random.default_rng(seed)
    labels = np.arange(rows, dtype=np.int32) % classes
    right = generator.random(rows) < accuracy
    named = np.where(right, labels, (labels + generator.integers(1, classes, rows)) % classes)
    probabilities = generator.dirichlet(np.ones(classes), rows) * 0.4
    probabilities[np.arange(rows), named] += generator.uniform(0.4, 0.6, rows)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    return Answers(model, inputs, np.arange(rows), probabilities), labels


def draw_evaluation(seed: int = 0, accuracy: float = 0.9, **origin: Any) -> Evaluation:
    """Draw the evaluation of a run of the recipe `tiny`; `origin` replaces fields of its origin."""
    answers, labels = draw_answers("fusion_classifier", "picture and title", accuracy, seed)
    alone, _ = draw_answers("image_classifier", "picture", accuracy - 0.2, seed + 1)
    noisy, _ = draw_answers("fusion_classifier", "picture and title", accuracy - 0.1, seed + 2)
    ids = [f"p{row}" for row in range(ROWS)]
    baseline = measure_classes("most frequent class", "nothing", np.zeros(ROWS, dtype=np.int32), labels, len(CLASSES))
    made_from = Origin(
        recipe=json.loads(dataclasses.replace(RECIPE, seed=seed).to_json()),
        catalogue_sha256="c" * 64,
        split_sha256="5" * 64,
        rows={"train": 400, "validation": 60, "test": ROWS},
        weights=None,
        backend="tensorflow",
        versions={"keras": "3.15.1"},
    )
    return Evaluation(
        origin=dataclasses.replace(made_from, **origin),
        classes=CLASSES,
        figures=[
            measure(answers, labels),
            measure(alone, labels),
            measure(noisy, labels, "picture blurred", clean=answers),
            baseline,
        ],
        breakdowns=[break_down(answers, labels, ids), break_down(alone, labels, ids)],
        training={"image_classifier": TrainingCost(1234, 2, 1, 1.5, 4.0)},
        seconds=3.0,
    )


def reported(name: str, seed: int = 0, accuracy: float = 0.9, **origin: Any) -> ReportedRun:
    """Draw a run as a report takes it."""
    return ReportedRun(name, draw_evaluation(seed, accuracy, **origin), {}, {}, None)
