"""A run folder whose networks were never trained: all that export needs, in a second."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path

import keras
import numpy as np

from aisle_training.catalogue.catalogue import Product
from aisle_training.confidence.familiarity import Familiarity
from aisle_training.confidence.hierarchy import Hierarchy
from aisle_training.confidence.rules import DecisionRules, Judged, rules_to_json
from aisle_training.modalities.registry import create_encoders
from aisle_training.models.fusion.kinds import build_fusion_classifier
from aisle_training.recipes.tiny import RECIPE
from aisle_training.runs import RunFolder

LABELS = [("Home", "Clocks"), ("Home", "Lamps"), ("Clothing", "Shirts"), ("Clothing", "Caps"), ("کتاب", "شعر")]
TITLES = [f"{colour} {kind}" for colour in ("Red", "Blue", "آبی") for kind in ("clock", "lamp", "T-Shirt", "کتاب‌ها")]


def write_untrained_run(path: Path) -> RunFolder:
    """Write a run folder of the recipe `tiny` with random networks.

    Weights are large and temperatures are not 1, so that an exporter that loses one of them is found out.
    """
    run = RunFolder(path)
    path.mkdir(parents=True)
    run.recipe_path.write_text(RECIPE.to_json(), encoding="utf-8")
    run.data_path.write_text(json.dumps({"catalogue_sha256": "5" * 64}), encoding="utf-8")
    run.write_labels(LABELS)
    image, title = create_encoders(RECIPE, path)
    title.learn([Product(str(number), text, LABELS[0], None) for number, text in enumerate(TITLES)])
    keras.utils.set_random_seed(0)
    nothing = np.zeros(0)
    classifiers = {each.name: each.build_classifier(len(LABELS), nothing, 0, None) for each in (image, title)}
    sizes = {name: model.embedding_size for name, model in classifiers.items()}
    fusion = build_fusion_classifier(RECIPE.fusion, len(LABELS), sizes)
    random = np.random.default_rng(0)
    for name, model in (*classifiers.items(), ("fusion", fusion)):
        model.set_weights([1.5 * weight + random.normal(0, 0.05, weight.shape) for weight in model.get_weights()])
        if name == "fusion":
            for number, presence in enumerate([("image", "title"), ("image",), ("title",)]):
                model.set_temperature(0.6 + 0.3 * number, presence)
        else:
            model.set_temperature(0.7)
        run.save_classifier(f"{name}_classifier", model)
    write_confidence(run, sizes)
    return run


def write_confidence(run: RunFolder, sizes: Mapping[str, int]) -> None:
    """Write familiarity and decision rules, fitted on drawn embeddings and answers.

    Args:
        run: Of any classes.
        sizes: Of the embedding of each modality, by name.
    """
    random = np.random.default_rng(1)
    classes, rows = len(run.labels()), 400
    labels = random.integers(0, classes, rows).astype(np.int32)
    present = np.ones(rows, np.bool_)
    drawn = {name: (random.normal(0, 3, (rows, size)).astype(np.float32), present) for name, size in sizes.items()}
    masks = [names for size in range(len(sizes), 0, -1) for names in combinations(sizes, size)]
    familiarity = Familiarity.fit(drawn, labels, drawn, masks, classes)
    familiarity.save(run.familiarity_path)
    probabilities = random.dirichlet([0.05] * classes, rows)
    probabilities[np.arange(rows), labels] += 9.0
    judged = Judged(probabilities / probabilities.sum(axis=1, keepdims=True), labels, np.ones(rows))
    by_model = {f"{name}_classifier": [(name,)] for name in sizes} | {"fusion_classifier": masks}
    hierarchy = Hierarchy(run.labels())
    rules = {model: DecisionRules.fit(dict.fromkeys(given, judged), hierarchy) for model, given in by_model.items()}
    run.decisions_path.write_text(rules_to_json(rules), encoding="utf-8")
