"""Runs TensorFlow SavedModels: one copy of the variables on a device, called by every instance there.

Importing this module imports TensorFlow, which takes seconds and half a gigabyte; the registry does so when a model asks for it.
TensorFlow has one pool of threads for the whole process, sized before its first use: by the first model that is loaded.

Parameters of the model configuration, as Triton's TensorFlow backend names them:
    TF_SIGNATURE_DEF: The signature to call, instead of `serving_default`.
    TF_GRAPH_TAG: The tag of the graph to load, for a SavedModel with several.
    TF_NUM_INTRA_THREADS: Threads of one operation, instead of what the process grants.
    TF_NUM_INTER_THREADS: Operations at a time in the whole process, instead of one a core.

Source: TensorFlow, `tf.saved_model.load` and `tf.config.threading`; Triton's tensorflow_backend.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Final

import numpy.typing as npt
import tensorflow as tf

from aisle_server.backends.backend import BackendInstance, BackendOptions, Device, Execution
from aisle_server.backends.batch_execution import BatchExecution
from aisle_server.backends.batching import Arrays
from aisle_server.backends.model_files import model_path, without_directories
from aisle_server.backends.parameters import count_parameter
from aisle_server.backends.signature import completed
from aisle_server.errors import InvalidArgumentError, UnsupportedError
from aisle_server.inference import InferenceRequest
from aisle_server.model_config.autocomplete import SignatureTensor
from aisle_server.model_config.schema import InstanceKind, ModelConfig

DEFAULT_MODEL_FILENAME: Final = "model.savedmodel"
DEFAULT_SIGNATURE: Final = "serving_default"
_DATATYPES: Final[Mapping[str, str]] = {
    "bool": "BOOL",
    "uint8": "UINT8",
    "uint16": "UINT16",
    "uint32": "UINT32",
    "uint64": "UINT64",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "float16": "FP16",
    "bfloat16": "BF16",
    "float32": "FP32",
    "float64": "FP64",
    "string": "BYTES",
}

_log = logging.getLogger(__name__)


def open_tensorflow_model(
    config: ModelConfig, version: int, version_directory: Path, options: BackendOptions
) -> TensorFlowModel:
    """Open a SavedModel; see `BackendFactory`."""
    path = model_path(config, version_directory, DEFAULT_MODEL_FILENAME)
    if not (path / "saved_model.pb").is_file():
        raise InvalidArgumentError(
            f"'{path.name}' of model '{config.name}' is no SavedModel; expected a directory with a saved_model.pb"
        )
    _size_thread_pools(config, options)
    return TensorFlowModel(config, version, path, options)


class TensorFlowModel:
    """One version of a SavedModel: its copies on the devices where it has instances."""

    def __init__(self, config: ModelConfig, version: int, path: Path, options: BackendOptions) -> None:
        """Load the model on the device of its first instance, and complete and check the configuration against it.

        Raises:
            InvalidArgumentError: This is no SavedModel that this TensorFlow can load, or the configuration does not fit it.
            UnsupportedError: The first instance asks for a GPU that TensorFlow does not see.
        """
        self._version = version
        self._path = path
        self._config = config
        self._copies: dict[Device, _LoadedSignature] = {}
        # Instances are created on threads of their own, and those on one device share its copy.
        self._copies_lock = Lock()
        signature = self._copy_on(_first_device(config))
        self._config = completed(
            config, _signature(config, signature.inputs), _signature(config, signature.outputs), options
        )

    @property
    def config(self) -> ModelConfig:
        """The model configuration, completed from the signature and checked against it."""
        return self._config

    def create_instance(self, name: str, device: Device) -> TensorFlowInstance:
        """Create an executor, and a copy of the variables if this device has none; see `BackendModel.create_instance`."""
        return TensorFlowInstance(self._config, self._version, self._copy_on(device), _device_name(device))

    def close(self) -> None:
        """Let go of the variables. TensorFlow keeps what it has taken from the system for the next model."""
        self._copies.clear()

    def _copy_on(self, device: Device) -> _LoadedSignature:
        with self._copies_lock:
            if device not in self._copies:
                _require(self._config, device)
                self._copies[device] = _load(self._config, self._path, device)
            return self._copies[device]


class TensorFlowInstance(BackendInstance):
    """Calls the signature; TensorFlow lets any number of threads do so at once."""

    def __init__(self, config: ModelConfig, version: int, signature: _LoadedSignature, device_name: str) -> None:
        """Take the copy of the model on a device."""
        self._signature = signature
        self._device_name = device_name
        self._batch_execution = BatchExecution(config, version, self._run)

    def execute(self, requests: Sequence[InferenceRequest]) -> Execution:
        """Run a batch; see `BackendInstance.execute`."""
        return self._batch_execution.execute(requests)

    def finalize(self) -> None:
        """Let go of the copy."""
        del self._batch_execution, self._signature

    def _run(self, inputs: Arrays, output_names: Sequence[str]) -> Arrays:
        signature = self._signature
        with tf.device(self._device_name):
            outputs = signature.call(
                **{name: _to_tensorflow(array, signature.inputs[name].dtype) for name, array in inputs.items()}
            )
            return {name: _to_numpy(outputs[name]) for name in output_names}


@dataclass(frozen=True, slots=True, eq=False)
class _LoadedSignature:
    """A signature of a SavedModel on a device.

    Attributes:
        call: Arrays by name in, tensors by name out.
        inputs: A TensorSpec by name.
        outputs: A TensorSpec by name.
        owner: What owns the variables; the function alone does not keep them.
    """

    call: Callable[..., Mapping[str, Any]]
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]
    owner: Any


def _load(config: ModelConfig, path: Path, device: Device) -> _LoadedSignature:
    tag = config.parameters.get("TF_GRAPH_TAG")
    prefix = f"unable to load model '{config.name}' from '{path.name}'"
    try:
        with tf.device(_device_name(device)):
            loaded = tf.saved_model.load(str(path), tags=None if tag is None else [tag])
    except Exception as error:  # OSError, ValueError, tf.errors.OpError, google.protobuf's DecodeError, ...
        text = without_directories(str(error))
        raise InvalidArgumentError(f"{prefix}: {text}") from error
    name = config.parameters.get("TF_SIGNATURE_DEF", DEFAULT_SIGNATURE)
    function = loaded.signatures.get(name)
    if function is None:
        raise InvalidArgumentError(
            f"{prefix}: it has no signature '{name}', only: {', '.join(sorted(loaded.signatures)) or 'none'}"
        )
    return _LoadedSignature(function, function.structured_input_signature[1], function.structured_outputs, loaded)


def _signature(config: ModelConfig, specs: Mapping[str, Any]) -> list[SignatureTensor]:
    tensors = []
    for name, spec in sorted(specs.items()):  # a SavedModel keeps no order
        if spec.dtype.name not in _DATATYPES:
            raise InvalidArgumentError(
                f"unable to load model '{config.name}': its tensor '{name}' is a {spec.dtype.name}; expected one of"
                f" {', '.join(_DATATYPES)}"
            )
        dims = () if spec.shape.rank is None else tuple([-1 if size is None else size for size in spec.shape])
        tensors.append(SignatureTensor(name, _DATATYPES[spec.dtype.name], dims))
    return tensors


def _to_tensorflow(array: npt.NDArray[Any], dtype: Any) -> Any:
    if dtype == tf.bfloat16:  # the bits come as uint16
        return tf.bitcast(tf.constant(array, tf.uint16), tf.bfloat16)
    return tf.constant(array, dtype)


def _to_numpy(tensor: Any) -> npt.NDArray[Any]:
    bits = tf.bitcast(tensor, tf.uint16) if tensor.dtype == tf.bfloat16 else tensor
    array: npt.NDArray[Any] = bits.numpy()
    return array


def _first_device(config: ModelConfig) -> Device:
    for group in config.instance_groups:
        if group.kind is InstanceKind.KIND_GPU:
            return Device("GPU", group.gpus[0] if group.gpus else 0)
    return Device()


def _device_name(device: Device) -> str:
    return f"/GPU:{device.id}" if device.kind == "GPU" else "/CPU:0"


def _require(config: ModelConfig, device: Device) -> None:
    count = len(tf.config.list_physical_devices("GPU"))
    if device.kind == "GPU" and device.id >= count:
        raise UnsupportedError(
            f"model '{config.name}' cannot execute on GPU {device.id}: TensorFlow sees {count} GPUs here; use KIND_CPU"
        )


def _size_thread_pools(config: ModelConfig, options: BackendOptions) -> None:
    """Size the thread pools, and keep TensorFlow from taking all the memory of every GPU, while it is not in use yet."""
    pools = tf.config.threading
    intra = count_parameter(config, "TF_NUM_INTRA_THREADS", options.intra_op_threads)
    inter = count_parameter(config, "TF_NUM_INTER_THREADS", 0)
    try:
        if pools.get_intra_op_parallelism_threads() != intra:
            pools.set_intra_op_parallelism_threads(intra)
        if pools.get_inter_op_parallelism_threads() != inter:
            pools.set_inter_op_parallelism_threads(inter)
        for gpu in tf.config.list_physical_devices("GPU"):
            if not tf.config.experimental.get_memory_growth(gpu):
                tf.config.experimental.set_memory_growth(gpu, True)
    except RuntimeError:  # what it raises once it is in use
        _log.warning(
            "model '%s' asks TensorFlow for %d threads; it keeps the %d that it was started with",
            config.name,
            intra,
            pools.get_intra_op_parallelism_threads(),
        )
