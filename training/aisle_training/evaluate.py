"""Evaluate a run on its test split: clean and disturbed inputs, with and without each of them, beside simple baselines."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from aisle_training.baselines import predict_with_linear_svm
from aisle_training.batches import fusion_inputs
from aisle_training.catalogue.catalogue import Catalogue
from aisle_training.catalogue.splits import read_split
from aisle_training.datasets import Flags, LabelledProducts, Progress, decode_pictures, no_progress, select_split
from aisle_training.evaluation.disturbances import PICTURE_DISTURBANCES, TITLE_DISTURBANCES
from aisle_training.evaluation.evaluation import Evaluation, Figures, Origin
from aisle_training.evaluation.measuring import Answers, break_down, measure, measure_classes
from aisle_training.evaluation.training_cost import read_training_cost
from aisle_training.preprocessing.titles import TitleTokenizer
from aisle_training.presence import PRESENCES, presence_view
from aisle_training.runs import CLASSIFIERS, RunFolder

# Enough to see a point of difference, few enough to be asked again for each disturbance.
DISTURBED_ROWS: Final = 2000

NOUNS: Final = {"image": "picture", "title": "title"}

Outputs = dict[str, npt.NDArray[Any]]


def evaluate(run: RunFolder, catalogue: Catalogue, on_progress: Progress = no_progress) -> Evaluation:
    """Measure a run's classifiers, as they will be exported, on its test split.

    A row without a readable picture is left out of the figures that use pictures, one with a blank title out of those
    that use titles. Disturbed inputs are measured on a draw of `DISTURBED_ROWS` rows.

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
    started_s = time.monotonic()
    recipe, classes = run.recipe(), run.labels()
    models = {name: run.load_classifier(name) for name in CLASSIFIERS}
    products = catalogue.products()
    split_by_id = read_split(run.split_path, catalogue)
    train, test = (select_split(products, split_by_id, split, classes) for split in ("train", "test"))
    pixels, image_present = decode_pictures(test.products, recipe.image.picture_size, on_progress)
    tokenizer = TitleTokenizer.load(run.tokenizer_path, recipe.title.length)
    encoded: dict[str, npt.NDArray[Any]] = {"image": pixels, "title": tokenizer.encode(test.titles)}
    present = {"image": image_present, "title": test.title_present}

    outputs = {name: _predict(models, name, array) for name, array in encoded.items()}
    answers = _answer(models, outputs, present)
    figures = [measure(each, test.labels) for each in answers]
    figures += _measure_disturbed(models, encoded, outputs, present, test, tokenizer, answers)
    figures += _measure_baselines(train, test, len(classes))
    return Evaluation(
        origin=read_origin(run, len(test)),
        classes=classes,
        figures=figures,
        breakdowns=[break_down(each, test.labels, [product.id for product in test.products]) for each in answers],
        training={name: read_training_cost(run, name, model.count_params()) for name, model in models.items()},
        serving=None,
        seconds=time.monotonic() - started_s,
    )


def read_origin(run: RunFolder, test_rows: int) -> Origin:
    """Say what a run was made from."""
    data = run.data()
    return Origin(
        recipe=dataclasses.asdict(run.recipe()),
        catalogue_sha256=data["catalogue_sha256"],
        split_sha256=json.loads(run.split_path.with_suffix(".json").read_text(encoding="utf-8"))["splits_sha256"],
        rows={**data["rows"], "test": test_rows},
        weights=data["weights"],
        backend=data["backend"],
        versions=data["versions"],
    )


def _predict(models: Mapping[str, Any], modality: str, array: npt.NDArray[Any]) -> Outputs:
    """Give embedding and probabilities of every row by the classifier of one modality."""
    outputs: Outputs = models[f"{modality}_classifier"].predict(array, batch_size=256, verbose=0)
    return outputs


def _answer(models: Mapping[str, Any], outputs: Mapping[str, Outputs], present: Mapping[str, Flags]) -> list[Answers]:
    """Give the answers of the fusion classifier to each set of inputs, all of them first, and of the other classifiers."""
    answers = []
    for inputs, presence in PRESENCES.items():
        rows, image_flags, title_flags = presence_view(present["image"], present["title"], *presence)
        image, title = (outputs[name]["EMBEDDING"][rows] for name in ("image", "title"))
        tensors = fusion_inputs(image, title, image_flags, title_flags)
        probabilities = models["fusion_classifier"].predict(tensors, batch_size=1024, verbose=0)["PROBABILITIES"]
        answers.append(Answers("fusion_classifier", inputs, rows, probabilities))
    for name, flags in present.items():
        rows = np.flatnonzero(flags)
        answers.append(Answers(f"{name}_classifier", NOUNS[name], rows, outputs[name]["PROBABILITIES"][rows]))
    return [each for each in answers if len(each.rows)]


def _measure_disturbed(
    models: Mapping[str, Any],
    encoded: Mapping[str, npt.NDArray[Any]],
    outputs: Mapping[str, Outputs],
    present: Mapping[str, Flags],
    test: LabelledProducts,
    tokenizer: TitleTokenizer,
    clean: Sequence[Answers],
) -> list[Figures]:
    """Measure what disturbing one input does to its own classifier, and to fusion with all inputs."""
    complete = np.flatnonzero(np.logical_and.reduce(list(present.values())))
    if not len(complete):
        return []
    rows = np.sort(np.random.default_rng(0).permutation(complete)[:DISTURBED_ROWS])
    sample = {name: {key: array[rows] for key, array in each.items()} for name, each in outputs.items()}
    titles = [test.titles[row] for row in rows]
    disturbed: list[tuple[str, str, Callable[[], npt.NDArray[Any]]]] = [
        *(("image", name, partial(change, encoded["image"][rows])) for name, change in PICTURE_DISTURBANCES.items()),
        *(
            ("title", name, partial(_mistyped, tokenizer, change, titles))
            for name, change in TITLE_DISTURBANCES.items()
        ),
    ]
    figures = []
    for modality, condition, make in disturbed:
        changed = {**sample, modality: _predict(models, modality, make())}
        flags = {name: np.ones(len(rows), dtype=np.bool_) for name in sample}
        for answers in _answer(models, changed, flags):
            if answers.model == f"{modality}_classifier" or answers.inputs == next(iter(PRESENCES)):
                before = next(e for e in clean if (e.model, e.inputs) == (answers.model, answers.inputs))
                here = dataclasses.replace(answers, rows=rows[answers.rows])
                figures.append(measure(here, test.labels, condition, before))
    return figures


def _mistyped(
    tokenizer: TitleTokenizer, change: Callable[[Sequence[str]], list[str]], titles: Sequence[str]
) -> npt.NDArray[np.int32]:
    return tokenizer.encode(change(titles))


def _measure_baselines(train: LabelledProducts, test: LabelledProducts, classes: int) -> list[Figures]:
    """Measure what a network has to beat."""
    most_frequent = np.full(len(test), np.bincount(train.labels).argmax())
    figures = [measure_classes("most frequent category", "nothing", most_frequent, test.labels, classes)]
    texts, labels = zip(*[(part.titles, part.labels) for part in (train, test)], strict=True)
    titled = [np.flatnonzero(part.title_present) for part in (train, test)]
    if all(map(len, titled)):
        given = [[text[row] for row in rows] for text, rows in zip(texts, titled, strict=True)]
        predicted = predict_with_linear_svm(given[0], labels[0][titled[0]], given[1])
        figures.append(measure_classes("TF-IDF + linear SVM", "title", predicted, labels[1][titled[1]], classes))
    return figures
