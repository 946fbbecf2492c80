"""Train, calibrate and save the fusion classifier, on embeddings that the classifiers of the modalities give."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from aisle_training.batches import FusionBatches, fusion_inputs
from aisle_training.calibration import negative_log_likelihood
from aisle_training.classifier_training import SplitInputs, calibrate, fit_part
from aisle_training.datasets import Flags, Floats, Labels
from aisle_training.fusion_weights import fit_vote_weights
from aisle_training.history import write_history
from aisle_training.metrics import accuracy
from aisle_training.models.fusion.kinds import build_fusion_classifier
from aisle_training.models.fusion.late import LateFusion
from aisle_training.presence import list_presences, rows_with
from aisle_training.recipes.recipe import FUSION, FusionRecipe
from aisle_training.runs import RunFolder

log = logging.getLogger(__name__)


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
        rows: Of the splits that it needs: "train" to train on, "validation" to choose the best epoch and to fit weights and
            temperatures on.
        classes: Number of categories.
        seed: Of all that is drawn.

    Raises:
        ValueError: The recipe names a kind of fusion that there is not.
    """
    keras.utils.set_random_seed(seed)
    validation = rows["validation"]
    sizes = {name: int(embeddings.shape[1]) for name, embeddings in validation.embeddings.items()}
    model = build_fusion_classifier(recipe, classes, sizes)
    model.start_from(classifiers)
    views = [
        View(given, names, *validation.view(names), is_single=len(names) == 1)
        for given, names in list_presences(nouns).items()
    ]
    if isinstance(model, LateFusion):
        _fit_votes(model, run, views)
    else:
        train = rows["train"]
        batches = FusionBatches(
            train.embeddings, train.present, train.labels, recipe.schedule.batch_size, seed, missing=recipe.missing
        )
        fit_part(run, FUSION, model.logits_model(), batches, _all_of(views), recipe.schedule)
    for view in views:
        if len(view.labels):
            # One vote comes with the temperature of its classifier.
            known = 1.0 if isinstance(model, LateFusion) and view.is_single else None
            name = f"{FUSION}/{view.given}"
            temperature = calibrate(run, name, predict_fusion(model, view.inputs), view.labels, known)
            model.set_temperature(temperature, view.names)
    run.save_classifier(FUSION, model)


def predict_fusion(model: Any, inputs: Mapping[str, Floats]) -> Floats:
    """Give the probabilities, [rows, classes]."""
    return np.asarray(model.predict(inputs, batch_size=1024, verbose=0)["PROBABILITIES"])


@dataclass(frozen=True)
class View:
    """Held-out rows as if they had certain modalities and no others.

    Attributes:
        given: What these modalities are called.
        names: The modalities.
        inputs: Of the fusion classifier.
        labels: int32 [rows].
        is_single: Whether it is one modality.
    """

    given: str
    names: tuple[str, ...]
    inputs: dict[str, Floats]
    labels: Labels
    is_single: bool


def _all_of(views: Sequence[View]) -> tuple[dict[str, Floats], Labels]:
    """Put views after one another: each row counts as often as it can be asked, with all it has and each part of it."""
    inputs = {tensor: np.concatenate([view.inputs[tensor] for view in views]) for tensor in views[0].inputs}
    return inputs, np.concatenate([view.labels for view in views])


def _fit_votes(model: LateFusion, run: RunFolder, views: Sequence[View]) -> None:
    """Fit the weights of all votes, and write down how that went as if it were an epoch."""
    start_s = time.monotonic()
    no_votes = np.zeros((0, model.classes), dtype=np.float32)
    for view in views:
        if not view.is_single:
            # Keras predicts nothing of no rows. Without rows the weights are those of the plain average.
            votes = model.votes(view.inputs) if len(view.labels) else dict.fromkeys(view.names, no_votes)
            fitted = fit_vote_weights(np.stack([votes[name] for name in view.names]), view.labels)
            weights = dict(zip(view.names, fitted.tolist(), strict=True))
            model.set_vote_weights(weights)
            log.info("%s of %s: %s", FUSION, view.given, {name: round(weight, 3) for name, weight in weights.items()})
    inputs, labels = _all_of(views)
    probabilities = predict_fusion(model, inputs)
    epoch = {
        "epoch": 1,
        "seconds": time.monotonic() - start_s,
        "val_accuracy": accuracy(probabilities.argmax(axis=1), labels),
        "val_loss": negative_log_likelihood(np.log(np.maximum(probabilities, 1e-30)), labels, 1.0),
    }
    write_history(run.history_path(FUSION), [epoch])
