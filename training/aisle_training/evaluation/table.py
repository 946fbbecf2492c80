"""The figures of an evaluation as a table for the terminal."""

from __future__ import annotations

from aisle_training.evaluation.evaluation import CLEAN, Evaluation


def format_table(evaluation: Evaluation) -> str:
    """Give the figures as a table of fixed columns; a model without confidence has a dash where others have a figure.

    "at 98 %" is the fraction of rows that can be answered with 98 % of the answers right.
    """
    given = [
        each.inputs if each.condition == CLEAN else f"{each.inputs}, {each.condition}" for each in evaluation.figures
    ]
    models, widest = (max(map(len, names)) for names in ([each.model for each in evaluation.figures], given))
    header = (
        f"{'model':<{models}} {'given':<{widest}} {'rows':>7} {'accuracy':>9} {'macro-F1':>9} {'top 3':>7} {'ECE':>7} "
        f"{'at 98 %':>8}"
    )
    lines = [header, "-" * len(header)]
    for figures, inputs in zip(evaluation.figures, given, strict=True):
        lines.append(
            f"{figures.model:<{models}} {inputs:<{widest}} {figures.rows:>7,} {figures.accuracy:>9.4f} "
            f"{figures.macro_f1:>9.4f} {_or_dash(figures.top_3_accuracy):>7} "
            f"{_or_dash(figures.expected_calibration_error):>7} {_or_dash(figures.coverage_at_98):>8}"
        )
    return "\n".join(lines)


def _or_dash(figure: float | None) -> str:
    return "-" if figure is None else f"{figure:.4f}"
