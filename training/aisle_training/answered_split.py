"""The test split of a run, read, encoded and answered once, for all that is measured on it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aisle_training.catalogue.catalogue import Catalogue, Product
from aisle_training.catalogue.splits import read_split
from aisle_training.classifiers import Answers, Classifiers, Outputs
from aisle_training.datasets import LabelledProducts, Progress, no_progress, select_split
from aisle_training.modalities.encoder import Encoded
from aisle_training.runs import RunFolder


@dataclass(frozen=True)
class AnsweredSplit:
    """A test split and what the classifiers make of it.

    Attributes:
        classes: Category paths; class i is item i.
        classifiers: Of the run.
        products: The whole catalogue.
        train: The training split.
        validation: The validation split.
        test: The test split; what follows has its rows.
        encoded: By modality.
        outputs: By modality.
        answers: To each set of inputs, see `Classifiers.answer`; there are some.
        seconds: What all this took.
    """

    classes: Sequence[tuple[str, ...]]
    classifiers: Classifiers
    products: Sequence[Product]
    train: LabelledProducts
    validation: LabelledProducts
    test: LabelledProducts
    encoded: Mapping[str, Encoded]
    outputs: Mapping[str, Outputs]
    answers: Sequence[Answers]
    seconds: float


def answer_test_split(run: RunFolder, catalogue: Catalogue, on_progress: Progress = no_progress) -> AnsweredSplit:
    """Encode the test split of a run and ask its classifiers, as they will be exported, about every row.

    Args:
        run: A run that is trained to its end.
        catalogue: The catalogue that it was trained on.
        on_progress: Called with the number of products whose pictures are decoded, and of all.

    Returns:
        The split.

    Raises:
        ValueError: The run is not complete, or its test split is empty.
        CatalogueError: The catalogue is not the one that the run was trained on.
    """
    started_s = time.monotonic()
    classes, classifiers = run.labels(), Classifiers.load(run)
    products = catalogue.products()
    split_by_id = read_split(run.split_path, catalogue)
    train, validation, test = (
        select_split(products, split_by_id, split, classes) for split in ("train", "validation", "test")
    )
    encoded = {encoder.name: encoder.encode(test.products, on_progress) for encoder in classifiers.encoders}
    outputs = classifiers.ask(encoded)
    answers = classifiers.answer(outputs)
    if not answers:
        raise ValueError("no product of the test split has any of the inputs that the run was trained on")
    seconds = time.monotonic() - started_s
    return AnsweredSplit(classes, classifiers, products, train, validation, test, encoded, outputs, answers, seconds)
