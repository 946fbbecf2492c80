"""An evaluation as data: what `aisle evaluate` writes, and `aisle report` and `aisle export` read.

    {
     "version": 2,
     "origin": {...}             recipe, seed, hashes of the catalogue and the split, rows, weights, backend, versions
     "classes": [[...], ...]     category paths; class i is item i
     "figures": [{...}, ...]     a row for each model, inputs and condition, on the test split
     "breakdowns": [{...}, ...]  for each model and inputs: reliability, coverage, classes, confusion, confident errors
     "training": {model: {...}}  parameters, epochs, seconds
     "seconds": 93.2             what the evaluation itself took
    }

A figure that a model cannot have is null: a support vector machine has no confidence.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from aisle_training.metrics import ClassScore, CoveragePoint, ReliabilityBin

VERSION: Final = 2
CLEAN: Final = "as it is"


@dataclass(frozen=True, slots=True)
class Figures:
    """How one model does with one set of inputs, in one condition of them.

    Attributes:
        model: The classifier, or the baseline.
        inputs: What it was given.
        condition: `CLEAN`, or what was done to the inputs.
        rows: Rows of the test split that the figures are over: those that have these inputs, or a draw from them.
        accuracy: Fraction of rows predicted right.
        clean_accuracy: The same model's on the same rows as they are; equal to `accuracy` when the condition is `CLEAN`.
        macro_f1: Mean F1 of the classes.
        weighted_f1: Mean F1 of the classes, each by its number of rows.
        top_3_accuracy: Fraction of rows whose class is among the three most probable; None without confidence.
        top_5_accuracy: The same, among the five most probable.
        expected_calibration_error: In 15 bins, after temperature scaling; None without confidence.
        coverage_at_95: Largest fraction of rows that can be answered with 95 % of the answers right, the threshold
            chosen on these very rows; None without confidence.
        coverage_at_98: The same, with 98 % right.
    """

    model: str
    inputs: str
    condition: str
    rows: int
    accuracy: float
    clean_accuracy: float
    macro_f1: float
    weighted_f1: float
    top_3_accuracy: float | None = None
    top_5_accuracy: float | None = None
    expected_calibration_error: float | None = None
    coverage_at_95: float | None = None
    coverage_at_98: float | None = None


@dataclass(frozen=True, slots=True)
class ConfidentError:
    """A product that was put into a wrong category with confidence.

    Attributes:
        product_id: The shop's own.
        label: The class that the catalogue gives it.
        predicted: The class that the model gives it.
        confidence: The probability of the predicted class.
        rank: The place of the catalogue's class among the model's, from 2.
    """

    product_id: str
    label: int
    predicted: int
    confidence: float
    rank: int


@dataclass(frozen=True, slots=True)
class Breakdown:
    """Where one model errs with one set of inputs, as they are.

    Attributes:
        model: The classifier.
        inputs: What it was given.
        reliability: Confidence against accuracy.
        coverage: Coverage against precision, thinned to a few hundred points.
        class_scores: One for each class.
        confusion: (true class, predicted class, rows), for all pairs that occur, the right ones included.
        confident_errors: The most confident ones, the surest first.
    """

    model: str
    inputs: str
    reliability: list[ReliabilityBin]
    coverage: list[CoveragePoint]
    class_scores: list[ClassScore]
    confusion: list[tuple[int, int, int]]
    confident_errors: list[ConfidentError]


@dataclass(frozen=True, slots=True)
class Origin:
    """What a run was made from; two runs can be compared when their hashes agree.

    Attributes:
        recipe: All numbers of the run, the seed included.
        catalogue_sha256: Hash of the catalogue's content.
        split_sha256: Hash of the split file.
        rows: Labelled products of each split.
        weights: What the image network started from: None, a name, or a file's name and hash.
        backend: Of Keras, in training.
        versions: Of what it was trained with.
    """

    recipe: dict[str, Any]
    catalogue_sha256: str
    split_sha256: str
    rows: dict[str, int]
    weights: Any
    backend: str
    versions: dict[str, str]

    @property
    def seed(self) -> int:
        """Of all that was drawn in training."""
        return int(self.recipe["seed"])


@dataclass(frozen=True, slots=True)
class TrainingCost:
    """What it took to train one classifier.

    Attributes:
        parameters: Numbers in the network.
        epochs: Epochs that were trained, those after the best one included.
        best_epoch: The one whose weights were kept, from 1.
        seconds_per_epoch: On average, validation included.
        seconds: In all: what comes before the first epoch and calibration included, but of a run that was resumed the
            epochs alone.
        hardware: What it was trained on, such as "2 processors"; None where the run does not say.
    """

    parameters: int
    epochs: int
    best_epoch: int
    seconds_per_epoch: float
    seconds: float
    hardware: str | None = None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All figures of a run; attributes as in the module's docstring.

    The first breakdown is the model that the run is for: all inputs that it takes, as they are.
    """

    origin: Origin
    classes: list[tuple[str, ...]]
    figures: list[Figures]
    breakdowns: list[Breakdown]
    training: dict[str, TrainingCost]
    seconds: float

    @property
    def main(self) -> Figures:
        """The figures of the model that the run is for."""
        first = self.breakdowns[0]
        return next(
            each
            for each in self.figures
            if (each.model, each.inputs, each.condition) == (first.model, first.inputs, CLEAN)
        )

    def to_json(self) -> str:
        """Write everything down; `from_json` reads it back."""
        return json.dumps({"version": VERSION, **dataclasses.asdict(self)}, indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Evaluation:
        """Read an evaluation that `to_json` wrote.

        Raises:
            ValueError: `text` is no evaluation of this version of Aisle.
        """
        try:
            content = json.loads(text)
            version = content.pop("version", 1)
            if version != VERSION:
                raise ValueError(f"it has version {version}, expected {VERSION}: evaluate the run again")
            return cls(
                origin=Origin(**content["origin"]),
                classes=[tuple(path) for path in content["classes"]],
                figures=[Figures(**each) for each in content["figures"]],
                breakdowns=[_breakdown(each) for each in content["breakdowns"]],
                training={name: TrainingCost(**each) for name, each in content["training"].items()},
                seconds=float(content["seconds"]),
            )
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"this is no evaluation of this version of Aisle: {error}") from error

    @classmethod
    def read(cls, path: Path) -> Evaluation:
        """Read `evaluation.json`.

        Raises:
            ValueError: There is none, or none of this version of Aisle.
        """
        try:
            return cls.from_json(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ValueError(f"{path.parent} holds no {path.name}: evaluate the run first") from None
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error


def _breakdown(content: dict[str, Any]) -> Breakdown:
    return Breakdown(
        model=content["model"],
        inputs=content["inputs"],
        reliability=[ReliabilityBin(**each) for each in content["reliability"]],
        coverage=[CoveragePoint(**each) for each in content["coverage"]],
        class_scores=[ClassScore(**each) for each in content["class_scores"]],
        confusion=[(label, predicted, rows) for label, predicted, rows in content["confusion"]],
        confident_errors=[ConfidentError(**each) for each in content["confident_errors"]],
    )
