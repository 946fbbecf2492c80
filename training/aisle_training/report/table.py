"""Runs side by side, and the spread over seeds, as tables for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aisle_training.evaluation.evaluation import CLEAN
from aisle_training.report.comparison import SeedGroup
from aisle_training.report.side_by_side import SideBySideRow

# Names of figures, as the tables of `aisle evaluate` spell them.
FIGURE_NAMES: Final = {
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "expected_calibration_error": "ECE",
    "coverage_at_95": "at 95 %",
    "coverage_at_98": "at 98 %",
}


def format_side_by_side(rows: Sequence[SideBySideRow]) -> str:
    """Give classifiers and baselines a line each; a dash stands where there is no figure."""
    head = ["run", "recipe", "model", "network", "given", "accuracy", "macro-F1", "ECE", "at 98 %"]
    head += ["train s", "on", "parameters", "ms", "MB"]
    lines = [
        [
            row.run,
            row.recipe or "-",
            row.model,
            row.network or "-",
            row.inputs,
            _number(row.accuracy, ".4f"),
            _number(row.macro_f1, ".4f"),
            _number(row.expected_calibration_error, ".4f"),
            _number(row.coverage_at_98, ".4f"),
            _number(row.seconds, ",.0f"),
            row.hardware or "-",
            _number(row.parameters, ","),
            _number(row.milliseconds, ".2f"),
            _number(row.megabytes, ".2f"),
        ]
        for row in rows
    ]
    return _columns(head, lines, texts={0, 1, 2, 3, 4, 10})


def format_seeds(group: SeedGroup) -> str:
    """Give each figure of runs that differ only in their seed a line; of disturbed inputs the accuracy alone."""
    lines = []
    for row in group.rows:
        given = row.inputs if row.condition == CLEAN else f"{row.inputs}, {row.condition}"
        for name, spread in row.figures.items():
            if row.condition == CLEAN or name == "accuracy":
                numbers = (spread.mean, spread.deviation, spread.lowest, spread.highest)
                lines.append([row.model, given, FIGURE_NAMES[name], *(_number(number, ".4f") for number in numbers)])
    head = ["model", "given", "figure", "mean", "deviation", "lowest", "highest"]
    seeds = ", ".join(map(str, group.seeds))
    return f"{len(group.runs)} runs of {group.name}, seeds {seeds}\n{_columns(head, lines, texts={0, 1, 2})}"


def _columns(head: Sequence[str], lines: Sequence[Sequence[str]], texts: set[int]) -> str:
    """Lay cells out in columns as wide as they need; `texts` are the columns that begin at the left."""
    widths = [max(len(cells[column]) for cells in (head, *lines)) for column in range(len(head))]

    def lay_out(cells: Sequence[str]) -> str:
        padded = (
            cell.ljust(width) if column in texts else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return "  ".join(padded).rstrip()

    return "\n".join([lay_out(head), "-" * len(lay_out(head)), *map(lay_out, lines)])


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
