"""What models say of themselves."""

from __future__ import annotations

from dataclasses import replace

from aisle_server.inference_server.metadata import TensorMetadata, describe_model
from aisle_server.model_config.schema import ModelConfig, ModelInput, ModelOutput

CONFIG = ModelConfig(
    "m",
    platform="onnxruntime_onnx",
    backend="onnxruntime",
    max_batch_size=8,
    inputs=(ModelInput("A", "BYTES", (1,)), ModelInput("B", "FP32", (-1, 3), reshape=(3, -1))),
    outputs=(ModelOutput("Y", "FP32", (5,)),),
)


def test_a_batching_model_shows_its_batch_dimension() -> None:
    """Callers see the shapes to send: -1 rows in front, and the dims of the configuration, not those of the backend."""
    metadata = describe_model(CONFIG, [2, 5])
    assert (metadata.name, metadata.versions, metadata.platform) == ("m", (2, 5), "onnxruntime_onnx")
    assert metadata.inputs == (TensorMetadata("A", "BYTES", (-1, 1)), TensorMetadata("B", "FP32", (-1, -1, 3)))
    assert metadata.outputs == (TensorMetadata("Y", "FP32", (-1, 5)),)


def test_a_model_without_batches_shows_its_dims() -> None:
    """Nothing stands in front of the dims of a model that does not batch."""
    metadata = describe_model(replace(CONFIG, max_batch_size=0), [1])
    assert [tensor.shape for tensor in (*metadata.inputs, *metadata.outputs)] == [(1,), (-1, 3), (5,)]


def test_a_model_without_platform_shows_its_backend() -> None:
    """A python model has no platform, and says `python`."""
    assert describe_model(replace(CONFIG, platform="", backend="python"), [1]).platform == "python"
