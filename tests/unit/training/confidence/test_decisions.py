"""Auto, review or abstain."""

import numpy as np

from aisle_training.confidence.decisions import decide
from aisle_training.confidence.hierarchy import Hierarchy
from aisle_training.confidence.thresholds import Thresholds

HIERARCHY = Hierarchy([("a", "x"), ("a", "y"), ("b", "z")])
THRESHOLDS = Thresholds((0.7, 0.8), familiarity=0.04, strange=0.001)


def _decided(row, familiarity=0.5, thresholds=THRESHOLDS, hierarchy=HIERARCHY):
    decisions = decide(np.array([row]), hierarchy, thresholds, np.array([familiarity]))
    level = int(decisions.levels[0])
    node = hierarchy.nodes(level)[int(decisions.nodes[0])] if level else ()
    return str(decisions.actions[0]), node, float(decisions.confidence[0])


def test_a_sure_leaf():
    """A leaf that is sure enough is answered."""
    assert _decided([0.8, 0.15, 0.05]) == ("auto", ("a", "x"), 0.8)


def test_back_off():
    """An unsure leaf is proposed as its deepest ancestor that is sure enough, with that one's probability."""
    assert _decided([0.5, 0.25, 0.25]) == ("review", ("a",), 0.75)


def test_nothing_is_sure():
    """Where nothing is sure the first level is proposed if it is more likely right than wrong, else nothing."""
    assert _decided([0.4, 0.25, 0.35])[:2] == ("review", ("a",))
    flat = Hierarchy([("a",), ("b",), ("c",)])
    assert _decided([0.4, 0.25, 0.35], thresholds=Thresholds((0.9,)), hierarchy=flat) == ("abstain", (), 0.0)


def test_an_unfamiliar_product():
    """An unfamiliar product is never answered automatically, nor is its leaf proposed."""
    assert _decided([0.99, 0.005, 0.005], familiarity=0.039)[:2] == ("review", ("a",))
    assert _decided([0.99, 0.005, 0.005], familiarity=0.04)[:2] == ("auto", ("a", "x"))


def test_a_strange_product():
    """About a product that is stranger than all but one in a thousand nothing is said."""
    assert _decided([1.0, 0.0, 0.0], familiarity=0.0) == ("abstain", (), 0.0)


def test_no_threshold():
    """A level without a threshold is never sure."""
    assert _decided([1.0, 0.0, 0.0], thresholds=Thresholds((0.7, None)))[:2] == ("review", ("a",))


def test_right_answers():
    """An answer is right when the true class stands below it."""
    decisions = decide(
        np.array([[0.9, 0.05, 0.05], [0.5, 0.3, 0.2], [0.4, 0.1, 0.5]]), HIERARCHY, Thresholds((0.7, 0.8))
    )
    assert decisions.actions.tolist() == ["auto", "review", "review"]
    assert decisions.is_right(HIERARCHY, np.array([0, 1, 2], np.int32)).tolist() == [True, True, False]
