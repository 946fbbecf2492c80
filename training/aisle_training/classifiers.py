"""The trained classifiers of a run, asked with every set of inputs that they can be asked with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aisle_training.batches import fusion_inputs
from aisle_training.datasets import Flags
from aisle_training.metrics import Probabilities
from aisle_training.modalities.encoder import Encoded, Encoder
from aisle_training.modalities.registry import create_encoders
from aisle_training.presence import list_presences, rows_with
from aisle_training.recipes.recipe import FUSION
from aisle_training.runs import RunFolder


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


@dataclass(frozen=True, slots=True)
class Answers:
    """What a classifier makes of rows.

    Attributes:
        model: The classifier.
        inputs: What it was given, as people call it.
        rows: Numbers of the rows in what was asked about, [answers].
        probabilities: Calibrated, [answers, classes].
    """

    model: str
    inputs: str
    rows: npt.NDArray[np.int64]
    probabilities: Probabilities

    @property
    def predicted(self) -> npt.NDArray[np.int64]:
        """The most probable class of each row, [answers]."""
        return np.asarray(self.probabilities.argmax(axis=1))


class Classifiers:
    """The trained classifiers of a run.

    Args:
        encoders: Of the modalities, in the order of the recipe.
        models: By name, in the order in which they were trained.

    Attributes:
        encoders: The same.
        models: The same.
        modalities: For each set of inputs that `Answers` names, the modalities that it is.
    """

    def __init__(self, encoders: Sequence[Encoder], models: Mapping[str, Any]) -> None:
        self.encoders = list(encoders)
        self.models = dict(models)
        self._masks = list_presences({encoder.name: encoder.noun for encoder in encoders})
        self.modalities = self._masks | {encoder.noun: (encoder.name,) for encoder in encoders}

    @classmethod
    def load(cls, run: RunFolder) -> Classifiers:
        """Load the classifiers of a run.

        Raises:
            ValueError: The run is not complete.
        """
        recipe = run.recipe()
        return cls(create_encoders(recipe, run.path), {name: run.load_classifier(name) for name in recipe.classifiers})

    @property
    def all_inputs(self) -> str:
        """All modalities, as people call them: "picture and title"."""
        return next(iter(self._masks))

    def ask(self, encoded: Mapping[str, Encoded]) -> dict[str, Outputs]:
        """Ask the classifier of each modality about every row; `encoded` has the same rows by modality."""
        return {encoder.name: self.predict(encoder, encoded[encoder.name]) for encoder in self.encoders}

    def predict(self, encoder: Encoder, encoded: Encoded) -> Outputs:
        """Ask the classifier of one modality about every row."""
        outputs = self.models[encoder.classifier].predict(encoded.array, batch_size=256, verbose=0)
        return Outputs(np.asarray(outputs["EMBEDDING"]), np.asarray(outputs["PROBABILITIES"]), encoded.present)

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
