"""Triton's python backend as far as a model of ours needs it: loads a version folder and executes requests in process."""

from __future__ import annotations

import importlib
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from google.protobuf import json_format, text_format

from aisle_protocol.generated import model_config_pb2


class Tensor:
    """A named array."""

    def __init__(self, name: str, data: np.ndarray) -> None:
        self._name, self._data = name, data

    def name(self) -> str:
        """The name."""
        return self._name

    def as_numpy(self) -> np.ndarray:
        """The array."""
        return self._data


@dataclass
class TritonError:
    """What went wrong with one request."""

    INVALID_ARG: ClassVar[int] = 3
    message: str
    code: int


@dataclass
class InferenceResponse:
    """The tensors of an answer, or its error."""

    output_tensors: tuple[Tensor, ...] | list[Tensor] = ()
    error: TritonError | None = None

    def __getitem__(self, name: str) -> np.ndarray:
        """An output by name."""
        return next(tensor.as_numpy() for tensor in self.output_tensors if tensor.name() == name)


@dataclass
class Request:
    """One caller's inputs by name."""

    inputs: dict[str, np.ndarray]


def request(**inputs: list[bytes]) -> Request:
    """A request whose inputs are BYTES of shape [rows, 1]."""
    return Request({name: np.array(rows, dtype=np.object_).reshape(-1, 1) for name, rows in inputs.items()})


@contextmanager
def loaded_model(version_folder: Path) -> Iterator[Any]:
    """Load `model.py` in a package of its own, as Triton does, and initialize it.

    Args:
        version_folder: Of a python model; its `config.pbtxt` stands beside.

    Yields:
        The `TritonPythonModel`.
    """
    backend = types.ModuleType("triton_python_backend_utils")
    backend.Tensor = Tensor
    backend.TritonError = TritonError
    backend.InferenceResponse = InferenceResponse
    backend.get_input_tensor_by_name = lambda request, name: (
        Tensor(name, request.inputs[name]) if name in request.inputs else None
    )
    backend.get_output_config_by_name = lambda config, name: next(
        output for output in config["output"] if output["name"] == name
    )
    package = types.ModuleType(f"{version_folder.parent.name}_{version_folder.name}")
    package.__path__ = [str(version_folder)]
    real = sys.modules.get(backend.__name__)
    sys.modules.update({backend.__name__: backend, package.__name__: package})
    try:
        module = importlib.import_module(f"{package.__name__}.model")
    finally:  # the model has what it imported; other models and the real backend must not meet the fake
        del sys.modules[backend.__name__]
        if real is not None:
            sys.modules[backend.__name__] = real
        for name in [name for name in sys.modules if name.split(".")[0] == package.__name__]:
            del sys.modules[name]
    model = module.TritonPythonModel()
    text = (version_folder.parent / "config.pbtxt").read_text(encoding="utf-8")
    config = text_format.Parse(text, model_config_pb2.ModelConfig())
    model.initialize({"model_config": json_format.MessageToJson(config, preserving_proto_field_name=True)})
    yield model
