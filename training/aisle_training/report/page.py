"""The report as one HTML file that needs nothing else: styles, charts and small pictures are inside.

Titles, ids and categories are a stranger's text. The templates escape all that they are given, and the page's own policy
lets a browser load nothing and run the one script that is named by its hash.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import jinja2

from aisle_training.catalogue.catalogue import Product
from aisle_training.catalogue.thumbnails import thumbnail_url
from aisle_training.evaluation.evaluation import CLEAN, Breakdown, ConfidentError, Evaluation, Figures
from aisle_training.report.charts import (
    MOST_LINES,
    LineChart,
    Point,
    Series,
    confusion_chart,
    line_chart,
    precision_chart,
)
from aisle_training.report.comparison import Comparison, ReportedRun
from aisle_training.report.side_by_side import list_side_by_side
from aisle_training.report.trust import describe_trust
from aisle_training.report.wording import category_names, given, percent, summarize, summarize_run, worst_confusions

SHOWN_ERRORS: Final = 24  # of each run; all that were kept are in the JSON
MOST_PICTURES: Final = 240  # of the whole page, some 3,000 bytes each
THUMBNAIL_SIDE: Final = 80
SHOWN_CONFUSIONS: Final = 12
SHOWN_CHARACTERS: Final = 160
FEWEST_OF_A_BIN: Final = 5  # the accuracy of fewer products is noise


def render_page(comparison: Comparison, products: Mapping[str, Mapping[str, Product]]) -> str:
    """Write a report as HTML.

    Args:
        comparison: The runs, at least one.
        products: For each run, by its name, the catalogue's products by id; a run whose catalogue is not at hand is
            left out, and its errors are shown without pictures and titles.

    Returns:
        The page, whole.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("aisle_training.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = percent
    environment.filters["given"] = given
    style, script = (_source(environment, name) for name in ("page.css", "sort.js"))
    runs = comparison.runs
    columns = _columns(runs)
    shown = min(SHOWN_ERRORS, MOST_PICTURES // len(runs))
    names = [run.name for run in runs]
    return environment.get_template("page.html.jinja").render(
        title=f"Report on {names[0]}" if len(runs) == 1 else f"Report on {len(runs)} runs",
        style=style,
        script=script,
        # Of just what stands between the tags.
        script_hash=f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}",
        warnings=comparison.warnings,
        summary=summarize(comparison),
        groups=comparison.groups,
        side_by_side=list_side_by_side(runs),
        columns=columns,
        overview=[_overview(number, run, runs, columns) for number, run in enumerate(runs)],
        comparison_charts=_comparison_charts(runs) if len(runs) > 1 else [],
        sections=[_section(number, run, products.get(run.name), shown) for number, run in enumerate(runs)],
        clean=CLEAN,
    )


def _source(environment: jinja2.Environment, name: str) -> str:
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


def _columns(runs: Sequence[ReportedRun]) -> list[Figures]:
    """One of each model and inputs, as they are, that any run has."""
    found: dict[tuple[str, str], Figures] = {}
    for run in runs:
        for figures in run.evaluation.figures:
            if figures.condition == CLEAN and figures.expected_calibration_error is not None:
                found.setdefault((figures.model, figures.inputs), figures)
    return list(found.values())


def _accuracy(evaluation: Evaluation, column: Figures) -> float | None:
    for figures in evaluation.figures:
        if (figures.model, figures.inputs, figures.condition) == (column.model, column.inputs, CLEAN):
            return figures.accuracy
    return None


def _overview(number: int, run: ReportedRun, runs: Sequence[ReportedRun], columns: Sequence[Figures]) -> dict[str, Any]:
    """A line of the table of all runs."""
    evaluation = run.evaluation
    accuracies = []
    for column in columns:
        mine = _accuracy(evaluation, column)
        everyone = [value for each in runs if (value := _accuracy(each.evaluation, column)) is not None]
        accuracies.append((mine, len(runs) > 1 and mine == max(everyone)))
    return {
        "anchor": f"run-{number}",
        "name": run.name,
        "seed": evaluation.origin.seed,
        "accuracies": accuracies,
        "main": evaluation.main,
        "parameters": sum(cost.parameters for cost in evaluation.training.values()),
        "training_seconds": sum(cost.seconds for cost in evaluation.training.values()),
        "megabytes": sum(cost.bytes for cost in run.costs.values()) / 1e6 if run.costs else None,
        "milliseconds": sum(cost.milliseconds for cost in run.costs.values()) if run.costs else None,
    }


def _comparison_charts(runs: Sequence[ReportedRun]) -> list[LineChart]:
    shown = runs[:MOST_LINES]
    return [
        _coverage_chart(
            "Precision against coverage, all inputs", [(run.name, run.evaluation.breakdowns[0]) for run in shown]
        ),
        _reliability_chart(
            "Confidence against accuracy, all inputs", [(run.name, run.evaluation.breakdowns[0]) for run in shown]
        ),
    ]


def _section(
    number: int, run: ReportedRun, products: Mapping[str, Product] | None, shown_errors: int
) -> dict[str, Any]:
    """All of one run."""
    evaluation = run.evaluation
    names = category_names(evaluation.classes)
    main = evaluation.breakdowns[0]
    given = [(f"{each.model}, {each.inputs}", each) for each in evaluation.breakdowns]
    return {
        "anchor": f"run-{number}",
        "name": run.name,
        "summary": summarize_run(run),
        "main": main,
        "figures": evaluation.figures,
        "confidence_charts": [
            _reliability_chart("Confidence against accuracy: on the diagonal it is honest", given),
            _coverage_chart("How many are right among those it is surest of", given),
        ],
        "trust": None if run.confidence is None else describe_trust(evaluation, run.confidence),
        "breakdowns": [
            {
                "model": each.model,
                "inputs": each.inputs,
                "chart": confusion_chart(each, names),
                "worst": [
                    (names[label], names[other], rows, each.class_scores[label].support)
                    for label, other, rows in worst_confusions(each, SHOWN_CONFUSIONS)
                ],
            }
            for each in evaluation.breakdowns
        ],
        "classes": _class_rows(evaluation, main),
        "errors": [_error(error, names, products) for error in main.confident_errors[:shown_errors]],
        "pictures_note": (
            "The catalogue that this run was trained on is not at hand, so there are no pictures."
            if products is None
            else ""
        ),
        "learning_charts": _learning_charts(run),
        "origin": _origin(evaluation),
        "networks": [
            {
                "name": name,
                "cost": cost,
                "served": run.costs.get(name),
            }
            for name, cost in evaluation.training.items()
        ],
    }


def _reliability_chart(title: str, given: Sequence[tuple[str, Breakdown]]) -> LineChart:
    series = [
        Series(
            name,
            [
                Point(each.confidence, each.accuracy, f"{each.rows} products, {percent(each.accuracy)} right")
                for each in breakdown.reliability
                if each.rows >= FEWEST_OF_A_BIN
            ],
        )
        for name, breakdown in given
    ]
    return line_chart(
        title,
        series,
        x_label="confidence",
        y_label="right",
        x_range=(0, 1),
        y_range=(0, 1),
        x_percent=True,
        y_percent=True,
        diagonal=True,
    )


def _coverage_chart(title: str, given: Sequence[tuple[str, Breakdown]]) -> LineChart:
    series = [
        Series(name, [Point(each.coverage, each.precision) for each in breakdown.coverage]) for name, breakdown in given
    ]
    return precision_chart(title, series)


def _learning_charts(run: ReportedRun) -> list[LineChart]:
    charts = []
    for classifier, history in run.histories.items():
        for figure, label in (("accuracy", "accuracy"), ("macro_f1", "macro-F1"), ("loss", "loss")):
            series = [
                Series(
                    name,
                    [
                        Point(each["epoch"], each[key], f"epoch {each['epoch']:g}: {each[key]:.4f}")
                        for each in history
                        if key in each
                    ],
                )
                for name, key in (("training", figure), ("validation", f"val_{figure}"))
            ]
            series = [line for line in series if line.points]
            if series:
                charts.append(line_chart(f"{classifier}: {label}", series, x_label="epoch", y_label=label))
    return charts


def _class_rows(evaluation: Evaluation, breakdown: Breakdown) -> list[dict[str, Any]]:
    names = category_names(evaluation.classes)
    taken_for: dict[int, str] = {}
    for label, other, rows in worst_confusions(breakdown, len(breakdown.confusion)):
        taken_for.setdefault(label, f"{names[other]} ({rows})")
    rows_of_classes = [
        {"name": " > ".join(path), "score": score, "taken_for": taken_for.get(number, "")}
        for number, (path, score) in enumerate(zip(evaluation.classes, breakdown.class_scores, strict=True))
    ]
    return sorted(rows_of_classes, key=lambda row: row["score"].f1)


def _error(error: ConfidentError, names: Sequence[str], products: Mapping[str, Product] | None) -> dict[str, Any]:
    product = None if products is None else products.get(error.product_id)
    title = "" if product is None else product.title
    return {
        "product_id": _cut(error.product_id),
        "title": _cut(title),
        "picture": None if product is None else thumbnail_url(product.picture, THUMBNAIL_SIDE),
        "label": names[error.label],
        "predicted": names[error.predicted],
        "confidence": error.confidence,
    }


def _origin(evaluation: Evaluation) -> list[tuple[str, str]]:
    origin = evaluation.origin
    rows = ", ".join(f"{count:,} {split}" for split, count in origin.rows.items())
    return [
        *((f"recipe: {key}", _as_plain(value)) for key, value in origin.recipe.items()),
        ("products", rows),
        ("catalogue, SHA-256", origin.catalogue_sha256),
        ("split, SHA-256", origin.split_sha256),
        ("weights to start from", _as_plain(origin.weights)),
        ("trained with", f"{origin.backend}, {_as_plain(origin.versions)}"),
        ("seconds of the evaluation", f"{evaluation.seconds:.0f}"),
    ]


def _as_plain(value: Any) -> str:
    """Spell a part of a recipe for a cell of a table."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_as_plain(part)}" for key, part in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_as_plain, value))
    return "none" if value is None else str(value)


def _cut(text: str) -> str:
    """Cut a text to what a card can hold; a lone surrogate, which no file can hold, becomes a question mark."""
    shown = text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"
    return shown.encode(errors="replace").decode()
