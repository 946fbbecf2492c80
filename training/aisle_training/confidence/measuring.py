"""Measure the confidence of a run: on its test split, and on products of no known class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from aisle_training.answered_split import AnsweredSplit
from aisle_training.confidence.familiarity import Familiarity
from aisle_training.confidence.figures import (
    ConfidenceFigures,
    measure_decisions,
    measure_levels,
    measure_out_of_class,
)
from aisle_training.confidence.hierarchy import Hierarchy, Path
from aisle_training.confidence.judging import judge
from aisle_training.confidence.rules import DecisionRules, rules_from_json
from aisle_training.confidence.unknown_products import LEFT_OUT, foreign_titles, left_out, no_pictures
from aisle_training.datasets import Progress, no_progress
from aisle_training.modalities.encoder import Encoded
from aisle_training.modalities.image import ImageEncoder
from aisle_training.modalities.text import TextEncoder
from aisle_training.runs import RunFolder


def measure_confidence(run: RunFolder, split: AnsweredSplit, on_progress: Progress = no_progress) -> ConfidenceFigures:
    """Measure coverage and decisions on the test split, and what becomes of products of no known class.

    Args:
        run: A run that is trained to its end. Without decision rules, only coverage is measured.
        split: Its test split, answered.
        on_progress: Called with the number of unknown products whose pictures are decoded, and of all.

    Returns:
        The figures.
    """
    classifiers, hierarchy = split.classifiers, Hierarchy(split.classes)
    rules, familiarity = read_confidence(run)
    figures = ConfidenceFigures()
    known = {}
    for model, by_mask in judge(classifiers, split.outputs, split.answers, split.test.labels, familiarity).items():
        for mask, judged in by_mask.items():
            known[model, mask] = judged.familiarity
            figures.levels.extend(measure_levels(model, mask, judged, hierarchy, rules.get(model)))
            if model in rules:
                figures.decisions.extend(measure_decisions(model, mask, judged, hierarchy, rules[model]))
    for unknown in _unknown_products(split, on_progress) if rules else ():
        outputs = classifiers.ask(unknown.encoded)
        # The label of an unknown product is its place among them.
        places = np.arange(len(next(iter(outputs.values())).present), dtype=np.int32)
        for model, by_mask in judge(classifiers, outputs, classifiers.answer(outputs), places, familiarity).items():
            for mask, judged in by_mask.items():
                if model in rules and (model, mask) in known:
                    categories = unknown.categories
                    figures.out_of_class.extend(
                        measure_out_of_class(
                            unknown.source,
                            model,
                            mask,
                            judged.probabilities,
                            hierarchy,
                            rules[model],
                            familiarity=judged.familiarity,
                            known_familiarity=known[model, mask],
                            categories=[categories[row] for row in judged.labels] if categories else None,
                        )
                    )
    return figures


def read_confidence(run: RunFolder) -> tuple[dict[str, DecisionRules], Familiarity | None]:
    """Read what `fit_confidence` wrote; no rules and no familiarity where a run has none."""
    if not run.decisions_path.is_file():
        return {}, None
    return rules_from_json(run.decisions_path.read_text(encoding="utf-8")), Familiarity.load(run.familiarity_path)


@dataclass(frozen=True)
class _Unknown:
    """Products of no known class: what they are, how the networks take them, and their categories, if they have any."""

    source: str
    encoded: Mapping[str, Encoded]
    categories: Sequence[Path] | None = None


def _unknown_products(split: AnsweredSplit, on_progress: Progress) -> Iterator[_Unknown]:
    others, known, encoders = left_out(split.products, split.classes), split.test.products, split.classifiers.encoders
    if others:
        encoded = {encoder.name: encoder.encode(others, on_progress) for encoder in encoders}
        yield _Unknown(LEFT_OUT, encoded, [each.category for each in others])
    for encoder in encoders:
        if isinstance(encoder, TextEncoder):
            source, texts = foreign_titles([encoder.text(each) for each in known if encoder.has(each)])
            made = [replace(known[0], title=text, description=text, attributes={}, picture=None) for text in texts]
            yield _Unknown(source, _alone(encoder.name, encoder.encode(made), split.encoded))
        if isinstance(encoder, ImageEncoder):
            for source, pixels in no_pictures(encoder.recipe.picture_size):
                encoded_pixels = Encoded(pixels, np.ones(len(pixels), np.bool_))
                yield _Unknown(source, _alone(encoder.name, encoded_pixels, split.encoded))


def _alone(name: str, encoded: Encoded, others: Mapping[str, Encoded]) -> dict[str, Encoded]:
    """Give rows that have one modality and lack all others, which are shaped like those of other products."""
    rows = len(encoded.present)
    return {
        other: Encoded(np.zeros((rows, *like.array.shape[1:]), like.array.dtype), np.zeros(rows, np.bool_))
        for other, like in others.items()
    } | {name: encoded}
