"""Evaluate a run on its test split: clean and disturbed inputs, with and without each of them, beside simple baselines."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from aisle_training.baselines import predict_with_linear_svm
from aisle_training.batches import fusion_inputs
from aisle_training.catalogue.catalogue import Catalogue
from aisle_training.catalogue.splits import read_split
from aisle_training.datasets import Flags, LabelledProducts, Labels, Progress, no_progress, select_split
from aisle_training.evaluation.disturbances import PICTURE_DISTURBANCES, TITLE_DISTURBANCES
from aisle_training.evaluation.evaluation import Evaluation, Figures, Origin
from aisle_training.evaluation.measuring import Answers, break_down, measure, measure_classes
from aisle_training.evaluation.training_cost import read_training_cost
from aisle_training.modalities.encoder import Encoded, Encoder
from aisle_training.modalities.image import ImageEncoder
from aisle_training.modalities.registry import create_encoders
from aisle_training.modalities.text import TextEncoder
from aisle_training.presence import list_presences, rows_with
from aisle_training.recipes.recipe import FUSION
from aisle_training.runs import RunFolder

# Enough to see a point of difference, few enough to be asked again for each disturbance.
DISTURBED_ROWS: Final = 2000


@dataclass(frozen=True)
class Outputs:
    """What the classifier of one modality makes of rows.

    Attributes:
        embeddings: float32 [rows, size].
        probabilities: float32 [rows, classes].
        present: Which rows have the modality, [rows]; what the others hold says nothing.
    """

    embeddings: npt.NDArray[np.float32]
    probabilities: npt.NDArray[np.float32]
    present: Flags

    def __getitem__(self, rows: npt.NDArray[np.int64]) -> Outputs:
        return Outputs(self.embeddings[rows], self.probabilities[rows], self.present[rows])


class Classifiers:
    """The trained classifiers of a run.

    Args:
        run: A run that is trained to its end.

    Attributes:
        encoders: Of the modalities, in the order of the recipe.
        models: By name, in the order in which they were trained.

    Raises:
        ValueError: The run is not complete.
    """

    def __init__(self, run: RunFolder) -> None:
        recipe = run.recipe()
        self.encoders: list[Encoder] = create_encoders(recipe, run.path)
        self.models: dict[str, Any] = {name: run.load_classifier(name) for name in recipe.classifiers}
        self._masks = list_presences({encoder.name: encoder.noun for encoder in self.encoders})

    @property
    def all_inputs(self) -> str:
        """All modalities, as people call them: "picture and title"."""
        return next(iter(self._masks))

    def predict(self, encoder: Encoder, encoded: Encoded) -> Outputs:
        """Ask the classifier of one modality about every row."""
        outputs = self.models[encoder.classifier].predict(encoded.array, batch_size=256, verbose=0)
        return Outputs(outputs["EMBEDDING"], outputs["PROBABILITIES"], encoded.present)

    def answer(self, outputs: Mapping[str, Outputs]) -> list[Answers]:
        """Give the answers to each set of inputs, all of them first, and of the classifier of each modality.

        Args:
            outputs: By modality, of the same rows.

        Returns:
            For each model and set of inputs the answers to the rows that have these inputs, where there are any.
        """
        answers = []
        present = {name: each.present for name, each in outputs.items()}
        for inputs, names in self._masks.items() if FUSION in self.models else ():
            rows = rows_with(present, names)
            tensors = fusion_inputs(
                {name: each.embeddings[rows] for name, each in outputs.items()},
                {name: np.full(len(rows), name in names) for name in outputs},
            )
            if len(rows):
                probabilities = self.models[FUSION].predict(tensors, batch_size=1024, verbose=0)["PROBABILITIES"]
                answers.append(Answers(FUSION, inputs, rows, probabilities))
        for encoder in self.encoders:
            rows = np.flatnonzero(present[encoder.name])
            if len(rows):
                probabilities = outputs[encoder.name].probabilities[rows]
                answers.append(Answers(encoder.classifier, encoder.noun, rows, probabilities))
        return answers


def evaluate(run: RunFolder, catalogue: Catalogue, on_progress: Progress = no_progress) -> Evaluation:
    """Measure a run's classifiers, as they will be exported, on its test split.

    A row that lacks an input is left out of the figures that use this input. Disturbed inputs are measured on a draw of
    `DISTURBED_ROWS` rows.

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
    classes, classifiers = run.labels(), Classifiers(run)
    products = catalogue.products()
    split_by_id = read_split(run.split_path, catalogue)
    train, test = (select_split(products, split_by_id, split, classes) for split in ("train", "test"))
    encoded = {encoder.name: encoder.encode(test.products, on_progress) for encoder in classifiers.encoders}
    outputs = {encoder.name: classifiers.predict(encoder, encoded[encoder.name]) for encoder in classifiers.encoders}
    answers = classifiers.answer(outputs)
    if not answers:
        raise ValueError("no product of the test split has any of the inputs that the run was trained on")
    return Evaluation(
        origin=read_origin(run, len(test)),
        classes=classes,
        figures=[
            *(measure(each, test.labels) for each in answers),
            *_measure_disturbed(classifiers, test, encoded, outputs, answers),
            *_measure_baselines(classifiers.encoders, train, test, len(classes)),
        ],
        breakdowns=[break_down(each, test.labels, [product.id for product in test.products]) for each in answers],
        training={
            name: read_training_cost(run, name, model.count_params()) for name, model in classifiers.models.items()
        },
        seconds=time.monotonic() - started_s,
    )


def read_origin(run: RunFolder, test_rows: int) -> Origin:
    """Say what a run was made from."""
    data = run.data()
    return Origin(
        recipe=json.loads(run.recipe().to_json()),
        catalogue_sha256=data["catalogue_sha256"],
        split_sha256=json.loads(run.split_path.with_suffix(".json").read_text(encoding="utf-8"))["splits_sha256"],
        rows={**data["rows"], "test": test_rows},
        weights=data["weights"],
        backend=data["backend"],
        versions=data["versions"],
    )


def _measure_disturbed(
    classifiers: Classifiers,
    test: LabelledProducts,
    encoded: Mapping[str, Encoded],
    outputs: Mapping[str, Outputs],
    clean: Sequence[Answers],
) -> Iterator[Figures]:
    """Measure what disturbing one input does to its own classifier, and to fusion with all inputs."""
    complete = rows_with({name: each.present for name, each in outputs.items()}, list(outputs))
    if not len(complete):
        return
    rows = np.sort(np.random.default_rng(0).permutation(complete)[:DISTURBED_ROWS])
    sample = {name: each[rows] for name, each in outputs.items()}
    before = {(each.model, each.inputs): each for each in clean}
    for encoder in classifiers.encoders:
        for condition, disturbed in _disturb(
            encoder, [test.products[row] for row in rows], encoded[encoder.name][rows]
        ):
            changed = {**sample, encoder.name: classifiers.predict(encoder, disturbed)}
            for answers in classifiers.answer(changed):
                if answers.model == encoder.classifier or answers.inputs == classifiers.all_inputs:
                    here = dataclasses.replace(answers, rows=rows[answers.rows])
                    yield measure(here, test.labels, condition, before[answers.model, answers.inputs])


def _disturb(encoder: Encoder, products: Sequence[Any], encoded: Encoded) -> Iterator[tuple[str, Encoded]]:
    """Give the rows of one modality in each of its conditions; a modality that no disturbance is known for has none."""
    if isinstance(encoder, ImageEncoder):
        for condition, blur in PICTURE_DISTURBANCES.items():
            yield f"{encoder.noun} {condition}", Encoded(blur(encoded.array), encoded.present)
    elif isinstance(encoder, TextEncoder):
        texts = [encoder.text(product) for product in products]
        for condition, spoil in TITLE_DISTURBANCES.items():
            token_ids = encoder.tokenizer.encode(spoil(texts))
            yield f"{encoder.noun} {condition}", Encoded(token_ids, np.any(token_ids != 0, axis=1))


def _measure_baselines(
    encoders: Sequence[Encoder], train: LabelledProducts, test: LabelledProducts, classes: int
) -> Iterator[Figures]:
    """Measure what a network has to beat: the linear SVM on each text, and saying the same of every product."""
    for encoder in encoders:
        if isinstance(encoder, TextEncoder):
            (train_texts, train_labels), (texts, labels) = (_given_texts(encoder, part) for part in (train, test))
            if texts:
                predicted = predict_with_linear_svm(train_texts, train_labels, texts)
                yield measure_classes("TF-IDF + linear SVM", encoder.noun, predicted, labels, classes)
    most_frequent = np.full(len(test), np.bincount(train.labels).argmax())
    yield measure_classes("most frequent category", "nothing", most_frequent, test.labels, classes)


def _given_texts(encoder: TextEncoder, part: LabelledProducts) -> tuple[list[str], Labels]:
    chosen = [row for row, product in enumerate(part.products) if encoder.has(product)]
    return [encoder.text(part.products[row]) for row in chosen], part.labels[chosen]
