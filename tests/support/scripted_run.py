"""A run folder whose classifiers are scripts instead of networks: an evaluation of it takes seconds, most of them imports."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from aisle_training.catalogue.catalogue import Catalogue
from aisle_training.catalogue.splits import read_split
from aisle_training.modalities.registry import create_encoders
from aisle_training.recipes.recipe import Recipe
from aisle_training.runs import RunFolder


class ScriptedClassifier:
    """Answers by a drawn matrix over the mean and spread of what it is given; the same row is answered alike each time."""

    def __init__(self, classes: int, seed: int) -> None:
        self._matrix = np.random.default_rng(seed).normal(size=(4, classes))

    def count_params(self) -> int:
        return int(self._matrix.size)

    def predict(self, rows: Any, batch_size: int, verbose: int) -> dict[str, Any]:
        if isinstance(rows, dict):
            flat = np.concatenate([np.asarray(array, np.float64) for _, array in sorted(rows.items())], axis=1)
        else:
            flat = np.asarray(rows, np.float64).reshape(len(rows), -1) / 255.0
        halves = np.array_split(flat, 2, axis=1)
        features = np.stack([*(half.mean(axis=1) for half in halves), *(half.std(axis=1) for half in halves)], axis=1)
        scores = np.exp(features @ self._matrix)
        return {"EMBEDDING": np.float32(features), "PROBABILITIES": np.float32(scores / scores.sum(1, keepdims=True))}


class ScriptedRun(RunFolder):
    """A run folder that loads a `ScriptedClassifier` of each name."""

    def load_classifier(self, classifier: str) -> Any:
        return ScriptedClassifier(len(self.labels()), seed=len(classifier))


def write_scripted_run(path: Path, recipe: Recipe, catalogue: Catalogue, split_path: Path) -> ScriptedRun:
    """Write a run folder that has all but networks: labels, split, tokenizers, histories of two epochs."""
    run = ScriptedRun(path)
    (path / "history").mkdir(parents=True)
    run.recipe_path.write_text(recipe.to_json())
    products = catalogue.products()
    train = [product for product in products if read_split(split_path, catalogue)[product.id] == "train"]
    run.write_labels(sorted({product.category for product in products}))
    data = {
        "catalogue": str(catalogue.folder),
        "catalogue_sha256": catalogue.content_hash,
        "rows": {"train": len(train)},
        "weights": None,
        "backend": "none",
        "versions": {},
    }
    run.data_path.write_text(json.dumps(data))
    for copied in (split_path, split_path.with_suffix(".json")):
        shutil.copyfile(copied, run.split_path.with_suffix(copied.suffix))
    for encoder in create_encoders(recipe, path):
        encoder.learn(train)
    for classifier in recipe.classifiers:
        run.history_path(classifier).write_text("epoch,seconds,val_accuracy,val_loss\n1,2.0,0.75,0.9\n2,4.0,0.5,1.5\n")
    run.note_training(recipe.classifiers[0], 9.0, "3 processors")
    return run
