"""Train a run: image classifier, title classifier, fusion classifier, each calibrated, into a run folder.

The steps are done in this order, and each leaves its file behind when it is whole. A resumed run skips the steps whose
file is there and goes on inside the step whose checkpoint it finds.
"""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np

from aisle_training.catalogue.catalogue import Catalogue
from aisle_training.catalogue.classes import select_classes
from aisle_training.catalogue.splits import read_split
from aisle_training.classifier_training import (
    SplitInputs,
    train_fusion_classifier,
    train_image_classifier,
    train_title_classifier,
)
from aisle_training.datasets import Progress, decode_pictures, no_progress, select_split
from aisle_training.preprocessing.titles import TitleTokenizer
from aisle_training.recipes.recipe import Recipe
from aisle_training.runs import RunFolder
from aisle_training.title_training import learn_tokenizer


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
    if run.recipe_path.exists():
        check_resumable(recipe, catalogue, split_path, run, resume=resume)
    else:
        begin_run(recipe, catalogue, split_path, run, {split: len(part) for split, part in rows.items()}, weights)
    run.write_labels(classes)

    if not run.tokenizer_path.is_file():
        learn_tokenizer(recipe.title, rows["train"].titles).save(run.tokenizer_path)
    tokenizer = TitleTokenizer.load(run.tokenizer_path, recipe.title.token_ids)
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
        train_title_classifier(recipe, run, inputs, len(classes), tokenizer)
    if not run.classifier_path("fusion_classifier").is_file():
        train_fusion_classifier(recipe, run, inputs, len(classes))
    shutil.rmtree(run.checkpoints_path, ignore_errors=True)


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


def _name_weights(weights: str | None) -> Any:
    """Say what the image network started from; a file by its name and hash, for its place says nothing elsewhere."""
    if weights is None or weights == "imagenet":
        return weights
    path = Path(weights)
    return {"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
