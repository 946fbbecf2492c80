"""The tree that category paths span, and probabilities at each of its levels.

A level is a depth: at level 1 stand the first names of all paths, at the last level the classes themselves. A path that is
shorter than a level stands there as it is. The probability of a node is the sum over the classes below it, so what is said
at one level never contradicts another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Path = tuple[str, ...]


class Hierarchy:
    """The levels of a classifier's categories.

    Args:
        classes: Category paths; class i of the classifier is item i.

    Attributes:
        classes: The same.
        depth: Number of levels; the last one holds the classes.
    """

    def __init__(self, classes: Sequence[Path]) -> None:
        self.classes = [tuple(path) for path in classes]
        self.depth = max(len(path) for path in self.classes)
        self._nodes: list[list[Path]] = []
        self._node_of: list[npt.NDArray[np.int64]] = []
        for level in range(1, self.depth + 1):
            number: dict[Path, int] = {}
            node_of = [number.setdefault(path[:level], len(number)) for path in self.classes]
            self._nodes.append(list(number))
            self._node_of.append(np.array(node_of, dtype=np.int64))

    def nodes(self, level: int) -> list[Path]:
        """Give the nodes of a level, 1 to `depth`; node i of the level is item i."""
        return self._nodes[level - 1]

    def node_of(self, level: int) -> npt.NDArray[np.int64]:
        """Give the node of a level that each class stands below, [classes]."""
        return self._node_of[level - 1]

    def probabilities(self, probabilities: npt.NDArray[np.floating[Any]], level: int) -> npt.NDArray[np.float64]:
        """Add the probabilities of classes up to those of a level.

        Args:
            probabilities: Of the classes, [rows, classes].
            level: 1 to `depth`.

        Returns:
            Of the level's nodes, [rows, nodes]; each row has the same sum as before.
        """
        node_of = self.node_of(level)
        membership = np.zeros((len(node_of), len(self.nodes(level))))
        membership[np.arange(len(node_of)), node_of] = 1.0
        return np.asarray(probabilities.astype(np.float64) @ membership)

    def nodes_below(self) -> list[Path]:
        """Give every node of every level once, parents before children."""
        seen: dict[Path, None] = {}
        for path in self.classes:
            for length in range(1, len(path) + 1):
                seen.setdefault(path[:length])
        return list(seen)
