"""What it took to train a classifier, from what the run wrote down."""

from __future__ import annotations

import csv

from aisle_training.evaluation.evaluation import TrainingCost
from aisle_training.history import best_epoch
from aisle_training.runs import RunFolder


def read_training_cost(run: RunFolder, classifier: str, parameters: int) -> TrainingCost:
    """Read what a classifier cost.

    Args:
        run: A run that is trained to its end.
        classifier: One of its classifiers.
        parameters: Numbers in its network.
    """
    with run.history_path(classifier).open(encoding="utf-8", newline="") as file:
        epochs = [{name: float(value) for name, value in line.items()} for line in csv.DictReader(file)]
    of_epochs = sum(epoch["seconds"] for epoch in epochs)
    return TrainingCost(
        parameters=parameters,
        epochs=len(epochs),
        best_epoch=int(best_epoch(epochs)["epoch"]),
        seconds_per_epoch=of_epochs / len(epochs),
        # A run that was resumed was timed from there on, while its history has every epoch.
        seconds=max(of_epochs, run.training_seconds().get(classifier, 0.0)),
        hardware=run.training_hardware().get(classifier),
    )
