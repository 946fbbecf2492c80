"""Evaluate a run on its test split, beside a baseline on the same rows."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aisle_training.baselines import predict_with_linear_svm
from aisle_training.catalogue.catalogue import Catalogue
from aisle_training.catalogue.splits import read_split
from aisle_training.classifier_training import SplitInputs
from aisle_training.datasets import LabelledProducts, Labels, Progress, no_progress, select_split
from aisle_training.fusion_training import embed_split
from aisle_training.metrics import accuracy, confusion_matrix, expected_calibration_error, macro_f1
from aisle_training.modalities.registry import create_encoders
from aisle_training.modalities.text import TextEncoder
from aisle_training.presence import list_presences
from aisle_training.recipes.recipe import FUSION
from aisle_training.runs import RunFolder


@dataclass(frozen=True)
class Figures:
    """How one model does with one set of inputs.

    Attributes:
        model: The classifier, or the baseline.
        inputs: What it was given.
        rows: Rows of the test split that have these inputs; the figures are over them.
        accuracy: Fraction of rows predicted right.
        macro_f1: Mean F1 of the classes.
        expected_calibration_error: In 15 bins, after temperature scaling; None for a model without confidence.
    """

    model: str
    inputs: str
    rows: int
    accuracy: float
    macro_f1: float
    expected_calibration_error: float | None


@dataclass(frozen=True)
class Evaluation:
    """All figures of a run, and where it confuses what.

    Attributes:
        classes: Category paths; class i is item i.
        figures: One for each model and set of inputs.
        inputs: What the confusion matrix is of: all inputs.
        confusion_matrix: Rows true, columns predicted, [classes, classes].
    """

    classes: list[tuple[str, ...]]
    figures: list[Figures]
    inputs: str
    confusion_matrix: npt.NDArray[np.int64]

    def to_json(self) -> str:
        """Write classes, figures and confusion matrix down."""
        content = {
            "split": "test",
            "classes": [list(path) for path in self.classes],
            "figures": [dataclasses.asdict(figures) for figures in self.figures],
            "confusion_matrix": self.confusion_matrix.tolist(),
        }
        return json.dumps(content, indent=1) + "\n"


def evaluate(run: RunFolder, catalogue: Catalogue, on_progress: Progress = no_progress) -> Evaluation:
    """Measure a run's classifiers, as they will be exported, on its test split.

    A row that lacks an input is left out of the figures that use this input.

    Args:
        run: A run that is trained to its end.
        catalogue: The catalogue that it was trained on.
        on_progress: Called with the number of products whose pictures are decoded, and of all.

    Returns:
        The figures.

    Raises:
        ValueError: The run is not complete, or its test split is empty.
        CatalogueError: The catalogue is not the one that the run was trained on.
    """
    recipe, classes = run.recipe(), run.labels()
    models = {name: run.load_classifier(name) for name in recipe.classifiers}
    encoders = create_encoders(recipe, run.path)
    products = catalogue.products()
    split_by_id = read_split(run.split_path, catalogue)
    train, test = (select_split(products, split_by_id, split, classes) for split in ("train", "test"))
    inputs = SplitInputs(
        test.labels, {encoder.name: encoder.encode(test.products, on_progress) for encoder in encoders}
    )
    figures = []
    matrix = np.zeros((len(classes), len(classes)), dtype=np.int64)
    presences = list_presences({encoder.name: encoder.noun for encoder in encoders})
    for encoder in encoders:
        chosen = np.flatnonzero(inputs.encoded[encoder.name].present)
        array, labels = inputs.encoded[encoder.name].array[chosen], test.labels[chosen]
        if not len(labels):
            continue
        probabilities = models[encoder.classifier].predict(array, batch_size=256, verbose=0)["PROBABILITIES"]
        figures.append(measure(encoder.classifier, encoder.noun, probabilities, labels))
        if len(encoders) == 1:
            matrix = confusion_matrix(probabilities.argmax(axis=1), labels, len(classes))
    if len(encoders) > 1:
        rows = embed_split({encoder.name: models[encoder.classifier] for encoder in encoders}, inputs)
        for given, names in presences.items():
            tensors, labels = rows.view(names)
            if not len(labels):
                continue
            probabilities = models[FUSION].predict(tensors, batch_size=1024, verbose=0)["PROBABILITIES"]
            figures.append(measure(FUSION, given, probabilities, labels))
            if len(names) == len(encoders):
                matrix = confusion_matrix(probabilities.argmax(axis=1), labels, len(classes))
    for encoder in encoders:
        if isinstance(encoder, TextEncoder):
            figures.extend(_baseline(encoder, train, test, len(classes)))
    return Evaluation(classes, figures, next(iter(presences)), matrix)


def _baseline(encoder: TextEncoder, train: LabelledProducts, test: LabelledProducts, classes: int) -> list[Figures]:
    """Measure the linear SVM on a text; nothing where no row of the test split has it."""
    (train_texts, train_labels), (texts, labels) = (_given_texts(encoder, part) for part in (train, test))
    if not texts:
        return []
    predicted = predict_with_linear_svm(train_texts, train_labels, texts)
    return [_figures("TF-IDF + linear SVM", encoder.noun, predicted, labels, classes, None)]


def _given_texts(encoder: TextEncoder, part: LabelledProducts) -> tuple[list[str], Labels]:
    chosen = [row for row, product in enumerate(part.products) if encoder.has(product)]
    return [encoder.text(part.products[row]) for row in chosen], part.labels[chosen]


def measure(model: str, inputs: str, probabilities: npt.NDArray[np.floating[Any]], labels: Labels) -> Figures:
    """Measure calibrated probabilities, [rows, classes], against the true classes, [rows]."""
    calibration_error = expected_calibration_error(probabilities, labels)
    return _figures(model, inputs, probabilities.argmax(axis=1), labels, probabilities.shape[1], calibration_error)


def _figures(
    model: str,
    inputs: str,
    predicted: npt.NDArray[np.integer[Any]],
    labels: Labels,
    classes: int,
    calibration_error: float | None,
) -> Figures:
    return Figures(
        model,
        inputs,
        len(labels),
        accuracy(predicted, labels),
        macro_f1(predicted, labels, classes),
        calibration_error,
    )
