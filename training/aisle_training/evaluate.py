"""Evaluate a run on its test split, beside a baseline on the same rows."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aisle_training.baselines import predict_with_linear_svm
from aisle_training.batches import fusion_inputs
from aisle_training.catalogue.catalogue import Catalogue
from aisle_training.catalogue.splits import read_split
from aisle_training.datasets import Labels, Progress, decode_pictures, no_progress, select_split
from aisle_training.metrics import accuracy, confusion_matrix, expected_calibration_error, macro_f1
from aisle_training.preprocessing.titles import TitleTokenizer
from aisle_training.presence import PRESENCES, presence_view
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
        confusion_matrix: Of the fusion classifier with both inputs, rows true, columns predicted, [classes, classes].
    """

    classes: list[tuple[str, ...]]
    figures: list[Figures]
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

    A row without a readable picture is left out of the figures that use pictures, one with a blank title out of those
    that use titles.

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
    image_classifier, title_classifier, fusion_classifier = (
        run.load_classifier(name) for name in ("image_classifier", "title_classifier", "fusion_classifier")
    )
    products = catalogue.products()
    split_by_id = read_split(run.split_path, catalogue)
    train, test = (select_split(products, split_by_id, split, classes) for split in ("train", "test"))
    pixels, image_present = decode_pictures(test.products, recipe.image.picture_size, on_progress)
    token_ids = TitleTokenizer.load(run.tokenizer_path, recipe.title.token_ids).encode(test.titles)
    title_present = test.title_present

    image = image_classifier.predict(pixels, batch_size=256, verbose=0)
    title = title_classifier.predict(token_ids, batch_size=256, verbose=0)
    figures = [
        measure("image_classifier", "picture", image["PROBABILITIES"][image_present], test.labels[image_present]),
        measure("title_classifier", "title", title["PROBABILITIES"][title_present], test.labels[title_present]),
    ]
    matrix = np.zeros((len(classes), len(classes)), dtype=np.int64)
    for name, presence in PRESENCES.items():
        chosen, image_flags, title_flags = presence_view(image_present, title_present, *presence)
        inputs = fusion_inputs(image["EMBEDDING"][chosen], title["EMBEDDING"][chosen], image_flags, title_flags)
        probabilities = fusion_classifier.predict(inputs, batch_size=1024, verbose=0)["PROBABILITIES"]
        figures.append(measure("fusion_classifier", name, probabilities, test.labels[chosen]))
        if all(presence):
            matrix = confusion_matrix(probabilities.argmax(axis=1), test.labels[chosen], len(classes))
    titled, titles_of_test = train.title_present, [title for title in test.titles if title.strip()]
    titles_of_train = [title for title in train.titles if title.strip()]
    predicted = predict_with_linear_svm(titles_of_train, train.labels[titled], titles_of_test)
    figures.append(_figures("TF-IDF + linear SVM", "title", predicted, test.labels[title_present], len(classes), None))
    return Evaluation(classes, figures, matrix)


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
