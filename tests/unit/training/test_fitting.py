"""Fitting: checkpoints, resuming, stopping."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from aisle_training.batches import ShuffledBatches
from aisle_training.fitting import SmoothedCrossentropy, fit_model, largest_share_accuracy
from aisle_training.history import best_epoch
from aisle_training.metrics import macro_f1
from aisle_training.models.macro_f1 import MacroF1
from aisle_training.recipes.recipe import Schedule

GENERATOR = np.random.default_rng(0)
ROWS = GENERATOR.normal(size=(48, 5)).astype(np.float32)
LABELS = (ROWS[:, 0] > 0).astype(np.int32) + (ROWS[:, 1] > 0)


class Rows(ShuffledBatches):
    """The rows above; the run is killed as epoch `killed_at` begins."""

    def __init__(self, killed_at: int | None = None) -> None:
        self._killed_at: int | None = None
        super().__init__(len(ROWS), batch_size=16, seed=3)
        self._killed_at = killed_at

    def start_epoch(self, epoch: int) -> None:
        if epoch == self._killed_at:
            raise KeyboardInterrupt
        super().start_epoch(epoch)

    def _make_batch(self, chosen: Any, generator: np.random.Generator) -> Any:
        return ROWS[chosen], LABELS[chosen]


def build(seed: int) -> keras.Model:
    """A small network with dropout."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((5,))
    x = layers.Dropout(0.3)(layers.Dense(8, activation="relu")(inputs))
    return keras.Model(inputs, layers.Dense(3)(x))


def fit(
    model: keras.Model,
    folder: Path,
    schedule: Schedule,
    killed_at: int | None = None,
    on_average: Callable[[], object] = lambda: None,
) -> list[dict[str, float]]:
    """Fit it on the rows above, in a folder of its own."""
    return fit_model(
        model,
        Rows(killed_at),
        (ROWS, LABELS),
        schedule,
        checkpoints=folder / "checkpoints",
        history_path=folder / "history.csv",
        logs_path=folder / "logs",
        on_average=on_average,
    )


@pytest.mark.parametrize("ema_momentum", [0.0, 0.8])
def test_resumed_run_ends_where_an_unbroken_one_does(tmp_path: Path, ema_momentum: float):
    """A run that was killed and resumed ends with the weights of a run that was not, whatever it is started with."""
    schedule = Schedule(epochs=4, learning_rate=0.01, patience=9, ema_momentum=ema_momentum)
    unbroken = build(seed=0)
    fit(unbroken, tmp_path / "unbroken", schedule)
    with pytest.raises(KeyboardInterrupt):
        fit(build(seed=0), tmp_path / "killed", schedule, killed_at=2)
    resumed = build(seed=99)
    history = fit(resumed, tmp_path / "killed", schedule)
    assert [epoch["epoch"] for epoch in history] == [1, 2, 3, 4]
    for ours, theirs in zip(resumed.get_weights(), unbroken.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_average_of_the_weights_is_what_is_validated_and_kept(tmp_path: Path):
    """The average is in place at each validation, training goes on from the weights themselves, the best average stays."""
    seen: dict[float, list[list[Any]]] = {}
    for momentum in (1e-9, 0.5):  # the first averages nothing: it shows the weights themselves
        model = build(seed=0)
        seen[momentum] = kept = []
        schedule = Schedule(epochs=4, learning_rate=0.05, patience=9, ema_momentum=momentum)
        history = fit(
            model, tmp_path / str(momentum), schedule, on_average=lambda m=model, k=kept: k.append(m.get_weights())
        )
        best = best_epoch(history)
        for ours, theirs in zip(model.get_weights(), kept[int(best["epoch"]) - 1], strict=True):
            np.testing.assert_array_equal(ours, theirs)
        reached = np.mean(model.predict(ROWS, verbose=0).argmax(axis=1) == LABELS)
        assert reached == pytest.approx(best["val_accuracy"])
    # Three steps an epoch: the average after an epoch holds 1/8 of the one before, and 1/2 of the last weights.
    for epoch in range(1, 4):
        for average, before, last in zip(seen[0.5][epoch], seen[0.5][epoch - 1], seen[1e-9][epoch], strict=True):
            between = average - before / 8 - last / 2  # 3/8 of two steps that lie between
            assert np.abs(between / 0.375 - last).max() < 0.3
            assert np.abs(average - last).max() > 0


def test_training_stops_and_keeps_the_best_epoch(tmp_path: Path):
    """When patience runs out training stops, and the model has the weights of its best epoch."""
    model = build(seed=0)
    # A learning rate that ruins the network after a good start.
    history = fit(model, tmp_path, Schedule(epochs=40, learning_rate=2.0, warmup_epochs=2, patience=3))
    best = max(epoch["val_accuracy"] for epoch in history)
    assert len(history) < 40
    assert max(epoch["val_accuracy"] for epoch in history[-3:]) <= best
    reached = np.mean(model.predict(ROWS, verbose=0).argmax(axis=1) == LABELS)
    assert reached == pytest.approx(best)


def test_finished_training_is_not_repeated(tmp_path: Path):
    """Resuming after the last epoch trains nothing, and still gives the best weights and the whole history."""
    schedule = Schedule(epochs=2, learning_rate=0.01)
    first = build(seed=0)
    fit(first, tmp_path, schedule)
    second = build(seed=1)
    assert len(fit(second, tmp_path, schedule, killed_at=0)) == 2
    np.testing.assert_array_equal(second.get_weights()[0], first.get_weights()[0])


def test_diverging_training_is_stopped(tmp_path: Path):
    """A loss that is no longer a number ends the training with what to do about it."""
    with pytest.raises(FloatingPointError, match="lower the learning rate"):
        fit(build(seed=0), tmp_path, Schedule(epochs=2, learning_rate=1e30, warmup_epochs=0))


def test_history_and_logs_are_written(tmp_path: Path):
    """A line an epoch stands in the history, and accuracy, loss and macro-F1 of each epoch in TensorBoard's files."""
    fit(build(seed=0), tmp_path, Schedule(epochs=2))
    lines = (tmp_path / "history.csv").read_text().splitlines()
    assert lines[0].startswith("epoch,seconds,accuracy,loss")
    assert [line.split(",")[0] for line in lines[1:]] == ["1", "2"]
    assert {"macro_f1", "val_macro_f1"} <= set(lines[0].split(","))
    for part in ("train", "validation"):
        logged = EventAccumulator(str(tmp_path / "logs" / part)).Reload()
        for figure in ("accuracy", "loss", "macro_f1"):
            assert len(logged.Tensors(f"epoch_{figure}")) == 2


def test_macro_f1_of_an_epoch_is_that_of_its_rows(tmp_path: Path):
    """The validation's macro-F1 in the history is that of the model's predictions on the whole validation split."""
    model = build(seed=0)
    (epoch,) = fit(model, tmp_path, Schedule(epochs=1))
    predicted = model.predict(ROWS, verbose=0).argmax(axis=1)
    assert epoch["val_macro_f1"] == pytest.approx(macro_f1(predicted, LABELS, 3), abs=1e-6)


def test_macro_f1_counts_the_largest_share_and_the_classes_that_occur():
    """Mixed labels count as the class with the largest share, and a class that never occurs is left out of the mean."""
    metric = MacroF1(4)
    metric.update_state(np.array([[0.7, 0.3, 0, 0], [0.4, 0.6, 0, 0]]), np.eye(4)[[0, 0]])
    metric.update_state(np.array([[1.0, 0, 0, 0]]), np.eye(4)[[1]])
    assert float(metric.result()) == pytest.approx(macro_f1(np.array([0, 0, 1]), np.array([0, 1, 0]), 4))
    metric.reset_state()
    metric.update_state(np.array([2]), np.eye(4)[[2]])
    assert float(metric.result()) == pytest.approx(1.0)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_smoothed_loss_is_that_of_one_hot_targets(smoothing: float):
    """The loss on class numbers equals Keras' own on one-hot targets with the same smoothing."""
    logits = GENERATOR.normal(size=(6, 3)).astype(np.float32)
    labels = np.array([0, 1, 2, 2, 1, 0], dtype=np.int32)
    expected = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)
    loss = SmoothedCrossentropy(smoothing)(labels, logits)
    assert float(loss) == pytest.approx(float(expected(np.eye(3, dtype=np.float32)[labels], logits)), rel=1e-5)


def test_mixed_labels_are_shares_of_classes():
    """Shares of classes give the loss that Keras' own gives, smoothed or not; right is the class with the larger share."""
    logits = GENERATOR.normal(size=(4, 3)).astype(np.float32)
    shares = np.array([[0.7, 0.3, 0], [0, 1, 0], [0.1, 0, 0.9], [0, 0.4, 0.6]], dtype=np.float32)
    expected = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    assert float(SmoothedCrossentropy(0.1)(shares, logits)) == pytest.approx(float(expected(shares, logits)), rel=1e-5)
    right = keras.ops.convert_to_numpy(largest_share_accuracy(shares, logits))
    np.testing.assert_array_equal(right, (logits.argmax(axis=1) == [0, 1, 2, 2]).astype(np.float32))
    np.testing.assert_array_equal(
        right, keras.ops.convert_to_numpy(largest_share_accuracy(np.array([0, 1, 2, 2]), logits))
    )
