"""Charts as they are laid out."""

import re

import numpy as np
import pytest

from aisle_training.classifiers import Answers
from aisle_training.evaluation.measuring import break_down
from aisle_training.report.charts import MOST_CLASSES, MOST_LINES, Point, Series, confusion_chart, line_chart


def test_points_stand_where_the_axes_say():
    """The ends of the axes are the corners of the drawing, and half way is half way."""
    chart = line_chart(
        "t",
        [Series("a", [Point(0, 0), Point(0.5, 0.5), Point(1, 1)])],
        x_label="x",
        y_label="y",
        x_range=(0, 1),
        y_range=(0, 1),
    )
    points = [tuple(map(float, pair.split(","))) for pair in chart.lines[0].path.split()]
    assert points[0] == (chart.left, chart.bottom)
    assert points[2] == (chart.right, chart.top)
    assert points[1] == pytest.approx(((chart.left + chart.right) / 2, (chart.top + chart.bottom) / 2))


@pytest.mark.parametrize("values", [[0.97, 0.981], [3.0], [0.0, 0.0], [-2.0, 1500.0], [1e-9, 3e-9]])
def test_every_value_has_a_place(values: list[float]):
    """Whatever the values are, all points and ticks lie inside the axes, and there are two ticks or more."""
    series = [Series("a", [Point(x, y) for x, y in enumerate(values)])]
    chart = line_chart("t", series, x_label="x", y_label="y")
    for pair in chart.lines[0].path.split():
        x, y = map(float, pair.split(","))
        assert chart.left <= x <= chart.right
        assert chart.top <= y <= chart.bottom
    assert len(chart.y_ticks) >= 2
    assert all(chart.top <= tick.at <= chart.bottom for tick in chart.y_ticks)
    assert len({tick.label for tick in chart.y_ticks}) == len(chart.y_ticks)


def test_percent_labels_and_marks():
    """Fractions are labelled as percentages, and a point with a note is marked with it."""
    chart = line_chart(
        "t",
        [Series("a", [Point(0, 0.5, "half"), Point(1, 1)])],
        x_label="x",
        y_label="y",
        y_range=(0, 1),
        y_percent=True,
    )
    assert [tick.label for tick in chart.y_ticks] == ["0 %", "20 %", "40 %", "60 %", "80 %", "100 %"]
    assert [note for *_, note in chart.lines[0].marks] == ["half"]


def test_lines_differ_and_are_bounded():
    """No two of the lines look the same, and those past the palette are left out."""
    series = [Series(str(number), [Point(0, 0), Point(1, number)]) for number in range(20)]
    lines = line_chart("t", series, x_label="x", y_label="y").lines
    assert len(lines) == MOST_LINES
    assert len({line.colour for line in lines}) == MOST_LINES


def drawn(classes: int):
    """Two of three rows right, the others put into the next category."""
    labels = np.repeat(np.arange(classes, dtype=np.int32), 3)
    named = np.where(np.arange(len(labels)) % 3 < 2, labels, (labels + 1) % classes)
    answers = Answers("m", "title", np.arange(len(labels)), np.eye(classes)[named])
    return break_down(answers, labels, ["p"] * len(labels))


def test_a_confusion_matrix_has_a_cell_for_each_pair():
    """Right cells lie on the diagonal, wrong ones beside it, each with the percent of its row and words."""
    chart = confusion_chart(drawn(4), ["a", "b", "c", "d"])
    assert len(chart.cells) == 8
    assert all((cell.x == cell.y) == cell.right for cell in chart.cells)
    assert {cell.label for cell in chart.cells if cell.right} == {"67"}
    assert "a put into b: 1 of 3" in {cell.note for cell in chart.cells}
    assert [name for name, _ in chart.rows] == ["a (3)", "b (3)", "c (3)", "d (3)"]


def test_too_many_categories_are_left_out_and_counted():
    """A matrix of hundreds of categories shows the most confused ones, in their order, and says how many are missing."""
    chart = confusion_chart(drawn(MOST_CLASSES + 20), [f"c{number}" for number in range(MOST_CLASSES + 20)])
    assert chart.left_out == 20
    numbers = [int(re.findall(r"\d+", name)[0]) for name, _ in chart.columns]
    assert len(numbers) == MOST_CLASSES
    assert numbers == sorted(numbers)
    assert max(cell.x for cell in chart.cells) < chart.size
