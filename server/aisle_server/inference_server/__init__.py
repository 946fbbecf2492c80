"""The transport-free face of the server: live, ready, metadata, infer, statistics. What frontends may ask, and nothing of how."""

from aisle_server.inference_server.metadata import ModelMetadata, ServerMetadata, TensorMetadata
from aisle_server.inference_server.server import InferenceServer, ModelControl, ModelVersionStatistics
from aisle_server.repository.override import LoadOverride
from aisle_server.repository.states import ModelIndex, ModelState

__all__ = [
    "InferenceServer",
    "LoadOverride",
    "ModelControl",
    "ModelIndex",
    "ModelMetadata",
    "ModelState",
    "ModelVersionStatistics",
    "ServerMetadata",
    "TensorMetadata",
]
