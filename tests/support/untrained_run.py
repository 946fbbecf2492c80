"""A run folder whose networks were never trained: all that export needs, in a second."""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np

from aisle_training.models.fusion_classifier import FusionClassifier
from aisle_training.models.image_classifier import ImageClassifier
from aisle_training.models.title_classifier import TitleClassifier
from aisle_training.preprocessing.titles import TitleTokenizer
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
    tokenizer = TitleTokenizer.train(TITLES, RECIPE.title.vocabulary_size, RECIPE.title.length)
    tokenizer.save(run.tokenizer_path)
    keras.utils.set_random_seed(0)
    image = ImageClassifier(len(LABELS), RECIPE.image.picture_size, "convnet", RECIPE.image.width)
    title = TitleClassifier(
        len(LABELS), tokenizer.vocabulary_size, RECIPE.title.length, token_size=16, filters=16, embedding_size=32
    )
    fusion = FusionClassifier(len(LABELS), image.embedding_size, title.embedding_size, hidden_size=32)
    random = np.random.default_rng(0)
    for name, model in (("image_classifier", image), ("title_classifier", title), ("fusion_classifier", fusion)):
        model.set_weights([1.5 * weight + random.normal(0, 0.05, weight.shape) for weight in model.get_weights()])
        if name == "fusion_classifier":
            for number, presence in enumerate([(True, True), (True, False), (False, True)]):
                model.set_temperature(0.6 + 0.3 * number, image_present=presence[0], title_present=presence[1])
        else:
            model.set_temperature(0.7)
        run.save_classifier(name, model)
    return run
