"""The model card of an exported ensemble: what it is for, what it was made from, how well it does, and where it fails.

Source: Mitchell et al., "Model Cards for Model Reporting", 2019.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import jinja2

from aisle_training.confidence.figures import ConfidenceFigures
from aisle_training.confidence.thresholds import FAMILIARITY_FLOOR, PRECISIONS, STRANGE_BELOW
from aisle_training.evaluation.evaluation import Evaluation
from aisle_training.export.serving_cost import ServingCost
from aisle_training.report.wording import category_names, given, worst_confusions
from aisle_training.runs import RunFolder

MODEL_CARD: Final = "MODEL_CARD.md"
LICENCE_NOT_STATED: Final = "Not stated by whoever trained them."
SHOWN_CONFUSIONS: Final = 10

# What Markdown or HTML would take for more than text.
_MARKUP: Final = re.compile(r"([\\`*_{}\[\]<>#|~])")


@dataclass(frozen=True, slots=True)
class ExportedEnsemble:
    """An ensemble as its model card speaks of it.

    Attributes:
        name: Of the model.
        classifier: The classifier whose probabilities it gives.
        networks: All classifiers that it runs.
        inputs: Its tensors.
        classes: Number of categories, those that were added after training included.
    """

    name: str
    classifier: str
    networks: Sequence[str]
    inputs: Sequence[str]
    classes: int


def render_model_card(
    run: RunFolder, ensemble: ExportedEnsemble, costs: Mapping[str, ServingCost], licence: str = LICENCE_NOT_STATED
) -> str:
    """Write a model card as Markdown.

    Args:
        run: What is exported; its evaluation, where it has one, gives the figures.
        ensemble: The ensemble.
        costs: Of the networks, by name; of those that are not in it, nothing is said.
        licence: Of the weights, in a sentence or by its SPDX identifier.
    """
    try:
        evaluation, reason = Evaluation.read(run.evaluation_path), ""
    except ValueError as error:
        # The path says nothing where the card will be read.
        evaluation, reason = None, str(error).rpartition(": ")[2] if run.evaluation_path.exists() else ""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("aisle_training.report"),
        finalize=_escape,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    data = run.data()
    card = environment.get_template("model_card.md.jinja").render(
        name=ensemble.name,
        classes=ensemble.classes,
        added=ensemble.classes - len(run.labels()),
        inputs=ensemble.inputs,
        origin=_origin(run, data),
        evaluation=evaluation,
        reason=reason,
        costs=_costs(ensemble, evaluation, costs),
        licence=licence,
        weights=_plain(data.get("weights")),
        given=given,
        **_trust(run, ensemble),
        **_figures(ensemble, evaluation),
    )
    return re.sub(r"\n{3,}", "\n\n", card).strip() + "\n"


def _figures(ensemble: ExportedEnsemble, evaluation: Evaluation | None) -> dict[str, Any]:
    if evaluation is None:
        return {"figures": [], "baselines": [], "confusions": []}
    breakdown = next((each for each in evaluation.breakdowns if each.model == ensemble.classifier), None)
    names = category_names(evaluation.classes)
    confusions = [] if breakdown is None else worst_confusions(breakdown, SHOWN_CONFUSIONS)
    return {
        "figures": [each for each in evaluation.figures if each.model == ensemble.classifier],
        "baselines": [each for each in evaluation.figures if each.expected_calibration_error is None],
        "confusions": [
            (names[label], names[other], rows, breakdown.class_scores[label].support)
            for label, other, rows in confusions
            if breakdown is not None
        ],
    }


def _trust(run: RunFolder, ensemble: ExportedEnsemble) -> dict[str, Any]:
    """What the ensemble's decisions come to, where the run has rules, and where it was measured."""
    try:
        confidence = ConfidenceFigures.read(run.confidence_path)
    except ValueError:
        confidence = None
    measured = confidence or ConfidenceFigures()
    return {
        "has_rules": run.decisions_path.is_file(),
        "precisions": " or ".join(f"{100 * precision:g} %" for precision in PRECISIONS),
        "decisions": [each for each in measured.decisions if each.model == ensemble.classifier],
        "unknown": [each for each in measured.out_of_class if each.model == ensemble.classifier],
        "familiarity_floor": FAMILIARITY_FLOOR,
        "strange_below": STRANGE_BELOW,
    }


def _origin(run: RunFolder, data: Mapping[str, Any]) -> list[tuple[str, str]]:
    recipe = run.recipe()
    networks = {name: getattr(modality, "network", modality.kind) for name, modality in recipe.modalities.items()}
    rows = data.get("rows", {})
    stated = [
        ("recipe", f"{recipe.name}, seed {recipe.seed}"),
        ("networks", _plain(networks)),
        ("products", ", ".join(f"{count:,} {split}" for split, count in rows.items())),
        ("catalogue, SHA-256", data["catalogue_sha256"]),
        ("Keras backend", data.get("backend", "")),
        ("versions", _plain(data.get("versions"))),
    ]
    return [(key, value) for key, value in stated if value]


def _costs(
    ensemble: ExportedEnsemble, evaluation: Evaluation | None, costs: Mapping[str, ServingCost]
) -> list[dict[str, Any]]:
    rows = []
    for name in ensemble.networks:
        trained = None if evaluation is None else evaluation.training.get(name)
        served = costs.get(name)
        rows.append(
            {
                "name": name,
                "parameters": None if trained is None else trained.parameters,
                "seconds": None if trained is None else trained.seconds,
                "megabytes": None if served is None else served.bytes / 1e6,
                "milliseconds": None if served is None else served.milliseconds,
            }
        )
    return rows


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {part}" for key, part in value.items())
    return str(value or "")


def _escape(value: Any) -> str:
    """Make what a template prints plain text of Markdown: categories are a stranger's words."""
    return _MARKUP.sub(r"\\\1", " ".join(str(value).split()))
