"""Evaluate a run on its test split: clean and disturbed inputs, with and without each of them, beside simple baselines."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np

from aisle_training.answered_split import AnsweredSplit
from aisle_training.catalogue.catalogue import Product
from aisle_training.category_words import mask_category_words
from aisle_training.evaluation.baselines import measure_baselines
from aisle_training.evaluation.disturbances import PICTURE_DISTURBANCES, TEXT_DISTURBANCES
from aisle_training.evaluation.evaluation import Evaluation, Figures, Origin
from aisle_training.evaluation.measuring import break_down, measure
from aisle_training.evaluation.training_cost import read_training_cost
from aisle_training.modalities.encoder import Encoded, Encoder
from aisle_training.modalities.image import ImageEncoder
from aisle_training.modalities.text import TextEncoder
from aisle_training.presence import rows_with
from aisle_training.runs import RunFolder

# Enough to see a point of difference, few enough to be asked again for each disturbance.
DISTURBED_ROWS: Final = 2000


def evaluate(run: RunFolder, split: AnsweredSplit) -> Evaluation:
    """Measure a run's classifiers, as they will be exported, on its test split.

    A row that lacks an input is left out of the figures that use this input. Disturbed inputs are measured on a draw of
    `DISTURBED_ROWS` rows.

    Args:
        run: A run that is trained to its end.
        split: Its test split, answered.

    Returns:
        The figures.
    """
    started_s = time.monotonic()
    test, product_ids = split.test, [product.id for product in split.test.products]
    return Evaluation(
        origin=read_origin(run, len(test)),
        classes=list(split.classes),
        figures=[
            *(measure(each, test.labels) for each in split.answers),
            *_measure_disturbed(split),
            *measure_baselines(split),
        ],
        breakdowns=[break_down(each, test.labels, product_ids) for each in split.answers],
        training={
            name: read_training_cost(run, name, model.count_params())
            for name, model in split.classifiers.models.items()
        },
        seconds=split.seconds + time.monotonic() - started_s,
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


def _measure_disturbed(split: AnsweredSplit) -> Iterator[Figures]:
    """Measure what disturbing one input does to its own classifier, and to fusion with all inputs."""
    classifiers, test = split.classifiers, split.test
    complete = rows_with({name: each.present for name, each in split.outputs.items()}, list(split.outputs))
    if not len(complete):
        return
    rows = np.sort(np.random.default_rng(0).permutation(complete)[:DISTURBED_ROWS])
    products = [test.products[row] for row in rows]
    sample = {name: each[rows] for name, each in split.outputs.items()}
    before = {(each.model, each.inputs): each for each in split.answers}
    for encoder in classifiers.encoders:
        for condition, disturbed in _disturb(encoder, products, split.encoded[encoder.name][rows]):
            changed = {**sample, encoder.name: classifiers.predict(encoder, disturbed)}
            for answers in classifiers.answer(changed):
                if answers.model == encoder.classifier or answers.inputs == classifiers.all_inputs:
                    here = dataclasses.replace(answers, rows=rows[answers.rows])
                    yield measure(here, test.labels, condition, before[answers.model, answers.inputs])


def _disturb(encoder: Encoder, products: Sequence[Product], encoded: Encoded) -> Iterator[tuple[str, Encoded]]:
    """Give the rows of one modality in each of its conditions; a modality that no disturbance is known for has none."""
    if isinstance(encoder, ImageEncoder):
        for condition, change in PICTURE_DISTURBANCES.items():
            yield f"{encoder.noun} {condition}", Encoded(change(encoded.array), encoded.present)
    elif isinstance(encoder, TextEncoder):
        texts = [encoder.text(product) for product in products]
        disturbed = {condition: change_texts(texts) for condition, change_texts in TEXT_DISTURBANCES.items()}
        paths = [product.category for product in products]
        disturbed["without category words"] = list(map(mask_category_words, texts, paths))
        for condition, changed in disturbed.items():
            fields: list[dict[str, Any]] = [{encoder.recipe.field: text} for text in changed]
            pairs = zip(products, fields, strict=True)
            yield f"{encoder.noun} {condition}", encoder.encode([dataclasses.replace(one, **new) for one, new in pairs])
