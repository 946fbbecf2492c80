"""Measure what a network has to beat: linear models, alone and together, and saying the same of every product."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from aisle_training.answered_split import AnsweredSplit
from aisle_training.baselines import Scores, score_pictures, score_texts
from aisle_training.datasets import Flags, decode_pictures
from aisle_training.evaluation.evaluation import Figures
from aisle_training.evaluation.measuring import measure_classes
from aisle_training.fusion_weights import fit_vote_weights
from aisle_training.modalities.encoder import Encoder
from aisle_training.modalities.image import ImageEncoder
from aisle_training.modalities.text import TextEncoder
from aisle_training.presence import list_presences, rows_with

THUMBNAIL_SIDE: Final = 16


@dataclass(frozen=True)
class _Scored:
    """What the linear model of one modality says of the validation split and, after it, of the test split.

    Attributes:
        model: What it is.
        scores: [rows, classes]; zero in rows that lack the modality.
        present: Which rows have it, [rows].
    """

    model: str
    scores: Scores
    present: Flags


def measure_baselines(split: AnsweredSplit) -> Iterator[Figures]:
    """Measure the baselines on a test split; they are fitted on the training split.

    Yields:
        The linear model of each modality that has one, over the rows that have the modality; where there are several, what
        they say together, weighted on the validation split; and the most frequent category.
    """
    test, classes, first = split.test, len(split.classes), len(split.validation)
    labels = np.concatenate([split.validation.labels, test.labels])
    nouns = {encoder.name: encoder.noun for encoder in split.classifiers.encoders}
    found = {encoder.name: _score(encoder, split) for encoder in split.classifiers.encoders}
    models = {name: scored for name, scored in found.items() if scored is not None}
    for name, scored in models.items():
        rows = np.flatnonzero(scored.present)
        rows = rows[rows >= first]
        if len(rows):
            yield measure_classes(scored.model, nouns[name], scored.scores[rows].argmax(axis=1), labels[rows], classes)
    if len(models) > 1:
        complete = rows_with({name: scored.present for name, scored in models.items()}, list(models))
        fitted, rows = complete[complete < first], complete[complete >= first]
        if len(fitted) and len(rows):
            scores = np.stack([scored.scores for scored in models.values()])
            weights = fit_vote_weights(scores[:, fitted], labels[fitted])
            predicted = np.tensordot(weights, scores[:, rows], axes=1).argmax(axis=1)
            inputs = next(iter(list_presences({name: nouns[name] for name in models})))
            yield measure_classes("linear models together", inputs, predicted, labels[rows], classes)
    most_frequent = np.full(len(test), np.bincount(split.train.labels).argmax())
    yield measure_classes("most frequent category", "nothing", most_frequent, test.labels, classes)


def _score(encoder: Encoder, split: AnsweredSplit) -> _Scored | None:
    """Fit the linear model of a modality; None where it has none, or no rows."""
    train, held_out, classes = split.train, [*split.validation.products, *split.test.products], len(split.classes)
    if isinstance(encoder, TextEncoder):
        model = "TF-IDF + linear SVM"
        known, present = (np.array([encoder.has(each) for each in part]) for part in (train.products, held_out))
        texts, others = (
            [encoder.text(each) for each in part if encoder.has(each)] for part in (train.products, held_out)
        )
        scored = score_texts(texts, train.labels[known], others, classes) if texts and others else None
    elif isinstance(encoder, ImageEncoder):
        model = f"linear model on {THUMBNAIL_SIDE}x{THUMBNAIL_SIDE} thumbnails"
        pixels, known = decode_pictures(train.products, THUMBNAIL_SIDE)
        unseen, present = decode_pictures(held_out, THUMBNAIL_SIDE)
        there = known.any() and present.any()
        scored = score_pictures(pixels[known], train.labels[known], unseen[present], classes) if there else None
    else:
        return None
    if scored is None:
        return None
    scores = np.zeros((len(held_out), classes))
    scores[present] = scored
    return _Scored(model, scores, present)
