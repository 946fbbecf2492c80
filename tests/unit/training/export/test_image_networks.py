"""Every image network answers as ONNX and as SavedModel as it does in Keras."""

from pathlib import Path

import keras
import numpy as np
import pytest

from aisle_training.export.classifiers import EMBEDDING_AND_PROBABILITIES, Classifier
from aisle_training.export.onnx_file import open_onnx, write_onnx
from aisle_training.export.parity import check_parity
from aisle_training.export.savedmodel import open_savedmodel, write_savedmodel
from aisle_training.models.image_classifier import ImageClassifier


@pytest.mark.parametrize("flip_average", [False, True])
def test_exported_networks_answer_alike(tmp_path: Path, flip_average: bool):
    """ONNX Runtime and TensorFlow give the probabilities of the Keras network, within 1e-4."""
    keras.utils.set_random_seed(0)
    model = ImageClassifier(4, picture_size=32, network="convnet", width=0.25, flip_average=flip_average)
    model.set_weights([2.0 * weight for weight in model.get_weights()])
    classifier = Classifier.of("image_classifier", model, ["PIXELS"], EMBEDDING_AND_PROBABILITIES, highest=255)
    write_onnx(classifier, tmp_path / "model.onnx")
    write_savedmodel(classifier, tmp_path / "model.savedmodel")
    pixels = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    assert model.predict(pixels, verbose=0)["PROBABILITIES"].std() > 0.01  # not all the same
    for exported in (open_onnx(tmp_path / "model.onnx"), open_savedmodel(tmp_path / "model.savedmodel")):
        assert check_parity(classifier, exported) < 1e-4
