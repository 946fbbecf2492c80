"""Measure the confidence of a run: on its test split, and on products of no known class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from aisle_training.catalogue.catalogue import Catalogue, Product
from aisle_training.catalogue.splits import read_split
from aisle_training.classifier_training import SplitInputs
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
from aisle_training.confidence.unknown_products import foreign_titles, left_out, no_pictures
from aisle_training.datasets import Labels, Progress, no_progress, select_split
from aisle_training.modalities.encoder import Encoded, Encoder
from aisle_training.modalities.image import ImageEncoder
from aisle_training.modalities.registry import create_encoders
from aisle_training.modalities.text import TextEncoder
from aisle_training.runs import RunFolder


def measure_confidence(run: RunFolder, catalogue: Catalogue, on_progress: Progress = no_progress) -> ConfidenceFigures:
    """Measure coverage and decisions on the test split, and what becomes of products of no known class.

    Args:
        run: A run that is trained to its end. Without decision rules, only coverage is measured.
        catalogue: The catalogue that it was trained on.
        on_progress: Called with the number of products whose pictures are decoded, and of all.

    Returns:
        The figures.

    Raises:
        ValueError: The run is not complete, or its test split is empty.
        CatalogueError: The catalogue is not the one that the run was trained on.
    """
    recipe, classes = run.recipe(), run.labels()
    encoders = create_encoders(recipe, run.path)
    models = {name: run.load_classifier(name) for name in recipe.classifiers}
    products = catalogue.products()
    test = select_split(products, read_split(run.split_path, catalogue), "test", classes)
    rules, familiarity = read_confidence(run)
    hierarchy = Hierarchy(classes)
    encoded = {encoder.name: encoder.encode(test.products, on_progress) for encoder in encoders}
    figures = ConfidenceFigures()
    known = {}
    for model, by_mask in judge(encoders, models, SplitInputs(test.labels, encoded), familiarity).items():
        for mask, judged in by_mask.items():
            if not len(judged.labels):
                continue
            known[model, mask] = judged.familiarity
            figures.levels.extend(measure_levels(model, mask, judged, hierarchy, rules.get(model)))
            if model in rules:
                figures.decisions.extend(measure_decisions(model, mask, judged, hierarchy, rules[model]))
    for source, inputs, categories in _unknown(
        encoders, left_out(products, classes), test.products, encoded, on_progress
    ):
        for model, by_mask in judge(encoders, models, inputs, familiarity).items():
            for mask, judged in by_mask.items():
                if len(judged.labels) and model in rules and (model, mask) in known:
                    figures.out_of_class.extend(
                        measure_out_of_class(
                            source,
                            model,
                            mask,
                            judged.probabilities,
                            hierarchy,
                            rules[model],
                            familiarity=judged.familiarity,
                            known_familiarity=known[model, mask],
                            # The label of an unknown product is its place among them.
                            categories=[categories[row] for row in judged.labels] if categories else None,
                        )
                    )
    return figures


def read_confidence(run: RunFolder) -> tuple[dict[str, DecisionRules], Familiarity | None]:
    """Read what `fit_confidence` wrote; no rules and no familiarity where a run has none."""
    if not run.decisions_path.is_file():
        return {}, None
    return rules_from_json(run.decisions_path.read_text(encoding="utf-8")), Familiarity.load(run.familiarity_path)


def _unknown(
    encoders: Sequence[Encoder],
    others: Sequence[Product],
    known: Sequence[Product],
    known_encoded: Mapping[str, Encoded],
    on_progress: Progress,
) -> Iterator[tuple[str, SplitInputs, list[Path] | None]]:
    """Give what the unknown products are, these encoded, and their categories, if they have any."""
    if others:
        encoded = {encoder.name: encoder.encode(others, on_progress) for encoder in encoders}
        yield "categories left out", SplitInputs(_places(len(others)), encoded), [each.category for each in others]
    for encoder in encoders:
        if isinstance(encoder, TextEncoder):
            source, texts = foreign_titles([encoder.text(each) for each in known if encoder.has(each)])
            made = [replace(known[0], title=text, description=text, attributes={}, picture=None) for text in texts]
            yield source, _alone(encoder.name, encoder.encode(made), known_encoded), None
        if isinstance(encoder, ImageEncoder):
            for source, pixels in no_pictures(encoder.recipe.picture_size):
                yield source, _alone(encoder.name, Encoded(pixels, np.ones(len(pixels), np.bool_)), known_encoded), None


def _alone(name: str, encoded: Encoded, others: Mapping[str, Encoded]) -> SplitInputs:
    """Give rows that have one modality and lack all others, which are shaped like those of other products."""
    rows = len(encoded.present)
    inputs = {
        other: Encoded(np.zeros((rows, *like.array.shape[1:]), like.array.dtype), np.zeros(rows, np.bool_))
        for other, like in others.items()
    }
    return SplitInputs(_places(rows), inputs | {name: encoded})


def _places(rows: int) -> Labels:
    return np.arange(rows, dtype=np.int32)
