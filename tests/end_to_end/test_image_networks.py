"""The published image networks, which take seconds to build and to convert, through both export formats."""

from pathlib import Path

import pytest

from tests.support.exported_image_network import largest_difference


@pytest.mark.parametrize(
    ("network", "width"),
    [
        ("mobilenet_v2", 0.35),
        ("mobilenet_v3_small", 0.35),
        ("efficientnet_v2_b0", 1.0),
        ("resnet50", 1.0),
        ("inception_v3", 1.0),
    ],
)
def test_published_networks_answer_alike(tmp_path: Path, network: str, width: float):
    """ONNX Runtime and TensorFlow give the probabilities of each published network, within 1e-4."""
    assert largest_difference(network, width, tmp_path) < 1e-4
