"""Macro-F1 as a metric of Keras, so that it is known after each epoch."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="aisle")
class MacroF1(keras.metrics.Metric):  # type: ignore[misc]
    """Average the F1 of the classes over an epoch, each counting the same however rare it is.

    Keras's own takes one-hot labels alone. The figure is that of `aisle_training.metrics.macro_f1`.

    Args:
        classes: Number of classes.
    """

    def __init__(self, classes: int, name: str = "macro_f1") -> None:
        super().__init__(name=name)
        self.classes = classes
        self.hits, self.support, self.chosen = (
            self.add_weight(shape=(classes,), initializer="zeros", name=each) for each in ("hits", "support", "chosen")
        )

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Count the rows of a batch.

        Args:
            y_true: Class numbers, [rows] or [rows, 1], or shares of classes, [rows, classes], the largest of which counts.
            y_pred: Logits, [rows, classes].
            sample_weight: Not looked at.
        """
        shares = len(y_true.shape) == 2 and y_true.shape[-1] == self.classes
        numbers = ops.argmax(y_true, axis=-1) if shares else ops.reshape(y_true, (-1,))
        labels = ops.one_hot(ops.cast(numbers, "int32"), self.classes)
        predicted = ops.one_hot(ops.argmax(y_pred, axis=-1), self.classes)
        self.hits.assign_add(ops.sum(labels * predicted, axis=0))
        self.support.assign_add(ops.sum(labels, axis=0))
        self.chosen.assign_add(ops.sum(predicted, axis=0))

    def result(self) -> Any:
        """Give the mean over the classes that occurred among the labels or the predictions."""
        either = self.support + self.chosen
        scores = 2.0 * self.hits / ops.maximum(either, 1.0)
        return ops.sum(scores) / ops.maximum(ops.sum(ops.cast(either > 0, "float32")), 1.0)

    def get_config(self) -> dict[str, Any]:
        """Give the arguments that build this metric again."""
        return {"classes": self.classes, "name": self.name}
