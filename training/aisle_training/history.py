"""The history of a training: an entry for each epoch, which of them is the best, and the file that they are kept in."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np


def best_epoch(history: Sequence[dict[str, float]]) -> dict[str, float]:
    """Find the epoch with the best validation accuracy; of several such the one with the lowest loss, then the first.

    Of some sixty validation products, as a small shop has, many epochs have the same number right. The loss goes on telling
    them apart, and falls where the network still gets better.
    """
    return max(history, key=lambda epoch: (epoch["val_accuracy"], -epoch["val_loss"], -epoch["epoch"]))


def write_history(path: Path, history: list[dict[str, float]]) -> None:
    """Write a line for each epoch as CSV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(history[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(
            {name: np.format_float_positional(value, 6, trim="-") for name, value in epoch.items()} for epoch in history
        )
