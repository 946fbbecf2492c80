"""Fit one network: optimiser, learning rate, history, TensorBoard, and a checkpoint after each epoch to resume from."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from aisle_training.batches import ShuffledBatches
from aisle_training.history import best_epoch, write_history
from aisle_training.models.macro_f1 import MacroF1
from aisle_training.recipes.recipe import Schedule


class EpochCheckpoint(keras.callbacks.Callback):  # type: ignore[misc]
    """Keep the last epoch to resume from and the best one to end with; stop when it no longer gets better.

    Where the optimiser keeps a running average of the weights, the average is put in their place for the validation and
    for the best checkpoint, and the epoch after goes on from the weights themselves.

    The folder holds `epoch_<n>.weights.h5` (weights and optimiser of the last epoch), `best.weights.h5`, and
    `state.json`, which is written last and by a rename: a run that is killed at any moment finds a whole epoch.

    Args:
        folder: Where to keep them; made when it is missing.
        batches: Whose order is drawn anew in each epoch.
        patience: Epochs without a better one, see `best_epoch`, after which training stops.
        on_average: Called when the averaged weights are in place, to measure what else depends on them.
    """

    def __init__(
        self, folder: Path, batches: ShuffledBatches, patience: int, on_average: Callable[[], object] = lambda: None
    ) -> None:
        super().__init__()
        self._folder = folder
        self._batches = batches
        self._patience = patience
        self._on_average = on_average
        self._trained: list[Any] = []
        self._epoch_start_s = 0.0
        self.history: list[dict[str, float]] = []

    @property
    def best(self) -> dict[str, float]:
        """The best epoch so far, see `best_epoch`."""
        return best_epoch(self.history)

    def has_finished(self, epochs: int) -> bool:
        """Say whether there is nothing left to do of `epochs` epochs."""
        return len(self.history) >= epochs or self._has_stopped_improving()

    def restore(self, model: Any) -> None:
        """Put a compiled model where the last whole epoch left it; without a checkpoint, leave it as it is."""
        state_path = self._folder / "state.json"
        if not state_path.is_file():
            return
        state = json.loads(state_path.read_text(encoding="utf-8"))
        model.optimizer.build(model.trainable_variables)
        model.load_weights(self._folder / state["last"])
        self.history = state["history"]

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Draw the order of the epoch, and where its dropout starts: from the seed and the epoch's number alone."""
        self._batches.start_epoch(epoch)
        generator = np.random.default_rng((self._batches.seed, epoch))
        # Keras saves no state of its random generators, so a resumed run would repeat the first epoch's masks.
        for variable in self.model.variables:
            if variable.name == "seed_generator_state":
                variable.assign(generator.integers(0, 2**31, variable.shape).astype(variable.dtype))
        self._epoch_start_s = time.monotonic()

    def on_test_begin(self, logs: dict[str, float] | None = None) -> None:
        """Put the averaged weights in place, if there are any, and keep the others."""
        if not self.model.optimizer.use_ema:
            return
        variables = self.model.trainable_variables
        self._trained = [np.array(ops.convert_to_numpy(variable)) for variable in variables]
        self.model.optimizer.finalize_variable_values(variables)
        for variable in variables:
            # JAX has only handed the optimiser's array over, and its validation steps delete the arrays they are given.
            variable.assign(ops.copy(variable))
        self._on_average()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Write the checkpoint.

        Raises:
            FloatingPointError: The loss is no longer a number; what was kept before stays as it is.
        """
        figures = {name: float(value) for name, value in (logs or {}).items()}
        if not np.isfinite(figures["loss"]):
            raise FloatingPointError(f"the loss of epoch {epoch + 1} is {figures['loss']}: lower the learning rate")
        self.history.append({"epoch": epoch + 1, "seconds": time.monotonic() - self._epoch_start_s, **figures})
        self._folder.mkdir(parents=True, exist_ok=True)
        if self.best is self.history[-1]:
            partial = self._folder / "partial.weights.h5"
            self.model.save_weights(partial)
            partial.replace(self._folder / "best.weights.h5")
        # Without an average there is nothing to put back.
        for variable, value in zip(self.model.trainable_variables, self._trained, strict=False):
            variable.assign(value)
        last = f"epoch_{epoch + 1}.weights.h5"
        self.model.save_weights(self._folder / last)
        partial = self._folder / "state.json.partial"
        partial.write_text(json.dumps({"last": last, "history": self.history}), encoding="utf-8")
        partial.replace(self._folder / "state.json")
        for older in self._folder.glob("epoch_*.weights.h5"):
            if older.name != last:
                older.unlink()
        if self._has_stopped_improving():
            self.model.stop_training = True

    def load_best(self, model: Any) -> None:
        """Give the model the weights of the best epoch."""
        model.load_weights(self._folder / "best.weights.h5")

    def _has_stopped_improving(self) -> bool:
        return bool(self.history) and len(self.history) - self.best["epoch"] >= self._patience


@keras.saving.register_keras_serializable(package="aisle")
class SmoothedCrossentropy(keras.losses.Loss):  # type: ignore[misc]
    """Cross-entropy of logits with class numbers or shares of classes; the target is smoothed over all classes.

    Keras smooths one-hot targets only, and takes one kind of label: here training may mix pictures, whose labels are
    shares, while the validation has class numbers.

    Args:
        label_smoothing: Probability taken from the true class and spread over all.
    """

    def __init__(self, label_smoothing: float, name: str = "smoothed_crossentropy") -> None:
        super().__init__(name=name)
        self.label_smoothing = label_smoothing

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Give the loss of each row, [rows].

        Args:
            y_true: Class numbers, [rows] or [rows, 1], or shares that sum to 1, [rows, classes].
            y_pred: Logits, [rows, classes].
        """
        log_probabilities = ops.log_softmax(y_pred, axis=-1)
        targets = y_true
        if not _are_shares(y_true, y_pred):
            targets = ops.one_hot(ops.cast(ops.reshape(y_true, (-1,)), "int32"), y_pred.shape[-1])
        targets = targets * (1.0 - self.label_smoothing) + self.label_smoothing / y_pred.shape[-1]
        return -ops.sum(targets * log_probabilities, axis=-1)


def largest_share_accuracy(y_true: Any, y_pred: Any) -> Any:
    """Say of each row, [rows], whether the class with the highest logit is the class, or that with the largest share.

    Args:
        y_true: As `SmoothedCrossentropy` takes it.
        y_pred: Logits, [rows, classes].
    """
    shares = _are_shares(y_true, y_pred)
    classes = ops.argmax(y_true, axis=-1) if shares else ops.cast(ops.reshape(y_true, (-1,)), "int32")
    return ops.cast(ops.equal(ops.cast(classes, "int32"), ops.cast(ops.argmax(y_pred, axis=-1), "int32")), "float32")


def _are_shares(y_true: Any, y_pred: Any) -> bool:
    return len(y_true.shape) == 2 and y_true.shape[-1] == y_pred.shape[-1]


def compile_model(model: Any, schedule: Schedule, steps_per_epoch: int) -> None:
    """Give a model its optimiser, loss and metrics.

    Args:
        model: Gives logits [rows, classes].
        schedule: The numbers.
        steps_per_epoch: Batches in an epoch.
    """
    steps = schedule.epochs_of(steps_per_epoch) * steps_per_epoch
    warmup_steps = min(round(schedule.warmup_epochs * steps_per_epoch), steps - 1)
    learning_rate = keras.optimizers.schedules.CosineDecay(
        # The warm-up starts here; exactly zero would make the first step of a run of one step do nothing.
        initial_learning_rate=schedule.learning_rate / 100,
        decay_steps=max(steps - warmup_steps, 1),
        warmup_target=schedule.learning_rate if warmup_steps else None,
        warmup_steps=warmup_steps,
    )
    model.compile(
        optimizer=keras.optimizers.AdamW(
            learning_rate,
            weight_decay=schedule.weight_decay,
            use_ema=schedule.ema_momentum > 0,
            ema_momentum=schedule.ema_momentum,
        ),
        loss=SmoothedCrossentropy(schedule.label_smoothing),
        metrics=[
            keras.metrics.MeanMetricWrapper(largest_share_accuracy, name="accuracy"),
            MacroF1(model.output_shape[-1]),
        ],
        # Keras would have TensorFlow compile with XLA, whose convolutions on a CPU take six times as long (MobileNetV2,
        # 96 pixels, two cores: 54 ms a picture, 8.6 ms without). JAX knows nothing else.
        jit_compile=keras.backend.backend() != "tensorflow",
    )


def fit_model(
    model: Any,
    batches: ShuffledBatches,
    validation: tuple[Any, Any],
    schedule: Schedule,
    *,
    checkpoints: Path,
    history_path: Path,
    logs_path: Path,
    on_average: Callable[[], object] = lambda: None,
) -> list[dict[str, float]]:
    """Train a model from where its checkpoint left it, and leave it with the weights of its best epoch.

    Args:
        model: Gives logits [rows, classes].
        batches: The training split.
        validation: Inputs and labels of the validation split.
        schedule: The numbers.
        checkpoints: The folder of this model's checkpoints; empty or missing at first.
        history_path: Where the CSV goes that has a line for each epoch.
        logs_path: Where TensorBoard will look.
        on_average: Called each time the average of the weights takes their place, if the schedule keeps one.

    Returns:
        An entry for each epoch: its number from 1, seconds, and Keras' figures.

    Raises:
        FloatingPointError: The loss is no longer a number.
    """
    compile_model(model, schedule, len(batches))
    epochs = schedule.epochs_of(len(batches))
    checkpoint = EpochCheckpoint(checkpoints, batches, schedule.patience, on_average)
    checkpoint.restore(model)
    if not checkpoint.has_finished(epochs):
        model.fit(
            batches,
            validation_data=validation,
            validation_batch_size=256,
            initial_epoch=len(checkpoint.history),
            epochs=epochs,
            shuffle=False,
            callbacks=[
                checkpoint,
                keras.callbacks.TensorBoard(logs_path, write_graph=False),
            ],
            # In a file, a progress bar would be one line of a megabyte.
            verbose=1 if sys.stdout.isatty() else 2,
        )
    checkpoint.load_best(model)
    write_history(history_path, checkpoint.history)
    return checkpoint.history
