"""The added categories of a run, as the run folder keeps them: `added_categories.npz`, one file, replaced as a whole."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from aisle_training.categories.prototypes import Examples, PrototypeWeights
from aisle_training.runs import RunFolder

ADDED: Final = "added_categories.npz"


@dataclass(frozen=True)
class AddedCategories:
    """What was added to a run.

    Attributes:
        categories: With their examples.
        weights: Fitted on all of them.
    """

    categories: tuple[Examples, ...]
    weights: PrototypeWeights

    @property
    def paths(self) -> list[tuple[str, ...]]:
        """Of the categories, in the order in which they were added: class `learnt + i` is item i."""
        return [category.path for category in self.categories]


def read_added(run: RunFolder) -> AddedCategories | None:
    """Read what was added to a run; None when nothing was."""
    path = run.path / ADDED
    if not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as arrays:
        index: dict[str, Any] = json.loads(str(arrays["index"]))
        names = index["modalities"]
        categories = tuple(
            Examples(
                tuple(category),
                {name: arrays[f"examples/{number}/{name}"] for name in names},
                {name: arrays[f"present/{number}/{name}"] for name in names},
            )
            for number, category in enumerate(index["categories"])
        )
        weights = PrototypeWeights(
            {name: arrays[f"learnt/{name}"] for name in names},
            {name: arrays[f"added/{name}"] for name in names},
            arrays["slopes"],
            arrays["intercepts"],
        )
    return AddedCategories(categories, weights)


def write_added(run: RunFolder, categories: Sequence[Examples], weights: PrototypeWeights | None) -> None:
    """Replace what was added to a run; `weights` is None, and the file goes, when there are no categories left."""
    path = run.path / ADDED
    if weights is None:
        path.unlink(missing_ok=True)
        return
    names = list(weights.learnt)
    index = {"modalities": names, "categories": [list(category.path) for category in categories]}
    arrays: dict[str, Any] = {
        "index": np.array(json.dumps(index)),
        "slopes": weights.slopes,
        "intercepts": weights.intercepts,
    }
    for name in names:
        arrays[f"learnt/{name}"] = weights.learnt[name]
        arrays[f"added/{name}"] = weights.added[name]
        for number, category in enumerate(categories):
            arrays[f"examples/{number}/{name}"] = category.embeddings[name]
            arrays[f"present/{number}/{name}"] = category.present[name]
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb") as file:
        np.savez(file, **arrays)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
