"""Train, calibrate and save the fusion classifier, on embeddings that the classifiers of the modalities give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from aisle_training.batches import FusionBatches, fusion_inputs
from aisle_training.classifier_training import SplitInputs, calibrate, fit_part
from aisle_training.datasets import Flags, Floats, Labels
from aisle_training.models.fusion_classifier import FusionClassifier
from aisle_training.presence import list_presences, rows_with
from aisle_training.recipes.recipe import FUSION, FusionRecipe
from aisle_training.runs import RunFolder


@dataclass(frozen=True)
class FusionRows:
    """Rows as the fusion classifier is trained, calibrated and evaluated on; each has one of its modalities or more.

    Attributes:
        embeddings: By modality, float32 [rows, size].
        present: By modality, which rows have it, [rows].
        labels: int32 [rows].
    """

    embeddings: dict[str, Floats]
    present: dict[str, Flags]
    labels: Labels

    def view(self, names: tuple[str, ...]) -> tuple[dict[str, Floats], Labels]:
        """Give the rows that have certain modalities, as if they had no others: inputs of the classifier, and labels."""
        chosen = rows_with(self.present, names)
        embeddings = {name: rows[chosen] for name, rows in self.embeddings.items()}
        present = {name: np.full(len(chosen), name in names) for name in self.embeddings}
        return fusion_inputs(embeddings, present), self.labels[chosen]


def embed_split(classifiers: Mapping[str, Any], inputs: SplitInputs) -> FusionRows:
    """Embed a split by the trained classifiers.

    Of the training split these are embeddings of rows that the classifiers know by heart, and fusion learns to trust them
    more than it should: whoever has embeddings from classifiers that have not seen the row trains on those instead.

    Args:
        classifiers: By modality.
        inputs: The split.

    Returns:
        The rows that have any modality.
    """
    some = np.flatnonzero(np.logical_or.reduce([encoded.present for encoded in inputs.encoded.values()]))
    encoded = {name: inputs.encoded[name][some] for name in classifiers}
    embeddings = {
        name: np.asarray(classifier.predict(encoded[name].array, batch_size=256, verbose=0)["EMBEDDING"])
        for name, classifier in classifiers.items()
    }
    return FusionRows(embeddings, {name: rows.present for name, rows in encoded.items()}, inputs.labels[some])


def train_fusion_classifier(
    recipe: FusionRecipe,
    run: RunFolder,
    classifiers: Mapping[str, Any],
    nouns: Mapping[str, str],
    rows: Mapping[str, FusionRows],
    classes: int,
    seed: int,
) -> None:
    """Train, calibrate and save the fusion classifier.

    Args:
        recipe: The numbers.
        run: Where it goes.
        classifiers: Of the modalities, by name; fusion starts from their logits.
        nouns: What people call each modality.
        rows: "train" to train on, "validation" to choose the best epoch and to fit the temperatures on.
        classes: Number of categories.
        seed: Of all that is drawn.
    """
    keras.utils.set_random_seed(seed)
    train, validation = rows["train"], rows["validation"]
    sizes = {name: int(rows.shape[1]) for name, rows in train.embeddings.items()}
    model = FusionClassifier(classes, sizes, recipe.hidden_size, recipe.dropout)
    model.start_from(classifiers)
    batches = FusionBatches(
        train.embeddings, train.present, train.labels, recipe.schedule.batch_size, seed, missing=recipe.missing
    )
    # Each held-out row counts as often as it can be asked: with all that it has, and with each part of it.
    views = {given: (names, *validation.view(names)) for given, names in list_presences(nouns).items()}
    stacked = (
        {tensor: np.concatenate([inputs[tensor] for _, inputs, _ in views.values()]) for tensor in model.input},
        np.concatenate([labels for _, _, labels in views.values()]),
    )
    fit_part(run, FUSION, model.logits_model(), batches, stacked, recipe.schedule)
    for given, (names, inputs, labels) in views.items():
        if len(labels):
            probabilities = model.predict(inputs, batch_size=1024, verbose=0)["PROBABILITIES"]
            model.set_temperature(calibrate(run, f"{FUSION}/{given}", probabilities, labels), names)
    run.save_classifier(FUSION, model)
