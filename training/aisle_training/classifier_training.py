"""Train, calibrate and save the classifier of each modality of a run."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from aisle_training.batches import ShuffledBatches
from aisle_training.calibration import fit_temperature, scale_probabilities
from aisle_training.catalogue.catalogue import Product
from aisle_training.datasets import Floats, Labels
from aisle_training.fitting import fit_model
from aisle_training.history import best_epoch
from aisle_training.metrics import expected_calibration_error
from aisle_training.modalities.encoder import Encoded, Encoder, ModalityRows
from aisle_training.recipes.recipe import Schedule
from aisle_training.runs import RunFolder

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SplitInputs:
    """One split as the networks take it.

    Attributes:
        labels: The class of each row, int32 [rows].
        encoded: By modality, in the order of the recipe.
        products: The rows themselves; only training needs them.
    """

    labels: Labels
    encoded: dict[str, Encoded]
    products: Sequence[Product] = ()


def train_classifier(
    encoder: Encoder,
    run: RunFolder,
    inputs: dict[str, SplitInputs],
    classes: int,
    seed: int,
    weights: str | None,
    features_folder: Path | None = None,
) -> None:
    """Train, calibrate and save the classifier of one modality, on the rows that have it.

    Args:
        encoder: The modality.
        run: Where everything goes.
        inputs: The splits "train" and "validation".
        classes: Number of categories.
        seed: Of all that is drawn.
        weights: What the network starts from: None, "imagenet", or a Keras weights file.
        features_folder: Where what a frozen network makes of the rows is kept; None for in the run, until it is complete.
    """
    keras.utils.set_random_seed(seed)
    rows = {}
    for split in ("train", "validation"):
        given = inputs[split]
        present = np.flatnonzero(given.encoded[encoder.name].present)
        products = [given.products[int(row)] for row in present]
        rows[split] = ModalityRows(products, given.encoded[encoder.name].array[present], given.labels[present])
    array = rows["train"].array
    model = encoder.build_classifier(classes, array, seed, weights)
    parts = encoder.trained_parts(model, rows, classes, seed, features_folder or run.checkpoints_path / "features")
    for number, part in enumerate(parts):
        fit_part(
            run,
            f"{encoder.classifier}_{number}" if number else encoder.classifier,
            part.model,
            part.batches,
            part.validation,
            encoder.recipe.schedule,
            on_average=lambda: encoder.measure_statistics(model, array, seed),
        )
    encoder.join(model, [part.model for part in parts])
    held_out = rows["validation"]
    probabilities = model.predict(held_out.array, batch_size=256, verbose=0)["PROBABILITIES"]
    model.set_temperature(calibrate(run, encoder.classifier, probabilities, held_out.labels))
    run.save_classifier(encoder.classifier, model)


def calibrate(
    run: RunFolder, name: str, probabilities: Floats, labels: Labels, temperature: float | None = None
) -> float:
    """Fit a temperature on the validation split and note it in `calibration.json`.

    Args:
        run: The run folder.
        name: What is calibrated.
        probabilities: At temperature 1, [rows, classes].
        labels: True classes, [rows].
        temperature: One that is known already; None to fit it.

    Returns:
        The temperature.
    """
    temperature = fit_temperature(probabilities, labels) if temperature is None else temperature
    noted = json.loads(run.calibration_path.read_text(encoding="utf-8")) if run.calibration_path.is_file() else {}
    noted[name] = {
        "temperature": temperature,
        "rows": len(labels),
        "expected_calibration_error_before": expected_calibration_error(probabilities, labels),
        "expected_calibration_error_after": expected_calibration_error(
            scale_probabilities(probabilities, temperature), labels
        ),
    }
    run.calibration_path.write_text(json.dumps(noted, indent=2) + "\n", encoding="utf-8")
    return temperature


def fit_part(
    run: RunFolder,
    name: str,
    model: Any,
    batches: ShuffledBatches,
    validation: tuple[Any, Any],
    schedule: Schedule,
    on_average: Callable[[], object] = lambda: None,
) -> None:
    """Fit what gives a classifier's logits with the places of this run, and leave it with the weights of its best epoch."""
    history = fit_model(
        model,
        batches,
        validation,
        schedule,
        checkpoints=run.checkpoints_path / name,
        history_path=run.history_path(name),
        logs_path=run.logs_path(name),
        on_average=on_average,
    )
    best = best_epoch(history)
    log.info(
        "%s: %d trained parameters, %d epochs in %.0f s, best validation accuracy %.4f in epoch %d",
        name,
        sum(int(np.prod(variable.shape)) for variable in model.trainable_variables),
        len(history),
        sum(epoch["seconds"] for epoch in history),
        best["val_accuracy"],
        best["epoch"],
    )
