"""The registry: a backend is imported when a model asks for it, and not before."""

import subprocess
import sys
from pathlib import Path

import pytest

from aisle_server.backends.backend import BackendOptions
from aisle_server.backends.registry import open_model
from aisle_server.errors import InvalidArgumentError, UnsupportedError
from aisle_server.model_config.schema import ModelConfig, ModelInput, ModelOutput

IDENTITY = ModelConfig(
    "m",
    backend="identity",
    inputs=(ModelInput("INPUT0", "FP32", (1,)),),
    outputs=(ModelOutput("OUTPUT0", "FP32", (1,)),),
)


def test_the_configuration_names_the_backend():
    """open_model opens a model with the backend of its configuration."""
    assert open_model(IDENTITY, 1, Path(), BackendOptions()).config == IDENTITY


def test_an_unknown_backend_is_refused():
    """The text names the model, the backend that came and those there are."""
    with pytest.raises(
        InvalidArgumentError, match=r"unknown backend 'torch' for model 'm'; expected one of .*identity"
    ):
        open_model(ModelConfig("m", backend="torch"), 1, Path(), BackendOptions())


@pytest.mark.parametrize(("backend", "extra"), [("onnxruntime", "server"), ("tensorflow", "tensorflow")])
def test_a_missing_library_answers_with_the_command_that_installs_it(monkeypatch, backend, extra):
    """Without the library of its backend a model fails to load, and the text is what to type."""
    monkeypatch.setitem(sys.modules, backend, None)  # Python's own way to say that there is no such module
    with pytest.raises(UnsupportedError) as caught:
        open_model(ModelConfig("m", backend=backend), 1, Path(), BackendOptions())
    assert caught.value.message.endswith(f"pip install 'aisle[{extra}]'")


def test_no_runtime_is_imported_before_a_model_asks():
    """Importing the registry, and serving an identity model, loads neither ONNX Runtime nor TensorFlow."""
    program = """
import sys
from pathlib import Path
from aisle_server.backends.backend import BackendOptions
from aisle_server.backends.registry import open_model
from aisle_server.model_config.schema import ModelConfig
open_model(ModelConfig("m", backend="identity"), 1, Path(), BackendOptions())
print([name for name in ("onnxruntime", "tensorflow", "google.protobuf") if name in sys.modules])
"""
    environment = {"PYTHONPATH": ":".join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True, env=environment
    )
    assert done.stdout.strip() == "[]"


def test_a_backend_that_answers_once_has_no_decoupled_models(tmp_path):
    """A decoupled model of another backend than python is refused when it is loaded, not when it is asked."""
    config = ModelConfig("m", backend="identity", decoupled=True)
    with pytest.raises(UnsupportedError, match="the backend 'identity' answers each request once"):
        open_model(config, 1, tmp_path, BackendOptions())
