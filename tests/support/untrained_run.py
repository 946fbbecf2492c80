"""A run folder whose networks were never trained: all that export needs, in a second."""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np

from aisle_training.catalogue.catalogue import Product
from aisle_training.modalities.registry import create_encoders
from aisle_training.models.fusion_classifier import FusionClassifier
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
    fusion = FusionClassifier(len(LABELS), sizes, hidden_size=32)
    random = np.random.default_rng(0)
    for name, model in (*classifiers.items(), ("fusion", fusion)):
        model.set_weights([1.5 * weight + random.normal(0, 0.05, weight.shape) for weight in model.get_weights()])
        if name == "fusion":
            for number, presence in enumerate([("image", "title"), ("image",), ("title",)]):
                model.set_temperature(0.6 + 0.3 * number, presence)
        else:
            model.set_temperature(0.7)
        run.save_classifier(f"{name}_classifier", model)
    return run
