"""Classifiers of any runs in one table: what each is, how well it does, and what it costs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aisle_training.evaluation.evaluation import CLEAN, Figures
from aisle_training.recipes.recipe import FUSION
from aisle_training.report.comparison import ReportedRun


@dataclass(frozen=True, slots=True)
class SideBySideRow:
    """One classifier with one set of inputs, as they are; or a baseline, which has no costs.

    Attributes:
        run: Name of the run; of a baseline the first run that was evaluated beside it.
        recipe: Name of the recipe; None for a baseline.
        model: The classifier, or the baseline.
        network: Its architecture; None for a baseline.
        inputs: What it was given.
        accuracy: Fraction of rows predicted right.
        macro_f1: Mean F1 of the classes.
        expected_calibration_error: None without confidence.
        coverage_at_98: None without confidence.
        seconds: To train all networks that its answer takes; None for a baseline.
        hardware: What they were trained on; None where the run does not say.
        parameters: Of all these networks; None for a baseline.
        milliseconds: To answer one product, networks alone; None for a run that was not exported as ONNX.
        megabytes: That serving these networks takes; None as above.
    """

    run: str
    recipe: str | None
    model: str
    network: str | None
    inputs: str
    accuracy: float
    macro_f1: float
    expected_calibration_error: float | None
    coverage_at_98: float | None
    seconds: float | None = None
    hardware: str | None = None
    parameters: int | None = None
    milliseconds: float | None = None
    megabytes: float | None = None


def list_side_by_side(runs: Sequence[ReportedRun]) -> list[SideBySideRow]:
    """List the classifiers of all runs, and after them the baselines, each once for all runs that share it.

    Args:
        runs: At least one.
    """
    rows = [_row(run, figures) for run in runs for figures in _clean(run) if not is_baseline(figures)]
    baselines: dict[tuple[Any, ...], SideBySideRow] = {}
    for run in runs:
        origin = run.evaluation.origin
        for figures in filter(is_baseline, _clean(run)):
            baselines.setdefault((origin.catalogue_sha256, origin.split_sha256, figures), _row(run, figures))
    return [*rows, *baselines.values()]


def is_baseline(figures: Figures) -> bool:
    """Say whether figures are of a baseline: what was trained gives a confidence, the baselines give none."""
    return figures.expected_calibration_error is None


def _clean(run: ReportedRun) -> list[Figures]:
    return [each for each in run.evaluation.figures if each.condition == CLEAN]


def _row(run: ReportedRun, figures: Figures) -> SideBySideRow:
    origin = run.evaluation.origin
    measured = SideBySideRow(
        run=run.name,
        recipe=None,
        model=figures.model,
        network=None,
        inputs=figures.inputs,
        accuracy=figures.accuracy,
        macro_f1=figures.macro_f1,
        expected_calibration_error=figures.expected_calibration_error,
        coverage_at_98=figures.coverage_at_98,
    )
    if is_baseline(figures):
        return measured
    # Fusion answers from what all the others make of a product.
    names = set(run.evaluation.training) if figures.model == FUSION else {figures.model}
    trained = [cost for name, cost in run.evaluation.training.items() if name in names]
    served = [cost for name, cost in run.costs.items() if name in names]
    is_served = len(served) == len(names)
    return dataclasses.replace(
        measured,
        recipe=str(origin.recipe["name"]),
        network=_name_network(origin.recipe, figures.model),
        seconds=sum(cost.seconds for cost in trained) if trained else None,
        hardware=", ".join(dict.fromkeys(cost.hardware for cost in trained if cost.hardware)) or None,
        parameters=sum(cost.parameters for cost in trained) if trained else None,
        milliseconds=sum(cost.milliseconds for cost in served) if is_served else None,
        megabytes=sum(cost.bytes for cost in served) / 1e6 if is_served else None,
    )


def _name_network(recipe: Mapping[str, Any], model: str) -> str:
    """Name the architecture of a classifier as the recipe spells it."""
    if model == FUSION:
        return f"{recipe['fusion']['kind']} fusion"
    modality = recipe["modalities"][model.removesuffix("_classifier")]
    name = str(modality.get("network", modality["kind"]))
    if modality.get("frozen_until"):
        name += ", frozen" if modality["frozen_until"] == "all" else f", frozen to {modality['frozen_until']}"
    if modality.get("ngrams"):
        name += ", n-grams"
    return f"{modality['members']} x {name}" if modality.get("members", 1) > 1 else name
