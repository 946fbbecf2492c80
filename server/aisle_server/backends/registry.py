"""Which backend opens a model. A backend's module, and the library beneath it, is imported when the first model asks for it."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from ctypes.util import find_library
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from aisle_server.backends.backend import BackendFactory, BackendModel, BackendOptions
from aisle_server.errors import InvalidArgumentError, UnsupportedError
from aisle_server.model_config.schema import ModelConfig


@dataclass(frozen=True, slots=True)
class RegisteredBackend:
    """A backend by name.

    Attributes:
        factory: Imports the backend's module and returns its factory.
        library: The package it stands on; empty for none.
        extra: The extra of `aisle` that installs the library.
        answers_often: Whether its models may be decoupled.
    """

    factory: Callable[[], BackendFactory]
    library: str = ""
    extra: str = ""
    answers_often: bool = False


def _identity() -> BackendFactory:
    from aisle_server.backends.identity_backend import open_identity_model

    return open_identity_model


def _onnxruntime() -> BackendFactory:
    from aisle_server.backends.onnxruntime_backend import open_onnxruntime_model

    return open_onnxruntime_model


def _python() -> BackendFactory:
    from aisle_server.backends.python.python_model import open_python_model

    return open_python_model


def _tensorflow() -> BackendFactory:
    from aisle_server.backends.tensorflow_backend import open_tensorflow_model

    return open_tensorflow_model


BACKENDS: Mapping[str, RegisteredBackend] = MappingProxyType(
    {
        "identity": RegisteredBackend(_identity),
        "onnxruntime": RegisteredBackend(_onnxruntime, library="onnxruntime", extra="server"),
        "python": RegisteredBackend(_python, answers_often=True),
        "tensorflow": RegisteredBackend(_tensorflow, library="tensorflow", extra="tensorflow"),
    }
)


def backends_on_gpus() -> frozenset[str]:
    """Return the backends whose models execute on a GPU when there is one and the configuration leaves the choice.

    A model of the python backend is told, and does what it likes. ONNX Runtime comes with or without CUDA; it is asked. TensorFlow
    would take seconds to ask, and finds no GPU unless CUDA's library for networks is there.
    """
    backends = {"python"}
    if _is_installed("nvidia.cudnn") or find_library("cudnn"):
        backends.add("tensorflow")
    if _is_installed("onnxruntime"):
        import onnxruntime

        if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
            backends.add("onnxruntime")
    return frozenset(backends)


def open_model(config: ModelConfig, version: int, version_directory: Path, options: BackendOptions) -> BackendModel:
    """Open a version of a model with the backend that its configuration names. Blocks for as long as loading takes.

    Args:
        config: Validated; `backend` is set.
        version: Positive.
        version_directory: `<repository>/<model>/<version>`.
        options: What the process grants.

    Raises:
        InvalidArgumentError: There is no such backend, or the model's files do not agree with its configuration.
        UnsupportedError: The backend's library is not installed, and the text is the command that installs it; or the model is
            decoupled, and the backend answers each request once.
        InferenceServerError: The model cannot be opened; the text becomes its `reason`.
    """
    backend = BACKENDS.get(config.backend)
    if backend is None:
        raise InvalidArgumentError(
            f"unknown backend '{config.backend}' for model '{config.name}'; expected one of {', '.join(sorted(BACKENDS))}"
        )
    if backend.library and not _is_installed(backend.library):
        raise UnsupportedError(
            f"model '{config.name}' needs the backend '{config.backend}', whose library is not installed here;"
            f" install it with: pip install 'aisle[{backend.extra}]'"
        )
    if config.decoupled and not backend.answers_often:
        raise UnsupportedError(
            f"model '{config.name}' is decoupled, and the backend '{config.backend}' answers each request once; remove"
            " model_transaction_policy from its configuration"
        )
    return backend.factory()(config, version, version_directory, options)


def _is_installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:  # not even what it is a part of
        return False
