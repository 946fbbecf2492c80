"""Add a category to a trained run from five examples or more, and measure what that costs the learnt ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from aisle_training.catalogue.catalogue import Catalogue, Product
from aisle_training.catalogue.splits import read_split
from aisle_training.categories.added import read_added, write_added
from aisle_training.categories.prototypes import Examples, PrototypeWeights, fit_prototypes
from aisle_training.classifier_training import SplitInputs
from aisle_training.datasets import LabelledProducts, Progress, no_progress, select_split
from aisle_training.fusion_training import FusionRows, embed_split
from aisle_training.modalities.encoder import Encoder
from aisle_training.modalities.registry import create_encoders
from aisle_training.models.extended_classifier import extend_classifier
from aisle_training.presence import list_presences, rows_with
from aisle_training.recipes.recipe import FUSION
from aisle_training.runs import RunFolder

MINIMUM_EXAMPLES: Final = 5
# Training rows of each learnt category that stand for it.
ANCHORS: Final = 100


# A split as the networks take it, and its embeddings.
Embedded = tuple[SplitInputs, FusionRows]


@dataclass(frozen=True)
class Cost:
    """What added categories cost, for one set of inputs.

    Attributes:
        inputs: What products are judged by, for people.
        rows: Of the validation split.
        accuracy_before: Without any added category.
        accuracy_after: With all of them.
        other_rows: Products of the new category that were not among its examples.
        found: How many of those are given the new category; NaN of none.
    """

    inputs: str
    rows: int
    accuracy_before: float
    accuracy_after: float
    other_rows: int
    found: float


def add_category(
    run: RunFolder,
    catalogue: Catalogue,
    path: tuple[str, ...],
    examples: Sequence[Product],
    others: Sequence[Product] = (),
    on_progress: Progress = no_progress,
) -> list[Cost]:
    """Add a category to a run; `aisle export` then writes classifiers that know it.

    Args:
        run: A complete run.
        catalogue: The one that it was trained on.
        path: Of the new category. One that was added before gets the new examples in place of its own.
        examples: Products of it.
        others: Further products of it, to measure how many are found.
        on_progress: Called with the number of pictures decoded, and of all.

    Returns:
        The cost for each set of inputs.

    Raises:
        ValueError: The category is a learnt one, or has too few examples; or the run is not complete.
        CatalogueError: The catalogue is not the run's.
    """
    labels = run.labels()
    if path in labels:
        raise ValueError(f"the run has learnt {' > '.join(path)} already: categories are added that it does not know")
    encoders, classifiers = _load(run)
    _, rows = _embed(encoders, classifiers, list(examples), on_progress)
    if len(rows.labels) < MINIMUM_EXAMPLES:
        raise ValueError(
            f"{len(rows.labels)} of {len(examples)} examples have anything that can be read, expected {MINIMUM_EXAMPLES} or more"
        )
    before = read_added(run)
    kept = [category for category in before.categories if category.path != path] if before else []
    categories = [*kept, Examples(path, rows.embeddings, rows.present)]
    anchors, validation = _reference_rows(run, catalogue, encoders, classifiers, labels, on_progress)
    weights = fit_prototypes(anchors, len(labels), categories)
    found = _embed(encoders, classifiers, list(others), on_progress) if others else None
    costs = _measure(run, encoders, classifiers, weights, validation, found)
    write_added(run, categories, weights)
    return costs


def remove_category(run: RunFolder, catalogue: Catalogue, path: tuple[str, ...]) -> None:
    """Take an added category away again.

    Raises:
        ValueError: It was not added.
        CatalogueError: The catalogue is not the run's.
    """
    added = read_added(run)
    if added is None or path not in added.paths:
        raise ValueError(f"{' > '.join(path)} was not added to {run.path}")
    categories = [category for category in added.categories if category.path != path]
    if not categories:
        write_added(run, [], None)
        return
    encoders, classifiers = _load(run)
    labels = run.labels()
    anchors, _ = _reference_rows(run, catalogue, encoders, classifiers, labels, no_progress)
    write_added(run, categories, fit_prototypes(anchors, len(labels), categories))


def _load(run: RunFolder) -> tuple[list[Encoder], dict[str, Any]]:
    encoders = create_encoders(run.recipe(), run.path)
    return encoders, {encoder.name: run.load_classifier(encoder.classifier) for encoder in encoders}


def _embed(
    encoders: Sequence[Encoder],
    classifiers: Mapping[str, Any],
    products: list[Product],
    on_progress: Progress,
    labels: npt.NDArray[np.int32] | None = None,
) -> Embedded:
    labels = np.zeros(len(products), np.int32) if labels is None else labels
    encoded = {encoder.name: encoder.encode(products, on_progress) for encoder in encoders}
    inputs = SplitInputs(labels, encoded)
    return inputs, embed_split(classifiers, inputs)


def _reference_rows(
    run: RunFolder,
    catalogue: Catalogue,
    encoders: Sequence[Encoder],
    classifiers: Mapping[str, Any],
    labels: Sequence[tuple[str, ...]],
    on_progress: Progress,
) -> tuple[FusionRows, Embedded]:
    """Give training rows that stand for the learnt categories, and the validation split."""
    products, split_by_id = catalogue.products(), read_split(run.split_path, catalogue)
    train, validation = (select_split(products, split_by_id, split, labels) for split in ("train", "validation"))
    order = np.random.default_rng(run.recipe().seed).permutation(len(train))
    chosen = np.concatenate([order[train.labels[order] == label][:ANCHORS] for label in range(len(labels))])
    some = LabelledProducts([train.products[row] for row in chosen], train.labels[chosen])
    _, anchors = _embed(encoders, classifiers, some.products, on_progress, some.labels)
    return anchors, _embed(encoders, classifiers, validation.products, on_progress, validation.labels)


def _measure(
    run: RunFolder,
    encoders: Sequence[Encoder],
    classifiers: Mapping[str, Any],
    weights: PrototypeWeights,
    validation: Embedded,
    others: Embedded | None,
) -> list[Cost]:
    """Measure every set of inputs by the model that clients ask: fusion, or the classifier of the only modality."""
    learnt, (first, *further) = len(run.labels()), encoders
    model = run.load_classifier(FUSION) if further else classifiers[first.name]
    extended = extend_classifier(model, weights, None if further else first.name)

    def probabilities(part: Embedded, names: tuple[str, ...]) -> npt.NDArray[Any]:
        inputs, rows = part
        array = rows.view(names)[0] if further else inputs.encoded[first.name].array[inputs.encoded[first.name].present]
        return np.asarray(extended.predict(array, batch_size=256, verbose=0)["PROBABILITIES"])

    costs = []
    for given, names in list_presences({encoder.name: encoder.noun for encoder in encoders}).items():
        chosen = rows_with(validation[1].present, names)
        if not len(chosen):
            continue
        answers, truth = probabilities(validation, names), validation[1].labels[chosen]
        there = len(rows_with(others[1].present, names)) if others is not None else 0
        found = float("nan")
        if others is not None and there:
            # The category that is being added is the last.
            found = float(np.mean(probabilities(others, names).argmax(axis=1) == answers.shape[1] - 1))
        before, after = answers[:, :learnt].argmax(axis=1), answers.argmax(axis=1)
        costs.append(
            Cost(given, len(chosen), float(np.mean(before == truth)), float(np.mean(after == truth)), there, found)
        )
    return costs
