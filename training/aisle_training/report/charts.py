"""Charts as data that a template draws as SVG: lines over two axes, and confusion matrices.

Not Matplotlib's: its pictures hold their own letters, which it cannot join as Persian is written, and its SVG is a
hundred times the size. Here text stays text of the page.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from aisle_training.evaluation.evaluation import Breakdown

# Colours that people with any colour vision tell apart. Source: Okabe and Ito, "Color Universal Design", 2008.
COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a6d3b", "#7f7f7f")
DASHES: Final = ("", "7 3", "2 3", "9 3 2 3")
MOST_LINES: Final = len(COLOURS)
MOST_CLASSES: Final = 80  # more would be smaller than what can be read

WIDTH: Final = 440
HEIGHT: Final = 300
LEFT: Final = 52
RIGHT: Final = 22  # half of "100 %" stands there
TOP: Final = 12
BOTTOM: Final = 44
CELL: Final = 15
# The first points of a curve of precision are of a handful of products each: noise, which would squeeze the rest.
FIRST_COVERAGE: Final = 0.02


@dataclass(frozen=True, slots=True)
class Point:
    """A point of a line.

    Attributes:
        x: In the data's own unit.
        y: In the data's own unit.
        note: What a browser shows where the pointer rests; empty for a point that is not marked.
    """

    x: float
    y: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class Series:
    """A named line."""

    name: str
    points: Sequence[Point]


@dataclass(frozen=True, slots=True)
class Tick:
    """A place on an axis, in the drawing's unit, and its label."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Line:
    """A line as it is drawn.

    Attributes:
        name: For the legend.
        colour: As CSS spells it.
        dash: SVG's `stroke-dasharray`.
        path: SVG's `points`.
        marks: (x, y, note) of the points that are marked.
    """

    name: str
    colour: str
    dash: str
    path: str
    marks: list[tuple[float, float, str]]


@dataclass(frozen=True, slots=True)
class LineChart:
    """A chart of lines as it is drawn.

    Attributes:
        title: What it shows.
        x_label: Of the axis across.
        y_label: Of the axis upward.
        x_ticks: Of the axis across.
        y_ticks: Of the axis upward.
        lines: At most `MOST_LINES`.
        diagonal: SVG's `points` of a line from corner to corner; empty for none.
    """

    title: str
    x_label: str
    y_label: str
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    lines: list[Line]
    diagonal: str
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM


def line_chart(
    title: str,
    series: Sequence[Series],
    *,
    x_label: str,
    y_label: str,
    x_range: tuple[float, float] | None = None,
    y_range: tuple[float, float] | None = None,
    x_percent: bool = False,
    y_percent: bool = False,
    diagonal: bool = False,
) -> LineChart:
    """Lay lines out.

    Args:
        title: What the chart shows.
        series: The lines, with one point or more in all; those past `MOST_LINES` are left out.
        x_label: Of the axis across.
        y_label: Of the axis upward.
        x_range: Of the axis across; by default what the points need.
        y_range: Of the axis upward; by default what the points need.
        x_percent: Whether fractions are labelled as percentages across.
        y_percent: Whether they are upward.
        diagonal: Whether to draw where x equals y.
    """
    shown = series[:MOST_LINES]
    x_low, x_high = x_range or _range(point.x for line in shown for point in line.points)
    y_low, y_high = y_range or _range(point.y for line in shown for point in line.points)

    def x_of(value: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * (value - x_low) / (x_high - x_low), 1)

    def y_of(value: float) -> float:
        inside = min(max(value, y_low), y_high)
        return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (inside - y_low) / (y_high - y_low), 1)

    low, high = max(x_low, y_low), min(x_high, y_high)
    return LineChart(
        title=title,
        x_label=x_label,
        y_label=y_label,
        x_ticks=[Tick(x_of(value), label) for value, label in _ticks(x_low, x_high, x_percent)],
        y_ticks=[Tick(y_of(value), label) for value, label in _ticks(y_low, y_high, y_percent)],
        lines=[
            Line(
                name=line.name,
                colour=COLOURS[number],
                dash=DASHES[number % len(DASHES)],
                path=" ".join(f"{x_of(point.x)},{y_of(point.y)}" for point in line.points),
                marks=[(x_of(point.x), y_of(point.y), point.note) for point in line.points if point.note],
            )
            for number, line in enumerate(shown)
        ],
        diagonal=f"{x_of(low)},{y_of(low)} {x_of(high)},{y_of(high)}" if diagonal else "",
    )


def precision_chart(title: str, series: Sequence[Series]) -> LineChart:
    """Lay out precision against coverage, from the surest product to all of them.

    Args:
        title: What the chart shows.
        series: Coverage across and precision upward, as fractions; one line or more. What covers less than
            `FIRST_COVERAGE` is left out, but for a line that has nothing else.
    """
    shown = [
        Series(line.name, [point for point in line.points if point.x >= FIRST_COVERAGE] or line.points)
        for line in series
    ]
    lowest = min(point.y for line in shown for point in line.points)
    return line_chart(
        title,
        shown,
        x_label="products decided, the surest first",
        y_label="right among them",
        x_range=(0, 1),
        y_range=(max(0.0, int(20 * lowest - 0.2) / 20), 1),
        x_percent=True,
        y_percent=True,
    )


def _range(values: Iterable[float]) -> tuple[float, float]:
    """The range of an axis that has room for all values."""
    listed = list(values)
    low, high = min(listed), max(listed)
    if low == high:
        return low - 0.5, high + 0.5
    step = _step(low, high)
    return math.floor(low / step) * step, math.ceil(high / step) * step


def _step(low: float, high: float) -> float:
    """The round distance between ticks of which some five fit."""
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)


def _ticks(low: float, high: float, percent: bool) -> list[tuple[float, str]]:
    step = _step(low, high)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    values = [number * step for number in range(first, last + 1)]
    return [(value, f"{100 * value:g} %" if percent else f"{round(value, 10):g}") for value in values]


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a confusion matrix.

    Attributes:
        x: Left edge.
        y: Upper edge.
        right: Whether it stands for right answers.
        strength: From 0, white, to 1.
        label: Percent of its row; empty where it is too little to read.
        note: What a browser shows where the pointer rests.
    """

    x: int
    y: int
    right: bool
    strength: float
    label: str
    note: str


@dataclass(frozen=True, slots=True)
class ConfusionChart:
    """A confusion matrix as it is drawn: a row for each true category, a column for each predicted one.

    Attributes:
        rows: Label and upper edge of each row.
        columns: Label and left edge of each column.
        cells: Those that are not empty.
        left: Where the cells begin.
        top: Where the cells begin.
        size: Of all cells, across and downward.
        left_out: Categories that are not drawn, for they are too many.
        cell: Edge of a cell.
    """

    rows: list[tuple[str, int]]
    columns: list[tuple[str, int]]
    cells: list[Cell]
    left: int
    top: int
    size: int
    left_out: int
    cell: int = CELL


def confusion_chart(breakdown: Breakdown, names: Sequence[str]) -> ConfusionChart:
    """Lay a confusion matrix out, categories in the order of their paths, so that those of one branch stand together.

    Args:
        breakdown: Whose confusions to draw.
        names: Of the categories.

    Returns:
        The chart; of more than `MOST_CLASSES` categories, those with the most errors.
    """
    errors = [0] * len(names)
    for label, predicted, rows in breakdown.confusion:
        if label != predicted:
            errors[label] += rows
            errors[predicted] += rows
    most_confused = sorted(range(len(names)), key=lambda each: -errors[each])[:MOST_CLASSES]
    place = {each: CELL * number for number, each in enumerate(sorted(most_confused))}
    # 6 units a character at this size of letters; longer names are cut by the template.
    room = 12 + 6 * min(26, max(len(names[each]) for each in place))
    cells = []
    for label, predicted, rows in breakdown.confusion:
        if label not in place or predicted not in place:
            continue
        fraction = rows / breakdown.class_scores[label].support
        cells.append(
            Cell(
                x=place[predicted],
                y=place[label],
                right=label == predicted,
                # The square root, for an error of some percent must be seen.
                strength=round(math.sqrt(fraction), 2),
                label=f"{100 * fraction:.0f}" if fraction >= 0.05 else "",
                note=f"{names[label]} put into {names[predicted]}: {rows} of {breakdown.class_scores[label].support}",
            )
        )
    return ConfusionChart(
        rows=[(f"{names[each]} ({breakdown.class_scores[each].support})", at) for each, at in place.items()],
        columns=[(names[each], at) for each, at in place.items()],
        cells=cells,
        left=room + 36,
        top=room,
        size=CELL * len(place),
        left_out=len(names) - len(place),
    )
