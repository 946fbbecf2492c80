"""Runs side by side: whether they can be compared, and how far runs that differ only in their seed lie apart."""

from __future__ import annotations

import csv
import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from aisle_training.confidence.figures import ConfidenceFigures
from aisle_training.evaluation.evaluation import Evaluation, Figures
from aisle_training.export.serving_cost import ServingCost, read_serving_costs
from aisle_training.runs import RunFolder

History = list[dict[str, float]]

SPREAD_FIGURES: Final = ("accuracy", "macro_f1", "expected_calibration_error", "coverage_at_95", "coverage_at_98")


@dataclass(frozen=True, slots=True)
class ReportedRun:
    """A run as the report takes it.

    Attributes:
        name: Of its folder; with as much of the path before it as tells it from the others.
        evaluation: Its figures.
        histories: A line an epoch, by classifier.
        costs: What serving each classifier takes, if the run was exported as ONNX; by name.
        catalogue: Where the catalogue stood when the run was trained; None when the run does not say.
        confidence: How far its answers can be trusted; None for a run that was evaluated before this was measured.
    """

    name: str
    evaluation: Evaluation
    histories: dict[str, History]
    costs: dict[str, ServingCost]
    catalogue: Path | None
    confidence: ConfidenceFigures | None = None


@dataclass(frozen=True, slots=True)
class Spread:
    """One figure over runs that differ only in their seed.

    Attributes:
        mean: Over the runs.
        deviation: Sample standard deviation.
        lowest: Of the runs.
        highest: Of the runs.
    """

    mean: float
    deviation: float
    lowest: float
    highest: float


@dataclass(frozen=True, slots=True)
class SeedRow:
    """The figures of one model, inputs and condition over the seeds.

    Attributes:
        model: The classifier, or the baseline.
        inputs: What it was given.
        condition: Of the inputs.
        figures: By name, those of `SPREAD_FIGURES` that every run has.
    """

    model: str
    inputs: str
    condition: str
    figures: dict[str, Spread]


@dataclass(frozen=True, slots=True)
class SeedGroup:
    """Runs that differ only in their seed.

    Attributes:
        name: Of the recipe.
        runs: Their names, two or more.
        seeds: Of each.
        rows: In the order of the first run.
    """

    name: str
    runs: list[str]
    seeds: list[int]
    rows: list[SeedRow]


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that a report is made of.

    Attributes:
        runs: In the order in which they were asked for.
        groups: Of runs that differ only in their seed.
        warnings: Why figures of these runs should not be held against each other.
    """

    runs: list[ReportedRun]
    groups: list[SeedGroup]
    warnings: list[str]

    def to_plain(self) -> dict[str, Any]:
        """Give everything that the page shows, and what it leaves out for want of room, as plain values."""
        return {
            "warnings": self.warnings,
            "groups": [asdict(group) for group in self.groups],
            "runs": [
                {
                    "name": run.name,
                    "evaluation": asdict(run.evaluation),
                    "confidence": None if run.confidence is None else run.confidence.to_plain(),
                    "costs": {name: asdict(cost) for name, cost in run.costs.items()},
                    "histories": run.histories,
                }
                for run in self.runs
            ],
        }


def read_run(folder: Path, name: str) -> ReportedRun:
    """Read what a report needs of a run.

    Args:
        folder: A run folder that was evaluated.
        name: What the report calls it.

    Raises:
        ValueError: It is no run folder, or has no evaluation of this version of Aisle.
    """
    run = RunFolder(folder)
    evaluation = Evaluation.read(run.evaluation_path)
    histories = {}
    for path in sorted(run.path.glob("history/*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            histories[path.stem] = [{key: float(value) for key, value in line.items()} for line in csv.DictReader(file)]
    catalogue = run.data().get("catalogue")
    return ReportedRun(
        name,
        evaluation,
        histories,
        read_serving_costs(run.exported_path),
        None if catalogue is None else Path(catalogue),
        ConfidenceFigures.read(run.confidence_path),
    )


def name_runs(folders: Sequence[Path]) -> list[str]:
    """Name each run by the end of its path, and by as much before it as makes all names different.

    Raises:
        ValueError: A folder was named twice.
    """
    parts = [folder.resolve().parts for folder in folders]
    if len(set(parts)) < len(parts):
        raise ValueError("a run was named twice")
    for taken in range(1, max(map(len, parts)) + 1):
        names = ["/".join(each[-taken:]) for each in parts]
        if len(set(names)) == len(names):
            return names
    return [str(folder) for folder in folders]


def compare(runs: Sequence[ReportedRun]) -> Comparison:
    """Group runs by what they differ in, and say which must not be compared.

    Args:
        runs: At least one.
    """
    by_kind: dict[str, list[ReportedRun]] = {}
    for run in runs:
        by_kind.setdefault(_kind(run.evaluation), []).append(run)
    groups = [_seed_group(members) for members in by_kind.values() if len({_seed(run) for run in members}) > 1]
    return Comparison(list(runs), groups, _warnings(runs))


def _seed(run: ReportedRun) -> int:
    return run.evaluation.origin.seed


def _kind(evaluation: Evaluation) -> str:
    """What two runs share that differ in nothing but their seed."""
    origin = asdict(evaluation.origin)
    origin["recipe"] = {**origin["recipe"], "seed": None}
    return json.dumps(origin, sort_keys=True)


def _seed_group(runs: Sequence[ReportedRun]) -> SeedGroup:
    first, *others = runs
    rows = []
    for figures in first.evaluation.figures:
        matching = [figures, *(found for run in others if (found := _same_row(run.evaluation, figures)) is not None)]
        if len(matching) < len(runs):
            continue
        columns = {name: [getattr(each, name) for each in matching] for name in SPREAD_FIGURES}
        rows.append(
            SeedRow(
                figures.model,
                figures.inputs,
                figures.condition,
                {name: _spread(column) for name, column in columns.items() if None not in column},
            )
        )
    name = str(first.evaluation.origin.recipe["name"])
    return SeedGroup(name, [run.name for run in runs], [_seed(run) for run in runs], rows)


def _same_row(evaluation: Evaluation, figures: Figures) -> Figures | None:
    wanted = figures.model, figures.inputs, figures.condition
    return next((each for each in evaluation.figures if (each.model, each.inputs, each.condition) == wanted), None)


def _spread(values: Sequence[float]) -> Spread:
    return Spread(statistics.fmean(values), statistics.stdev(values), min(values), max(values))


def _warnings(runs: Sequence[ReportedRun]) -> list[str]:
    first, *others = runs
    differences: dict[str, list[str]] = {}
    for run in others:
        for what, ours, theirs in (
            ("another catalogue", run.evaluation.origin.catalogue_sha256, first.evaluation.origin.catalogue_sha256),
            ("another split", run.evaluation.origin.split_sha256, first.evaluation.origin.split_sha256),
            ("other categories", run.evaluation.classes, first.evaluation.classes),
        ):
            if ours != theirs:
                differences.setdefault(what, []).append(run.name)
    return [
        f"{', '.join(names)}: trained on {what} than {first.name}. Figures of different test products cannot be compared."
        for what, names in differences.items()
    ]
