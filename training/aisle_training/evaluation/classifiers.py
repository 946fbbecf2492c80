"""The trained classifiers of a run, asked with every set of inputs that they can be asked with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aisle_training.batches import fusion_inputs
from aisle_training.datasets import Flags
from aisle_training.evaluation.measuring import Answers
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
