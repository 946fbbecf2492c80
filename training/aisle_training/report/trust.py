"""What a run's figures about confidence say to whoever runs a catalogue: tables, charts, and a sentence for each."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from aisle_training.confidence.figures import ConfidenceFigures, DecisionFigures, LevelFigures, OutOfClassFigures
from aisle_training.confidence.hierarchy import Hierarchy
from aisle_training.evaluation.evaluation import Evaluation
from aisle_training.report.charts import LineChart, Point, Series, precision_chart
from aisle_training.report.wording import given, say_decisions, say_levels, say_unknown


@dataclass(frozen=True, slots=True)
class TrustTables:
    """The figures about one classifier or several.

    Attributes:
        levels: Coverage at each level.
        decisions: What the decision rules come to.
        unknown: What becomes of products of no known class.
    """

    levels: list[LevelFigures]
    decisions: list[DecisionFigures]
    unknown: list[OutOfClassFigures]


@dataclass(frozen=True, slots=True)
class Trust:
    """The part of a page about how far one run can be trusted.

    Attributes:
        main: Of the classifier that the run is for.
        others: Of the others.
        depth: Levels of the category tree.
        examples: A category path as it begins at each level; item i is of level i + 1.
        charts: Precision against coverage at each level, one for each set of inputs of the main classifier.
        levels_sentence: What the table of levels says.
        decisions_sentence: What the table of decisions says; empty where there is none.
        unknown_sentence: What the table of unknown products says; empty where there is none.
    """

    main: TrustTables
    others: TrustTables
    depth: int
    examples: list[str]
    charts: list[LineChart]
    levels_sentence: str
    decisions_sentence: str
    unknown_sentence: str


def describe_trust(evaluation: Evaluation, confidence: ConfidenceFigures) -> Trust:
    """Lay out what is known of how far a run can be trusted.

    Args:
        evaluation: Of the run; it says which classifier the run is for.
        confidence: Of the same run.
    """
    model = evaluation.main.model
    hierarchy = Hierarchy(evaluation.classes)
    # Of the deepest paths one that repeats no name, as "Accessories > Accessories" does, says most.
    longest = max(evaluation.classes, key=lambda path: (len(path), len(set(path))))
    main = _tables_of(confidence, [model])
    return Trust(
        main=main,
        others=_tables_of(confidence, {each.model for each in confidence.levels} - {model}),
        depth=hierarchy.depth,
        examples=[" > ".join(longest[:level]) for level in range(1, hierarchy.depth + 1)],
        charts=_level_charts(main.levels),
        levels_sentence=say_levels(main.levels),
        decisions_sentence=say_decisions(main.decisions),
        unknown_sentence=say_unknown(main.unknown),
    )


def _tables_of(confidence: ConfidenceFigures, models: Collection[str]) -> TrustTables:
    return TrustTables(
        [each for each in confidence.levels if each.model in models],
        [each for each in confidence.decisions if each.model in models],
        [each for each in confidence.out_of_class if each.model in models],
    )


def _level_charts(levels: Sequence[LevelFigures]) -> list[LineChart]:
    charts = []
    for inputs in dict.fromkeys(each.inputs for each in levels):
        series = [
            Series(
                f"level {each.level} ({each.nodes} categories)",
                [Point(*point) for point in zip(each.curve.coverage, each.curve.precision, strict=True)],
            )
            for each in levels
            if each.inputs == inputs
        ]
        charts.append(precision_chart(f"Precision at each level, given {given(inputs)}", series))
    return charts
