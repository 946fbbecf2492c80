"""Figures about confidence that the tests draw, measured by the real code."""

from __future__ import annotations

import numpy as np

from aisle_training.confidence.figures import (
    ConfidenceFigures,
    measure_decisions,
    measure_levels,
    measure_out_of_class,
)
from aisle_training.confidence.hierarchy import Hierarchy
from aisle_training.confidence.rules import DecisionRules, Judged, Mask
from aisle_training.confidence.unknown_products import LEFT_OUT
from tests.support.drawn_evaluation import CLASSES, draw_answers

BOTH: Mask = ("image", "title")


def draw_confidence(rows: int = 400) -> ConfidenceFigures:
    """Draw the figures of a run with the classifiers of `draw_evaluation`; a third of the unknown products look strange."""
    hierarchy, figures = Hierarchy(CLASSES), ConfidenceFigures()
    for model, mask, accuracy in (("fusion_classifier", BOTH, 0.997), ("image_classifier", ("image",), 0.9)):
        judged = []
        for seed in range(2):
            answers, labels = draw_answers(model, "", accuracy, seed, rows=rows)
            judged.append(Judged(answers.probabilities, labels, np.linspace(0.05, 1.0, rows)))
        rules = DecisionRules.fit({mask: judged[0]}, hierarchy)
        figures.levels.extend(measure_levels(model, mask, judged[1], hierarchy, rules))
        figures.decisions.extend(measure_decisions(model, mask, judged[1], hierarchy, rules))
        figures.out_of_class.extend(
            measure_out_of_class(
                LEFT_OUT,
                model,
                mask,
                judged[1].probabilities[:300],
                hierarchy,
                rules,
                familiarity=np.where(np.arange(300) % 3 == 0, 0.0, 0.5),
                known_familiarity=judged[1].familiarity,
                categories=[("Home", "Lamps")] * 300,
            )
        )
    return figures
