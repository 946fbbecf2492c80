"""Image networks in 8-bit integers."""

from pathlib import Path

import keras
import numpy as np
import onnx

from aisle_training.export.classifiers import EMBEDDING_AND_PROBABILITIES, Classifier
from aisle_training.export.onnx_file import write_onnx
from aisle_training.export.quantization import measure_image_classifiers, quantize_image_classifier
from aisle_training.models.batch_norm import measure_batch_norms
from aisle_training.models.image_classifier import ImageClassifier
from aisle_training.models.image_networks import scale_pixels


def test_quantized_classifier_is_smaller_and_answers_nearly_alike(tmp_path: Path):
    """Convolutions are rounded to 8 bits, the tensors stay what they are, and most pictures keep their category."""
    keras.utils.set_random_seed(0)
    model = ImageClassifier(4, 32, "classic_convnet", 0.25)
    pixels = np.random.default_rng(0).integers(0, 256, (48, 32, 32, 3), dtype=np.uint8)
    pixels //= np.random.default_rng(1).integers(1, 5, (48, 1, 1, 3), dtype=np.uint8)
    measure_batch_norms(model.image_network, scale_pixels("classic_convnet", pixels))
    whole, rounded = tmp_path / "whole.onnx", tmp_path / "rounded.onnx"
    write_onnx(Classifier.of("image_classifier", model, ["PIXELS"], EMBEDDING_AND_PROBABILITIES, highest=255), whole)
    quantize_image_classifier(whole, rounded, pixels)

    before, after = onnx.load(whole), onnx.load(rounded)
    assert list(after.graph.input) == list(before.graph.input)
    assert {tensor.name for tensor in after.graph.output} == {"EMBEDDING", "PROBABILITIES"}
    kinds = {tensor.name: tensor.data_type for tensor in after.graph.initializer}
    assert sum(kind == onnx.TensorProto.INT8 for kind in kinds.values()) >= 8

    labels = model.predict(pixels, verbose=0)["PROBABILITIES"].argmax(axis=1).astype(np.int32)
    figures = measure_image_classifiers([whole, rounded], pixels, labels, timed=3)
    assert figures[0].accuracy == 1.0
    assert 0.7 < figures[1].accuracy <= 1.0
    assert figures[1].size_bytes < 0.6 * figures[0].size_bytes
    assert all(measured.milliseconds > 0 for measured in figures)
    assert all(measured.predicted.shape == (48,) for measured in figures)
