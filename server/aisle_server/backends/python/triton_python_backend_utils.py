"""The module that python models import as `triton_python_backend_utils`, most of them `as pb_utils`. It only hands names on.

Source: Triton's python backend, `triton_python_backend_utils`.
"""

from __future__ import annotations

from aisle_server.backends.python.current_model import current_model
from aisle_server.backends.python.errors import TritonError, TritonModelException
from aisle_server.backends.python.logger import Logger, LogLevel
from aisle_server.backends.python.metrics import Metric, MetricFamily
from aisle_server.backends.python.model_config import (
    ModelConfig,
    get_input_config_by_name,
    get_output_config_by_name,
    using_decoupled_model_transaction_policy,
)
from aisle_server.backends.python.request import (
    TRITONSERVER_MEMORY_CPU,
    TRITONSERVER_MEMORY_GPU,
    TRITONSERVER_REQUEST_FLAG_SEQUENCE_END,
    TRITONSERVER_REQUEST_FLAG_SEQUENCE_START,
    TRITONSERVER_REQUEST_RELEASE_ALL,
    TRITONSERVER_REQUEST_RELEASE_RESCHEDULE,
    InferenceRequest,
    PreferredMemory,
    get_input_tensor_by_name,
)
from aisle_server.backends.python.response import InferenceResponse, get_output_tensor_by_name
from aisle_server.backends.python.response_sender import TRITONSERVER_RESPONSE_COMPLETE_FINAL, InferenceResponseSender
from aisle_server.backends.python.tensor import (
    Tensor,
    deserialize_bytes_tensor,
    numpy_to_triton_type,
    serialize_byte_tensor,
    triton_string_to_numpy,
    triton_to_numpy_type,
)

__all__ = [
    "TRITONSERVER_MEMORY_CPU",
    "TRITONSERVER_MEMORY_GPU",
    "TRITONSERVER_REQUEST_FLAG_SEQUENCE_END",
    "TRITONSERVER_REQUEST_FLAG_SEQUENCE_START",
    "TRITONSERVER_REQUEST_RELEASE_ALL",
    "TRITONSERVER_REQUEST_RELEASE_RESCHEDULE",
    "TRITONSERVER_RESPONSE_COMPLETE_FINAL",
    "InferenceRequest",
    "InferenceResponse",
    "InferenceResponseSender",
    "LogLevel",
    "Logger",
    "Metric",
    "MetricFamily",
    "ModelConfig",
    "PreferredMemory",
    "Tensor",
    "TritonError",
    "TritonModelException",
    "deserialize_bytes_tensor",
    "get_input_config_by_name",
    "get_input_tensor_by_name",
    "get_model_dir",
    "get_output_config_by_name",
    "get_output_tensor_by_name",
    "numpy_to_triton_type",
    "serialize_byte_tensor",
    "triton_string_to_numpy",
    "triton_to_numpy_type",
    "using_decoupled_model_transaction_policy",
]


def get_model_dir() -> str:
    """Return the version directory of the model that calls.

    Raises:
        TritonModelException: Called on a thread that the model started by itself, where the model is not known.
    """
    model = current_model()
    if model is None:
        raise TritonModelException(
            "get_model_dir was called outside of a model's own methods; call it in initialize and keep what it returns"
        )
    return str(model.directory)
