"""An image classifier with drawn weights, exported in both formats and held against its Keras network."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np

from aisle_training.export.classifiers import EMBEDDING_AND_PROBABILITIES, Classifier
from aisle_training.export.onnx_file import open_onnx, write_onnx
from aisle_training.export.parity import check_parity
from aisle_training.export.savedmodel import open_savedmodel, write_savedmodel
from aisle_training.models.batch_norm import measure_batch_norms
from aisle_training.models.image_classifier import ImageClassifier
from aisle_training.models.image_networks import IMAGE_NETWORKS, scale_pixels


def largest_difference(network: str, width: float, folder: Path, *, flip_average: bool = False) -> float:
    """Export a classifier as ONNX and SavedModel, and give the largest difference of a probability.

    Args:
        network: One of `IMAGE_NETWORKS`, at the smallest picture size it takes.
        width: Of the network.
        folder: Where the files go.
        flip_average: Of the classifier.
    """
    keras.utils.set_random_seed(0)
    size = IMAGE_NETWORKS[network].smallest_picture
    model = ImageClassifier(4, size, network, width, flip_average=flip_average)
    pixels = np.random.default_rng(0).integers(0, 256, (32, size, size, 3), dtype=np.uint8)
    # Drawn weights let a deep network's features fade to zero, where every export would agree.
    measure_batch_norms(model.image_network, scale_pixels(network, pixels))
    # And they may let them grow without bound, where float32 itself agrees with nobody: a trained one is tame.
    head = model.get_layer("logits")
    spread = max(1.0, 5 * float(model.logits_model().predict(pixels, verbose=0).std()))
    head.set_weights([weight / spread for weight in head.get_weights()])
    probabilities = model.predict(pixels, verbose=0)["PROBABILITIES"]
    assert probabilities.std(axis=0).max() > 0.003, "all pictures get the same answer"
    classifier = Classifier.of("image_classifier", model, ["PIXELS"], EMBEDDING_AND_PROBABILITIES, highest=255)
    write_onnx(classifier, folder / "model.onnx")
    write_savedmodel(classifier, folder / "model.savedmodel")
    exported = open_onnx(folder / "model.onnx"), open_savedmodel(folder / "model.savedmodel")
    return max(check_parity(classifier, network) for network in exported)
