"""Train a run: a classifier for each modality, then fusion, each calibrated, then decision rules, into a run folder.

The steps are done in this order, and each leaves its file behind when it is whole. A resumed run skips the steps whose
file is there and goes on inside the step whose checkpoint it finds.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from aisle_training.catalogue.catalogue import Catalogue
from aisle_training.catalogue.splits import read_split
from aisle_training.classifier_training import SplitInputs, train_classifier
from aisle_training.confidence.fit import fit_confidence
from aisle_training.datasets import LabelledProducts, Progress, no_progress
from aisle_training.fusion_training import embed_split, train_fusion_classifier
from aisle_training.modalities.encoder import Encoder
from aisle_training.modalities.registry import create_encoders
from aisle_training.recipes.recipe import FUSION, Recipe
from aisle_training.row_selection import SPLITS, select_rows
from aisle_training.runs import RunFolder


def train(
    recipe: Recipe,
    catalogue: Catalogue,
    split_path: Path,
    run: RunFolder,
    *,
    weights: str | None = None,
    resume: bool = False,
    features_folder: Path | None = None,
    on_progress: Progress = no_progress,
) -> None:
    """Train all classifiers of a recipe; a modality that one of the splits lacks is left out, and logged.

    Args:
        recipe: The numbers.
        catalogue: The products.
        split_path: The split file of this catalogue.
        run: Where everything goes.
        weights: What the image network starts from: None, "imagenet", or a Keras weights file.
        resume: Go on with a run that was begun with the same recipe and data.
        features_folder: Where features of frozen image networks are kept for other runs; None for nowhere.
        on_progress: Called with the number of products whose pictures are decoded, and of all.

    Raises:
        ValueError: The run folder is in use and `resume` was not asked for, or it is of another recipe or other data; or
            the catalogue has nothing to train on.
        CatalogueError: The catalogue or the split cannot be used.
    """
    products = catalogue.products()
    split_by_id = read_split(split_path, catalogue)
    selected = select_rows(create_encoders(recipe, run.path), products, split_by_id, recipe.minimum_products)
    classes, rows = selected.classes, selected.rows
    recipe = recipe.with_modalities(encoder.name for encoder in selected.encoders).fitted(
        {encoder.name: encoder.fitted_recipe(rows["train"].products) for encoder in selected.encoders}
    )
    there = create_encoders(recipe, run.path)
    if run.recipe_path.exists():
        check_resumable(recipe, catalogue, split_path, run, resume=resume)
    else:
        begin_run(recipe, catalogue, split_path, run, {split: len(part) for split, part in rows.items()}, weights)
    run.write_labels(classes)

    inputs = encode_splits(there, rows, on_progress)
    for encoder in there:
        if not run.classifier_path(encoder.classifier).is_file():
            started_s = time.monotonic()
            train_classifier(encoder, run, inputs, len(classes), recipe.seed, weights, features_folder)
            run.note_training(encoder.classifier, time.monotonic() - started_s, _name_hardware())
    needs_fusion = len(there) > 1 and not run.classifier_path(FUSION).is_file()
    if needs_fusion or not run.decisions_path.is_file():
        started_s = time.monotonic()
        classifiers = {encoder.name: run.load_classifier(encoder.classifier) for encoder in there}
        embedded = {split: embed_split(classifiers, inputs[split]) for split in SPLITS}
        if needs_fusion:
            train_fusion_classifier(
                recipe.fusion,
                run,
                classifiers,
                {encoder.name: encoder.noun for encoder in there},
                embedded,
                len(classes),
                recipe.seed,
            )
            run.note_training(FUSION, time.monotonic() - started_s, _name_hardware())
        models = {name: run.load_classifier(name) for name in recipe.classifiers}
        fit_confidence(run, there, models, embedded, inputs["validation"])
    shutil.rmtree(run.checkpoints_path, ignore_errors=True)


def encode_splits(
    encoders: Sequence[Encoder], rows: dict[str, LabelledProducts], on_progress: Progress
) -> dict[str, SplitInputs]:
    """Encode the products of both splits for each modality, which learns from the training split first.

    Raises:
        ValueError: No product of a split has the modality.
    """
    products = [product for part in rows.values() for product in part.products]
    inputs = {split: SplitInputs(part.labels, {}, part.products) for split, part in rows.items()}
    for encoder in encoders:
        encoder.learn(rows["train"].products)
        encoded, start = encoder.encode(products, on_progress), 0
        for split, part in rows.items():
            mine = encoded[start : start + len(part)]
            if not mine.present.any():
                raise ValueError(f"no product of the split {split!r} has a {encoder.noun} that can be read")
            inputs[split].encoded[encoder.name] = mine
            start += len(part)
    return inputs


def check_resumable(recipe: Recipe, catalogue: Catalogue, split_path: Path, run: RunFolder, *, resume: bool) -> None:
    """Hold a run that was begun against what it is to go on with.

    Args:
        recipe: The numbers.
        catalogue: The products.
        split_path: The split file.
        run: The run that was begun.
        resume: Whether it is meant to go on.

    Raises:
        ValueError: It is not meant to, or it was begun with another recipe or other data.
    """
    if not resume:
        raise ValueError(f"{run.path} already holds a run: go on with it (--resume) or choose another folder")
    if run.recipe() != recipe:
        raise ValueError(f"{run.path} was begun with another recipe or other options: see {run.recipe_path}")
    same_catalogue = run.data()["catalogue_sha256"] == catalogue.content_hash
    if not same_catalogue or run.split_path.read_bytes() != split_path.read_bytes():
        raise ValueError(f"{run.path} was begun with another catalogue or another split")


def begin_run(
    recipe: Recipe, catalogue: Catalogue, split_path: Path, run: RunFolder, rows: dict[str, int], weights: str | None
) -> None:
    """Make a run folder, and write down what the run is made from.

    Args:
        recipe: The numbers.
        catalogue: The products.
        split_path: The split file; it is copied into the run, with its record.
        run: Where everything goes.
        rows: Products of each split.
        weights: What the image network starts from.

    Raises:
        ValueError: The folder holds something else.
    """
    if run.path.exists() and any(run.path.iterdir()):
        raise ValueError(f"{run.path} is not empty and holds no run: choose another folder")
    run.path.mkdir(parents=True, exist_ok=True)
    for copied in (split_path, split_path.with_suffix(".json")):
        shutil.copyfile(copied, run.split_path.with_suffix(copied.suffix))
    data = {
        "catalogue": str(catalogue.folder),
        "catalogue_sha256": catalogue.content_hash,
        "rows": rows,
        "weights": _name_weights(weights),
        "backend": keras.backend.backend(),
        "versions": {"keras": keras.__version__, "numpy": np.__version__, "python": platform.python_version()},
    }
    run.data_path.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    # Last, for a run folder is one that holds a recipe.
    run.recipe_path.write_text(recipe.to_json(), encoding="utf-8")


def _name_hardware() -> str:
    """Say what Keras computes on here: accelerators, or else the processors that this process may use."""
    accelerators = [device for device in keras.distribution.list_devices() if not device.startswith("cpu")]
    if accelerators:
        return f"{len(accelerators)} {accelerators[0].partition(':')[0].upper()}"
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return f"{count} processor{'s' if count > 1 else ''}"


def _name_weights(weights: str | None) -> Any:
    """Say what the image network started from; a file by its name and hash, for its place says nothing elsewhere."""
    if weights is None or weights == "imagenet":
        return weights
    path = Path(weights)
    return {"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
