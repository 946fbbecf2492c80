"""Train a run: image classifier, title classifier, fusion classifier, each calibrated, into a run folder.

The steps are done in this order, and each leaves its file behind when it is whole. A resumed run skips the steps whose
file is there and goes on inside the step whose checkpoint it finds.
"""

from __future__ import annotations

import json
import logging
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from aisle_training.batches import Floats, FusionBatches, PictureBatches, TitleBatches, TokenIds, fusion_inputs
from aisle_training.calibration import fit_temperature, scale_probabilities
from aisle_training.catalogue.catalogue import Catalogue
from aisle_training.catalogue.classes import select_classes
from aisle_training.catalogue.splits import read_split
from aisle_training.datasets import (
    Flags,
    LabelledProducts,
    Pixels,
    Progress,
    decode_pictures,
    no_progress,
    select_split,
)
from aisle_training.fitting import fit_model
from aisle_training.metrics import expected_calibration_error
from aisle_training.models.batch_norm import recalibrate_batch_norms
from aisle_training.models.fusion_classifier import FusionClassifier
from aisle_training.models.image_classifier import ImageClassifier
from aisle_training.models.title_classifier import TitleClassifier
from aisle_training.preprocessing.titles import TitleTokenizer
from aisle_training.presence import PRESENCES, presence_view
from aisle_training.recipes.recipe import Recipe
from aisle_training.runs import RunFolder

RECALIBRATION_PICTURES = 1024

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


def train(
    recipe: Recipe,
    catalogue: Catalogue,
    split_path: Path,
    run: RunFolder,
    *,
    weights: str | None = None,
    resume: bool = False,
    on_progress: Progress = no_progress,
) -> None:
    """Train all three classifiers of a recipe.

    Args:
        recipe: The numbers.
        catalogue: The products.
        split_path: The split file of this catalogue.
        run: Where everything goes.
        weights: What the image network starts from: None, "imagenet", or a Keras weights file.
        resume: Go on with a run that was begun with the same recipe and data.
        on_progress: Called with the number of products whose pictures are decoded, and of all.

    Raises:
        ValueError: The run folder is in use and `resume` was not asked for, or it is of another recipe or other data.
        CatalogueError: The catalogue or the split cannot be used.
    """
    products = catalogue.products()
    split_by_id = read_split(split_path, catalogue)
    classes = select_classes(products, recipe.minimum_pictures)
    if len(classes) < 2:
        raise ValueError(
            f"{len(classes)} categories have {recipe.minimum_pictures} pictures or more, expected at least 2"
        )
    rows = {split: select_split(products, split_by_id, split, classes) for split in ("train", "validation")}
    begin_run(recipe, catalogue, split_path, run, {split: len(part) for split, part in rows.items()}, resume=resume)
    run.write_labels(classes)
    keras.utils.set_random_seed(recipe.seed)

    if not run.tokenizer_path.is_file():
        titles = [title for title in rows["train"].titles if title.strip()]
        TitleTokenizer.train(titles, recipe.title.vocabulary_size, recipe.title.length).save(run.tokenizer_path)
    tokenizer = TitleTokenizer.load(run.tokenizer_path, recipe.title.length)
    pixels, image_present = decode_pictures(
        [product for part in rows.values() for product in part.products], recipe.image.picture_size, on_progress
    )
    inputs, start = {}, 0
    for split, part in rows.items():
        mine = slice(start, start := start + len(part))
        inputs[split] = SplitInputs(part, pixels[mine], image_present[mine], tokenizer.encode(part.titles))
    if not run.classifier_path("image_classifier").is_file():
        train_image_classifier(recipe, run, inputs, len(classes), weights)
    if not run.classifier_path("title_classifier").is_file():
        train_title_classifier(recipe, run, inputs, len(classes), tokenizer.vocabulary_size)
    if not run.classifier_path("fusion_classifier").is_file():
        train_fusion_classifier(recipe, run, inputs, len(classes))
    shutil.rmtree(run.checkpoints_path, ignore_errors=True)


def begin_run(
    recipe: Recipe, catalogue: Catalogue, split_path: Path, run: RunFolder, rows: dict[str, int], *, resume: bool
) -> None:
    """Write down what a run is made from, or hold a resumed run against what it was begun with.

    Args:
        recipe: The numbers.
        catalogue: The products.
        split_path: The split file; it is copied into the run, with its record.
        run: Where everything goes.
        rows: Products of each split.
        resume: Whether the run may have been begun.

    Raises:
        ValueError: See `train`.
    """
    if run.recipe_path.exists():
        if not resume:
            raise ValueError(f"{run.path} already holds a run: go on with it (--resume) or choose another folder")
        if run.recipe() != recipe:
            raise ValueError(f"{run.path} was begun with another recipe or other options: see {run.recipe_path}")
        begun = json.loads(run.data_path.read_text(encoding="utf-8"))
        if (
            begun["catalogue_sha256"] != catalogue.content_hash
            or run.split_path.read_bytes() != split_path.read_bytes()
        ):
            raise ValueError(f"{run.path} was begun with another catalogue or another split")
        return
    if run.path.exists() and any(run.path.iterdir()):
        raise ValueError(f"{run.path} is not empty and holds no run: choose another folder")
    run.path.mkdir(parents=True, exist_ok=True)
    for copied in (split_path, split_path.with_suffix(".json")):
        shutil.copyfile(copied, run.split_path.with_suffix(copied.suffix))
    data = {
        "catalogue": str(catalogue.folder),
        "catalogue_sha256": catalogue.content_hash,
        "rows": rows,
        "backend": keras.backend.backend(),
        "versions": {"keras": keras.__version__, "numpy": np.__version__, "python": platform.python_version()},
    }
    run.data_path.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    # Last, for a run folder is one that holds a recipe.
    run.recipe_path.write_text(recipe.to_json(), encoding="utf-8")


def train_image_classifier(
    recipe: Recipe, run: RunFolder, inputs: dict[str, SplitInputs], classes: int, weights: str | None
) -> None:
    """Train, calibrate and save the image classifier, on the rows that have a picture."""
    numbers = recipe.image
    keras.utils.set_random_seed(recipe.seed)
    model = ImageClassifier(
        classes, numbers.picture_size, numbers.network, numbers.width, numbers.dropout, weights=weights
    )
    present = np.flatnonzero(inputs["train"].image_present)
    pixels, labels = inputs["train"].pixels[present], inputs["train"].rows.labels[present]
    if weights is not None:
        some = np.random.default_rng(recipe.seed).permutation(len(pixels))[:RECALIBRATION_PICTURES]
        recalibrate_batch_norms(model.image_network, pixels[some].astype(np.float32) / 127.5 - 1.0)
    batches = PictureBatches(
        pixels, labels, numbers.schedule.batch_size, recipe.seed, flip=numbers.flip, shift=numbers.shift
    )
    held_out = inputs["validation"].image_present
    validation = inputs["validation"].pixels[held_out], inputs["validation"].rows.labels[held_out]
    _fit(run, "image_classifier", model, batches, validation, numbers.schedule)
    probabilities = model.predict(validation[0], batch_size=256, verbose=0)["PROBABILITIES"]
    model.set_temperature(calibrate(run, "image_classifier", probabilities, validation[1]))
    run.save_classifier("image_classifier", model)


def train_title_classifier(
    recipe: Recipe, run: RunFolder, inputs: dict[str, SplitInputs], classes: int, vocabulary_size: int
) -> None:
    """Train, calibrate and save the title classifier, on the rows that have a title."""
    numbers = recipe.title
    keras.utils.set_random_seed(recipe.seed)
    model = TitleClassifier(
        classes,
        vocabulary_size,
        numbers.length,
        numbers.network,
        numbers.token_size,
        numbers.filters,
        numbers.embedding_size,
        numbers.dropout,
    )
    present = inputs["train"].rows.title_present
    batches = TitleBatches(
        inputs["train"].token_ids[present],
        inputs["train"].rows.labels[present],
        numbers.schedule.batch_size,
        recipe.seed,
        token_dropout=numbers.token_dropout,
    )
    held_out = inputs["validation"].rows.title_present
    validation = inputs["validation"].token_ids[held_out], inputs["validation"].rows.labels[held_out]
    _fit(run, "title_classifier", model, batches, validation, numbers.schedule)
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
    _fit(run, "fusion_classifier", model, batches, validation, numbers.schedule)
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


def calibrate(run: RunFolder, name: str, probabilities: Floats, labels: npt.NDArray[np.int32]) -> float:
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


def _fit(run: RunFolder, name: str, model: Any, batches: Any, validation: tuple[Any, Any], schedule: Any) -> None:
    """Fit a classifier's logits with the places of this run."""
    history = fit_model(
        model.logits_model(),
        batches,
        validation,
        schedule,
        checkpoints=run.checkpoints_path / name,
        history_path=run.history_path(name),
        logs_path=run.logs_path(name),
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
