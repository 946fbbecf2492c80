"""The history of a training."""

from aisle_training.history import best_epoch


def test_of_equally_accurate_epochs_the_one_with_the_lowest_loss_is_the_best():
    """Accuracy counts first, then the loss, then the earlier epoch: so few validation products do not end a training."""

    def history(*figures: tuple[float, float]) -> list[dict[str, float]]:
        return [
            {"epoch": number, "val_accuracy": accuracy, "val_loss": loss}
            for number, (accuracy, loss) in enumerate(figures, start=1)
        ]

    assert best_epoch(history((0.5, 0.1), (0.9, 0.8), (0.9, 0.4), (0.9, 0.6), (0.8, 0.2)))["epoch"] == 3
    assert best_epoch(history((0.9, 0.4), (0.9, 0.4)))["epoch"] == 1
