"""Write a Keras classifier as a TensorFlow SavedModel, and run such a folder."""

from __future__ import annotations

from pathlib import Path

from aisle_training.export.classifiers import Classifier, Network, Tensors


def write_savedmodel(classifier: Classifier, path: Path) -> None:
    """Write a classifier as a SavedModel whose `serving_default` signature has the names of its specification.

    Args:
        classifier: On Keras's TensorFlow backend.
        path: The folder to write.
    """
    classifier.model.export(path, format="tf_saved_model", verbose=False)


def open_savedmodel(path: Path) -> Network:
    """Open a SavedModel's `serving_default` signature."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))
    signature = loaded.signatures["serving_default"]

    def network(tensors: Tensors) -> dict[str, object]:
        # The signature holds its model weakly; `loaded` must live as long as it is called.
        assert loaded is not None
        outputs = signature(**{name: tf.constant(tensor) for name, tensor in tensors.items()})
        return {name: output.numpy() for name, output in outputs.items()}

    return network  # type: ignore[return-value]
