"""Runs ONNX models with ONNX Runtime: one session an instance.

A session computes on its instance's own thread and on `intra_op_threads - 1` of its own. These do not spin while they wait: spinning
threads win a little latency on an idle machine and take the cores away from the other instances on a busy one.

Parameters of the model configuration, as Triton's ONNX Runtime backend names them:
    intra_op_thread_count: Threads of one instance, instead of what the process grants.
    enable_mem_arena: 0 gives memory back after each execution, and allocates it anew for the next.
    enable_mem_pattern: 0 plans no memory ahead. A plan is kept for each shape that was seen, and helps when shapes repeat.

Source: ONNX Runtime, "Thread management" and `onnxruntime_session_options_config_keys.h`; Triton's onnxruntime_backend.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnxruntime

from aisle_server.backends.backend import BackendInstance, BackendOptions, Device, Execution
from aisle_server.backends.batch_execution import BatchExecution
from aisle_server.backends.batching import Arrays
from aisle_server.backends.model_files import model_path, without_directories
from aisle_server.backends.parameters import count_parameter
from aisle_server.backends.signature import completed
from aisle_server.errors import InvalidArgumentError, UnsupportedError
from aisle_server.inference import InferenceRequest
from aisle_server.model_config.autocomplete import SignatureTensor
from aisle_server.model_config.schema import ModelConfig

DEFAULT_MODEL_FILENAME: Final = "model.onnx"
# What ONNX Runtime calls its types. It has more (bfloat16, float8, complex, ...) that do not pass through NumPy.
_DATATYPES: Final[Mapping[str, str]] = {
    "tensor(bool)": "BOOL",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(float16)": "FP16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(string)": "BYTES",
}
_LOG_ERRORS_ONLY: Final = 3


def open_onnxruntime_model(
    config: ModelConfig, version: int, version_directory: Path, options: BackendOptions
) -> OnnxRuntimeModel:
    """Open an ONNX model; see `BackendFactory`."""
    path = model_path(config, version_directory, DEFAULT_MODEL_FILENAME)
    if path.is_dir():  # a model with external data may be a directory of that name
        path = path / DEFAULT_MODEL_FILENAME
    return OnnxRuntimeModel(config, version, path, options)


class OnnxRuntimeModel:
    """One version of an ONNX model: its file, and what its sessions have in common."""

    def __init__(self, config: ModelConfig, version: int, path: Path, options: BackendOptions) -> None:
        """Read the file, and complete and check the configuration against it.

        Raises:
            InvalidArgumentError: The file is no ONNX model that this ONNX Runtime can run, or the configuration does not fit it.
        """
        self._version = version
        self._path = path
        self._session_options = _session_options(config, options)
        session = _open_session(config, path, self._session_options, "CPUExecutionProvider", {})
        inputs, outputs = _signature(config, session.get_inputs()), _signature(config, session.get_outputs())
        self._config = completed(config, inputs, outputs, options)
        # The session that read the signature is not thrown away: the first instance on a CPU takes it.
        self._spare_sessions = [session]

    @property
    def config(self) -> ModelConfig:
        """The model configuration, completed from the file and checked against it."""
        return self._config

    def create_instance(self, name: str, device: Device) -> OnnxRuntimeInstance:
        """Create a session; see `BackendModel.create_instance`."""
        if device.kind == "GPU":
            session = self._open_on_gpu(name, device.id)
        else:
            try:
                session = self._spare_sessions.pop()
            except IndexError:
                session = _open_session(self._config, self._path, self._session_options, "CPUExecutionProvider", {})
        return OnnxRuntimeInstance(self._config, self._version, session)

    def close(self) -> None:
        """Give back the session that no instance took."""
        self._spare_sessions.clear()

    def _open_on_gpu(self, name: str, device_id: int) -> Any:
        provider = "CUDAExecutionProvider"
        available = onnxruntime.get_available_providers()
        if provider in available:
            session = _open_session(
                self._config, self._path, self._session_options, provider, {"device_id": str(device_id)}
            )
            # ONNX Runtime falls back to the CPU without a word when CUDA's libraries are missing.
            if provider in session.get_providers():
                return session
            reason = f"the CUDA libraries it needs cannot be loaded, or there is no GPU {device_id}"
        else:
            reason = f"the installed ONNX Runtime has only {', '.join(available)}; install onnxruntime-gpu"
        raise UnsupportedError(
            f"instance '{name}' of model '{self._config.name}' cannot execute on GPU {device_id}: {reason}, or use KIND_CPU"
        )


class OnnxRuntimeInstance(BackendInstance):
    """A session of its own."""

    def __init__(self, config: ModelConfig, version: int, session: Any) -> None:
        """Take a session that nobody else runs."""
        self._config = config
        self._session = session
        self._text_inputs = frozenset(
            (*(tensor.name for tensor in config.inputs if tensor.datatype == "BYTES"), *_text_controls(config))
        )
        self._text_outputs = frozenset(name for name, datatype in config.network_outputs if datatype == "BYTES")
        self._batch_execution = BatchExecution(config, version, self._run)

    def execute(self, requests: Sequence[InferenceRequest]) -> Execution:
        """Run a batch; see `BackendInstance.execute`."""
        return self._batch_execution.execute(requests)

    def finalize(self) -> None:
        """Give back the session, its threads and its memory."""
        del self._batch_execution, self._session

    def _run(self, inputs: Arrays, output_names: Sequence[str]) -> Arrays:
        if self._text_inputs:
            inputs = {
                name: self._text(name, data) if name in self._text_inputs else data for name, data in inputs.items()
            }
        outputs = dict(zip(output_names, self._session.run(output_names, inputs), strict=True))
        for name in self._text_outputs & outputs.keys():
            outputs[name] = _map_elements(outputs[name], str.encode)
        return outputs

    def _text(self, name: str, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        # A string of ONNX Runtime is text; it would take bytes as well, and make "b'shoe'" of them.
        try:
            return _map_elements(array, bytes.decode)
        except UnicodeDecodeError as error:
            raise InvalidArgumentError(
                f"input '{name}' of model '{self._config.name}' has an element that is not UTF-8; expected text"
            ) from error


def _text_controls(config: ModelConfig) -> list[str]:
    controls = () if config.sequence_batching is None else config.sequence_batching.control_inputs
    texts = [each.name for each in controls if each.control.tensor_datatype == "BYTES"]
    return texts + [each.input_name for each in config.states if each.datatype == "BYTES"]


def _map_elements(array: npt.NDArray[Any], function: Any) -> npt.NDArray[Any]:
    mapped = np.empty(array.size, dtype=np.object_)
    mapped[:] = [function(element) for element in array.reshape(-1).tolist()]
    return mapped.reshape(array.shape)


def _session_options(config: ModelConfig, options: BackendOptions) -> Any:
    session_options = onnxruntime.SessionOptions()
    session_options.intra_op_num_threads = count_parameter(config, "intra_op_thread_count", options.intra_op_threads)
    session_options.inter_op_num_threads = 1
    session_options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    session_options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session_options.enable_cpu_mem_arena = count_parameter(config, "enable_mem_arena", 1) != 0
    session_options.enable_mem_pattern = count_parameter(config, "enable_mem_pattern", 1) != 0
    session_options.log_severity_level = _LOG_ERRORS_ONLY
    return session_options


def _open_session(
    config: ModelConfig, path: Path, session_options: Any, provider: str, provider_options: Mapping[str, str]
) -> Any:
    try:
        return onnxruntime.InferenceSession(
            str(path), session_options, providers=[provider], provider_options=[dict(provider_options)]
        )
    except Exception as error:  # its exceptions have no base of their own
        text = without_directories(str(error))
        raise InvalidArgumentError(f"unable to load model '{config.name}' from '{path.name}': {text}") from error


def _signature(config: ModelConfig, nodes: Sequence[Any]) -> list[SignatureTensor]:
    tensors = []
    for node in nodes:
        if node.type not in _DATATYPES:
            raise InvalidArgumentError(
                f"unable to load model '{config.name}': its tensor '{node.name}' is a {node.type}; expected one of"
                f" {', '.join(_DATATYPES)}"
            )
        # A dimension of any size has a name, or nothing, in place of a number.
        shape = tuple([size if isinstance(size, int) else -1 for size in node.shape])
        tensors.append(SignatureTensor(node.name, _DATATYPES[node.type], shape))
    return tensors
