"""An evaluation for people: a table for the terminal, a confusion matrix as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from aisle_training.evaluate import Evaluation

# A cell with at least this part of its row is labelled: below it are single products, and too many digits to read.
LABELLED_FRACTION: Final = 0.05


def format_table(evaluation: Evaluation) -> str:
    """Give the figures as a table of fixed columns; a model without confidence has no calibration error."""
    header = f"{'model':<20} {'given':<18} {'rows':>7} {'accuracy':>9} {'macro-F1':>9} {'ECE':>7}"
    lines = [header, "-" * len(header)]
    for figures in evaluation.figures:
        error = figures.expected_calibration_error
        lines.append(
            f"{figures.model:<20} {figures.inputs:<18} {figures.rows:>7,} {figures.accuracy:>9.4f} "
            f"{figures.macro_f1:>9.4f} {'-' if error is None else f'{error:.4f}':>7}"
        )
    return "\n".join(lines)


def draw_confusion_matrix(evaluation: Evaluation, path: Path) -> None:
    """Draw the confusion matrix as a PNG that can be read with some fifty classes.

    Each row sums to one: a cell is the part of the products of a category that was put into another. Categories are
    in the order of their paths, so those of one branch stand together.

    Args:
        evaluation: What to draw.
        path: Where the PNG goes.
    """
    # Figure without pyplot: no display is looked for, and nothing global is left behind.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    counts = evaluation.confusion_matrix
    totals = counts.sum(axis=1, keepdims=True)
    fractions = counts / np.maximum(totals, 1)
    size_in = max(6.0, 3.0 + 0.3 * len(counts))
    figure = Figure(figsize=(size_in, size_in), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.imshow(np.sqrt(fractions), cmap="Blues", vmin=0.0, vmax=1.0)
    names = [category[-1] for category in evaluation.classes]
    ticks = np.arange(len(names))
    axes.set_xticks(ticks, names, rotation=90, fontsize=8)
    axes.set_yticks(ticks, [f"{name} ({total})" for name, (total,) in zip(names, totals, strict=True)], fontsize=8)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true (products)")
    correct = int(np.trace(counts))
    axes.set_title(f"{evaluation.inputs}: {correct:,} of {counts.sum():,} right; percent of each row")
    for row, column in np.argwhere(fractions >= LABELLED_FRACTION):
        fraction = fractions[row, column]
        colour = "white" if fraction > 0.35 else "black"
        axes.text(column, row, f"{100 * fraction:.0f}", ha="center", va="center", fontsize=6, color=colour)
    figure.savefig(path, dpi=110)
