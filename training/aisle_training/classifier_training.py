"""Train, calibrate and save each of the three classifiers of a run."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import keras
import numpy as np
import numpy.typing as npt

from aisle_training.batches import (
    Floats,
    FusionBatches,
    PictureBatches,
    ShuffledBatches,
    TokenIds,
    fusion_inputs,
)
from aisle_training.calibration import fit_temperature, scale_probabilities
from aisle_training.datasets import Flags, LabelledProducts, Labels, Pixels
from aisle_training.fitting import fit_model
from aisle_training.metrics import expected_calibration_error
from aisle_training.models.batch_norm import measure_batch_norms, recalibrate_batch_norms
from aisle_training.models.fusion_classifier import FusionClassifier
from aisle_training.models.image_classifier import ImageClassifier
from aisle_training.preprocessing.title_normalization import is_blank
from aisle_training.preprocessing.titles import TitleTokenizer
from aisle_training.presence import PRESENCES, presence_view
from aisle_training.recipes.recipe import Recipe, Schedule
from aisle_training.runs import RunFolder
from aisle_training.title_training import build_title_classifier, make_title_batches, train_members

# Over which the statistics of batch normalisations are measured.
STATISTICS_PICTURES: Final = 1024

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SplitInputs:
    """One split as the networks take it.

    Attributes:
        rows: Products and labels.
        pixels: uint8 [rows, size, size, 3].
        image_present: Whether each row has a picture, [rows].
        token_ids: int32 [rows, length].
    """

    rows: LabelledProducts
    pixels: Pixels
    image_present: Flags
    token_ids: TokenIds


def train_image_classifier(
    recipe: Recipe, run: RunFolder, inputs: dict[str, SplitInputs], classes: int, weights: str | None
) -> None:
    """Train, calibrate and save the image classifier, on the rows that have a picture."""
    numbers = recipe.image
    keras.utils.set_random_seed(recipe.seed)
    model = ImageClassifier(
        classes,
        numbers.picture_size,
        numbers.network,
        numbers.width,
        numbers.dropout,
        weights=weights,
        flip_average=numbers.flip_average,
    )
    present = np.flatnonzero(inputs["train"].image_present)
    pixels, labels = inputs["train"].pixels[present], inputs["train"].rows.labels[present]
    some = pixels[np.random.default_rng(recipe.seed).permutation(len(pixels))[:STATISTICS_PICTURES]]
    scaled = some.astype(np.float32) / 127.5 - 1.0
    if weights is not None:
        recalibrate_batch_norms(model.image_network, scaled)
    batches = PictureBatches(
        pixels,
        labels,
        numbers.schedule.batch_size,
        recipe.seed,
        flip=numbers.flip,
        shift=numbers.shift,
        mixup=numbers.mixup,
        classes=classes,
    )
    held_out = inputs["validation"].image_present
    validation = inputs["validation"].pixels[held_out], inputs["validation"].rows.labels[held_out]
    _fit(
        run,
        "image_classifier",
        model.logits_model(),
        batches,
        validation,
        numbers.schedule,
        on_average=lambda: measure_batch_norms(model.image_network, scaled),
    )
    probabilities = model.predict(validation[0], batch_size=256, verbose=0)["PROBABILITIES"]
    model.set_temperature(calibrate(run, "image_classifier", probabilities, validation[1]))
    run.save_classifier("image_classifier", model)


def train_title_classifier(
    recipe: Recipe, run: RunFolder, inputs: dict[str, SplitInputs], classes: int, tokenizer: TitleTokenizer
) -> None:
    """Train, calibrate and save the title classifier, on the rows that have a title."""
    numbers = recipe.title
    keras.utils.set_random_seed(recipe.seed)
    model = build_title_classifier(numbers, classes, tokenizer.vocabulary_size)
    titled = [product for product in inputs["train"].rows.products if not is_blank(product.title)]
    titles, paths = [product.title for product in titled], [product.category for product in titled]
    labels = inputs["train"].rows.labels[inputs["train"].rows.title_present]
    held_out = inputs["validation"].rows.title_present
    validation = inputs["validation"].token_ids[held_out], inputs["validation"].rows.labels[held_out]

    def train_member(member: int, network: Any, seed: int) -> None:
        batches = make_title_batches(numbers, tokenizer, titles, paths, labels, seed)
        name = f"title_classifier_{member}" if member else "title_classifier"
        _fit(run, name, network, batches, validation, numbers.schedule)

    train_members(model, train_member, recipe.seed)
    probabilities = model.predict(validation[0], batch_size=256, verbose=0)["PROBABILITIES"]
    model.set_temperature(calibrate(run, "title_classifier", probabilities, validation[1]))
    run.save_classifier("title_classifier", model)


def train_fusion_classifier(recipe: Recipe, run: RunFolder, inputs: dict[str, SplitInputs], classes: int) -> None:
    """Train, calibrate and save the fusion classifier, on the embeddings of the two trained classifiers."""
    numbers = recipe.fusion
    keras.utils.set_random_seed(recipe.seed)
    image_classifier = run.load_classifier("image_classifier")
    title_classifier = run.load_classifier("title_classifier")
    embeddings = {
        split: (embed(image_classifier, part.pixels), embed(title_classifier, part.token_ids))
        for split, part in inputs.items()
    }
    model = FusionClassifier(
        classes, image_classifier.embedding_size, title_classifier.embedding_size, numbers.hidden_size, numbers.dropout
    )
    model.start_from(image_classifier, title_classifier)
    batches = FusionBatches(
        *embeddings["train"],
        inputs["train"].image_present,
        inputs["train"].rows.title_present,
        inputs["train"].rows.labels,
        numbers.schedule.batch_size,
        recipe.seed,
        image_missing=numbers.image_missing,
        title_missing=numbers.title_missing,
    )
    held_out = inputs["validation"]
    present = held_out.image_present, held_out.rows.title_present
    views = {name: presence_view(*present, *presence) for name, presence in PRESENCES.items()}
    # Each held-out row counts as often as it can be asked: with both inputs, and with either one missing.
    image_embeddings, title_embeddings = embeddings["validation"]
    stacked = [
        fusion_inputs(image_embeddings[chosen], title_embeddings[chosen], image_flags, title_flags)
        for chosen, image_flags, title_flags in views.values()
    ]
    validation = (
        {name: np.concatenate([part[name] for part in stacked]) for name in stacked[0]},
        np.concatenate([held_out.rows.labels[view[0]] for view in views.values()]),
    )
    _fit(run, "fusion_classifier", model.logits_model(), batches, validation, numbers.schedule)
    for (name, presence), view, part in zip(PRESENCES.items(), views.values(), stacked, strict=True):
        if not len(view[0]):
            continue
        probabilities = model.predict(part, batch_size=1024, verbose=0)["PROBABILITIES"]
        temperature = calibrate(run, f"fusion_classifier/{name}", probabilities, held_out.rows.labels[view[0]])
        model.set_temperature(temperature, image_present=presence[0], title_present=presence[1])
    run.save_classifier("fusion_classifier", model)


def embed(classifier: Any, rows: npt.NDArray[Any]) -> Floats:
    """Give the embedding, float32 [rows, size], of everything that a single-input classifier takes."""
    return np.asarray(classifier.predict(rows, batch_size=256, verbose=0)["EMBEDDING"])


def calibrate(run: RunFolder, name: str, probabilities: Floats, labels: Labels) -> float:
    """Fit a temperature on the validation split and note it in `calibration.json`.

    Args:
        run: The run folder.
        name: What is calibrated.
        probabilities: At temperature 1, [rows, classes].
        labels: True classes, [rows].

    Returns:
        The temperature.
    """
    temperature = fit_temperature(probabilities, labels)
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


def _fit(
    run: RunFolder,
    name: str,
    model: Any,
    batches: ShuffledBatches,
    validation: tuple[Any, Any],
    schedule: Schedule,
    on_average: Callable[[], object] = lambda: None,
) -> None:
    """Fit what gives a classifier's logits with the places of this run."""
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
    best = max(history, key=lambda epoch: epoch["val_accuracy"])
    log.info(
        "%s: %d parameters, %d epochs in %.0f s, best validation accuracy %.4f in epoch %d",
        name,
        model.count_params(),
        len(history),
        sum(epoch["seconds"] for epoch in history),
        best["val_accuracy"],
        best["epoch"],
    )
