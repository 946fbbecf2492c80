"""Every title network, exported: ONNX Runtime and TensorFlow Serving's signature answer as Keras does."""

from pathlib import Path

import keras
import numpy as np
import onnx
import pytest

from aisle_training.export.classifiers import Classifier
from aisle_training.export.onnx_file import open_onnx, write_onnx
from aisle_training.export.parity import MAXIMUM_DIFFERENCE, check_parity
from aisle_training.export.savedmodel import open_savedmodel, write_savedmodel
from aisle_training.models.title_classifier import TitleClassifier
from aisle_training.models.title_networks import TITLE_NETWORKS

LENGTH, NGRAMS, VOCABULARY = 12, 4, 60


def build(network: str) -> Classifier:
    """Build a small classifier of two members with weights large enough to tell."""
    backbone = None
    if network == "bert":
        from keras_hub.models import BertBackbone

        backbone = BertBackbone(VOCABULARY, 1, 2, 8, 16, max_sequence_length=LENGTH).get_config()
    keras.utils.set_random_seed(0)
    model = TitleClassifier(4, VOCABULARY, LENGTH, network, 8, 8, 16, 0.1, NGRAMS, 2, backbone)
    model.set_weights([3.0 * weight for weight in model.get_weights()])
    return Classifier.of("title_classifier", model, ("TOKEN_IDS",), ("EMBEDDING", "PROBABILITIES"), VOCABULARY - 1)


@pytest.mark.parametrize("network", TITLE_NETWORKS)
def test_parity(network: str, tmp_path: Path) -> None:
    """Both formats give the probabilities of Keras, for whole titles, padded ones and a blank one."""
    classifier = build(network)
    write_onnx(classifier, tmp_path / "model.onnx")
    write_savedmodel(classifier, tmp_path / "model.savedmodel")
    token_ids = np.random.default_rng(0).integers(1, VOCABULARY, (4, LENGTH), dtype=np.int32)
    token_ids[1, 3:8] = token_ids[2, 9:] = token_ids[3] = 0
    expected = {name: np.asarray(output) for name, output in classifier.call({"TOKEN_IDS": token_ids}).items()}
    assert np.ptp(expected["PROBABILITIES"], axis=0).max() > 0.01  # titles are told apart
    for exported in (open_onnx(tmp_path / "model.onnx"), open_savedmodel(tmp_path / "model.savedmodel")):
        assert check_parity(classifier, exported) <= MAXIMUM_DIFFERENCE
        answer = exported({"TOKEN_IDS": token_ids})
        for name, output in expected.items():
            np.testing.assert_allclose(answer[name], output, atol=MAXIMUM_DIFFERENCE)


@pytest.mark.parametrize("network", ["lstm", "conv_bilstm"])
def test_recurrent_networks_stay_small(network: str, tmp_path: Path) -> None:
    """An LSTM is written as a loop, not unrolled over the tokens, and without cuDNN."""
    write_onnx(build(network), tmp_path / "model.onnx")
    nodes = onnx.load(tmp_path / "model.onnx").graph.node
    assert "Loop" in {node.op_type for node in nodes}
    assert {node.domain for node in nodes} <= {"", "ai.onnx"}
    assert len(nodes) < 300
