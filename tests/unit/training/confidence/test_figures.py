"""Figures about trust, and the rules on paper."""

import json

import numpy as np
import pytest

from aisle_training.confidence.figures import (
    ConfidenceFigures,
    measure_decisions,
    measure_levels,
    measure_out_of_class,
    separation,
)
from aisle_training.confidence.hierarchy import Hierarchy
from aisle_training.confidence.rules import DecisionRules, Judged, rules_from_json, rules_to_json
from tests.support.drawn_confidence import draw_confidence

HIERARCHY = Hierarchy([("a", "x"), ("a", "y"), ("b", "z")])
MASK = ("image", "title")


def _judged(rows, seed):
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet([0.15] * 3, rows)
    labels = np.array([random.choice(3, p=row) for row in probabilities], np.int32)
    return Judged(probabilities, labels, random.random(rows))


@pytest.fixture(scope="module")
def rules():
    """Rules fitted on 3,000 products."""
    return DecisionRules.fit({MASK: _judged(3000, 0), ("title",): _judged(0, 1)}, HIERARCHY)


def test_rules(rules):
    """There are thresholds for both precisions, stricter for the higher one; none for inputs that no product has."""
    assert list(rules.inputs) == [MASK]
    low, high = rules.inputs[MASK][0.95], rules.inputs[MASK][0.98]
    assert 0.5 <= low.levels[1] < high.levels[1] < 1.0
    assert low.levels[0] <= low.levels[1]


def test_rules_are_read_back(rules):
    """Rules written as JSON are the same when they are read."""
    assert rules_from_json(rules_to_json({"fusion_classifier": rules})) == {"fusion_classifier": rules}
    plain = rules.to_plain()
    assert plain["levels"] == 2
    assert set(plain["inputs"]["image+title"]) == {"0.95", "0.98"}


def test_levels_and_decisions(rules):
    """On new products the automatic answers have the wanted precision, and the three parts add up to all."""
    judged = _judged(4000, 2)
    levels = measure_levels("fusion_classifier", MASK, judged, HIERARCHY, rules)
    assert [(figures.level, figures.nodes) for figures in levels] == [(1, 2), (2, 3)]
    assert levels[0].accuracy > levels[1].accuracy
    assert levels[0].coverage["0.95"] >= levels[1].coverage["0.95"] > levels[1].coverage["0.98"] > 0.2
    for figures in measure_decisions("fusion_classifier", MASK, judged, HIERARCHY, rules):
        assert figures.auto + figures.review + figures.abstain == pytest.approx(1.0)
        assert figures.auto_precision > figures.precision - 0.005
        assert figures.auto > 0.3


def test_out_of_class(rules):
    """Products of no known class are counted by what becomes of them, and proposals by whether they fit."""
    probabilities = np.array([[0.99, 0.005, 0.005], [0.99, 0.005, 0.005], [0.005, 0.005, 0.99]])
    figures = measure_out_of_class(
        "left-out types",
        "fusion_classifier",
        MASK,
        probabilities,
        HIERARCHY,
        rules,
        familiarity=np.array([0.5, 0.01, 0.0]),
        known_familiarity=np.array([0.5, 0.4]),
        categories=[("a", "new"), ("a", "new"), ("b", "new")],
    )[0]
    assert (figures.auto, figures.review, figures.abstain) == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    assert figures.review_precision == 1.0
    assert figures.separation == pytest.approx(5 / 6 - 1 / 12)
    everything = ConfidenceFigures(out_of_class=[figures])
    assert json.loads(everything.to_json())["out_of_class"][0]["source"] == "left-out types"


def test_figures_are_read_back(tmp_path):
    """What was written comes back equal; a run without the file has none, and something else is refused by its path."""
    figures = draw_confidence()
    path = tmp_path / "confidence.json"
    assert ConfidenceFigures.read(path) is None
    path.write_text(figures.to_json(), encoding="utf-8")
    assert ConfidenceFigures.read(path) == figures
    for broken in ("[]", "{}", '{"levels": [{}], "decisions": [], "out_of_class": []}', "nonsense"):
        path.write_text(broken)
        with pytest.raises(ValueError, match="confidence.json: these are no figures about confidence"):
            ConfidenceFigures.read(path)


def test_separation():
    """Separation is the area under the ROC curve; ties count half."""
    assert separation(np.array([0.9, 0.8]), np.array([0.1])) == 1.0
    assert separation(np.array([0.5]), np.array([0.5])) == 0.5
    assert separation(None, np.array([0.5])) is None
