"""Image networks answer as ONNX and as SavedModel as they do in Keras."""

from pathlib import Path

import pytest

from tests.support.exported_image_network import largest_difference


@pytest.mark.parametrize("network", ["convnet", "classic_convnet"])
@pytest.mark.parametrize("flip_average", [False, True])
def test_exported_networks_answer_alike(tmp_path: Path, network: str, flip_average: bool):
    """ONNX Runtime and TensorFlow give the probabilities of our own networks, within 1e-4, with one look and with two."""
    assert largest_difference(network, 0.25, tmp_path, flip_average=flip_average) < 1e-4
