"""Levels of a category tree, and probabilities that never contradict each other."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from aisle_training.confidence.hierarchy import Hierarchy

TREE = [
    ("Home", "Clocks", "Wall"),
    ("Home", "Clocks", "Table"),
    ("Home", "Lamps"),
    ("Clothing", "Shirts", "T"),
    ("Books",),
]

paths = st.lists(
    st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map(tuple), min_size=1, max_size=12, unique=True
)


def test_levels():
    """A level holds the paths cut at its depth; a shorter path stands there as it is."""
    hierarchy = Hierarchy(TREE)
    assert hierarchy.depth == 3
    assert hierarchy.nodes(1) == [("Home",), ("Clothing",), ("Books",)]
    assert hierarchy.nodes(2) == [("Home", "Clocks"), ("Home", "Lamps"), ("Clothing", "Shirts"), ("Books",)]
    assert hierarchy.nodes(3) == TREE
    assert hierarchy.node_of(2).tolist() == [0, 0, 1, 2, 3]


def test_a_parent_is_the_sum_of_its_leaves():
    """The probability of a node is the sum over the classes below it."""
    (row,) = Hierarchy(TREE).probabilities(np.array([[0.1, 0.2, 0.3, 0.15, 0.25]]), 2)
    np.testing.assert_allclose(row, [0.3, 0.3, 0.15, 0.25])


def test_every_node_once():
    """All nodes come once, parents first."""
    nodes = Hierarchy(TREE).nodes_below()
    assert len(nodes) == len(set(nodes)) == 9
    assert all(node[:-1] in nodes[:place] for place, node in enumerate(nodes) if len(node) > 1)


@given(paths, st.integers(0, 2**32 - 1))
def test_sure_nodes_lie_on_one_path(classes, seed):
    """Nodes of different levels that each have more than half of the probability stand one below the other."""
    hierarchy = Hierarchy(classes)
    probabilities = np.random.default_rng(seed).dirichlet(np.full(len(classes), 0.3), 20)
    sure = [[] for _ in probabilities]
    for level in range(1, hierarchy.depth + 1):
        at_level = hierarchy.probabilities(probabilities, level)
        np.testing.assert_allclose(at_level.sum(axis=1), 1.0)
        for row, values in enumerate(at_level):
            if values.max() > 0.5:
                sure[row].append(hierarchy.nodes(level)[int(values.argmax())])
    for chain in sure:
        for upper, lower in itertools.pairwise(chain):
            assert lower[: len(upper)] == upper
