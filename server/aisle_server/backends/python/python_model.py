"""Opens python models: imports their code, lets them complete their configuration, and creates their instances.

Instances run inside the server's process, each on a thread of its own and with modules of its own. Models that compute in plain
Python therefore share one interpreter lock; those that spend their time in NumPy, Pillow, a tokenizer or a runtime do not notice.
With the parameter EXECUTION_PROCESS = `own` each instance has a process of its own, which may die without the server.

Source: Triton's python backend.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from aisle_server.backends.backend import BackendModel, BackendOptions, Device
from aisle_server.backends.model_files import model_path, without_directories
from aisle_server.backends.python import triton_python_backend_utils
from aisle_server.backends.python.current_model import CurrentModel, running
from aisle_server.backends.python.errors import TritonModelException
from aisle_server.backends.python.model_package import UTILS_MODULE, ModelPackage, without_package_names
from aisle_server.backends.python.own_process.process_model import ProcessModel
from aisle_server.backends.python.python_instance import PythonInstance
from aisle_server.errors import InferenceServerError, InvalidArgumentError, UnsupportedError
from aisle_server.model_config.json_form import from_json_form, to_json_form
from aisle_server.model_config.schema import ModelConfig

DEFAULT_MODEL_FILENAME: Final = "model.py"
PROCESS_PARAMETER: Final = "EXECUTION_PROCESS"
ENVIRONMENT_PARAMETER: Final = "EXECUTION_ENV_PATH"
MODEL_CLASS: Final = "TritonPythonModel"

_log = logging.getLogger(__name__)


def open_python_model(
    config: ModelConfig, version: int, version_directory: Path, options: BackendOptions
) -> BackendModel:
    """Open a python model, in this process or in processes of its own; see `BackendFactory`."""
    if ENVIRONMENT_PARAMETER in config.parameters:
        raise UnsupportedError(
            f"parameter {ENVIRONMENT_PARAMETER} of model '{config.name}' names a packed environment, which this server does not unpack;"
            " install what the model needs beside the server, and remove the parameter"
        )
    where = config.parameters.get(PROCESS_PARAMETER, "server")
    if where not in ("server", "own"):
        raise InvalidArgumentError(
            f"parameter {PROCESS_PARAMETER} of model '{config.name}' is '{where}'; expected 'own' or 'server'"
        )
    if where == "own":
        return ProcessModel(config, version, version_directory.absolute(), options)
    return open_in_this_process(config, version, version_directory, options)


def open_in_this_process(
    config: ModelConfig, version: int, version_directory: Path, options: BackendOptions
) -> PythonModel:
    """Open a python model whose code runs here.

    Raises:
        InvalidArgumentError: The code cannot be found or imported, has no TritonPythonModel, or contradicts its configuration.
    """
    filename = config.default_model_filename or DEFAULT_MODEL_FILENAME
    model_path(config, version_directory, DEFAULT_MODEL_FILENAME)
    if Path(filename).name != filename or not filename.endswith(".py"):
        raise InvalidArgumentError(
            f"model file '{filename}' of model '{config.name}' is no python file in the version directory itself; expected one"
            f" such as {DEFAULT_MODEL_FILENAME}"
        )
    # Where models look for it. A module of that name that is there already was put there by somebody who knows why.
    sys.modules.setdefault(UTILS_MODULE, triton_python_backend_utils)
    return PythonModel(config, version, version_directory, filename.removesuffix(".py"), options)


@dataclass(frozen=True, slots=True)
class _LoadedCode:
    """A model's code, imported for one instance."""

    package: ModelPackage
    model_class: Any


class PythonModel:
    """One version of a python model: its code and its completed configuration."""

    def __init__(
        self, config: ModelConfig, version: int, version_directory: Path, module_name: str, options: BackendOptions
    ) -> None:
        """Import the code, and have it complete the configuration.

        Raises:
            InvalidArgumentError: The code cannot be imported, has no TritonPythonModel, or contradicts its configuration.
        """
        self._config = config
        self._version = version
        self._directory = version_directory.absolute()
        self._module_name = module_name
        self._current = CurrentModel(config.name, version, self._directory, options.model_caller, options.metrics)
        loaded = self._load()
        try:
            if options.auto_complete_config:
                self._config = self._completed(loaded.model_class)
        except BaseException:
            loaded.package.close()
            raise
        # The code that completed the configuration becomes the first instance's; each further instance imports its own.
        self._spare = [loaded]

    @property
    def config(self) -> ModelConfig:
        """The model configuration, completed by the model."""
        return self._config

    def create_instance(self, name: str, device: Device) -> PythonInstance:
        """Make a TritonPythonModel and initialize it; see `BackendModel.create_instance`."""
        try:
            loaded = self._spare.pop()
        except IndexError:
            loaded = self._load()
        try:
            with self._telling("failed to initialize"):
                model = loaded.model_class()
                if hasattr(model, "initialize"):
                    model.initialize(self._arguments(name, device))
        except BaseException:
            loaded.package.close()
            raise
        return PythonInstance(self._config, self._current, model, loaded.package)

    def close(self) -> None:
        """Forget the code that no instance took."""
        while self._spare:
            self._spare.pop().package.close()

    def _load(self) -> _LoadedCode:
        with self._telling("failed to import"):
            package = ModelPackage(self._current)
            try:
                module = package.import_module(self._module_name)
            except BaseException:
                package.close()
                raise
        model_class = getattr(module, MODEL_CLASS, None)
        if not hasattr(model_class, "execute"):
            package.close()
            raise InvalidArgumentError(
                f"{self._module_name}.py of model '{self._config.name}' has no class {MODEL_CLASS} with a method execute"
            )
        return _LoadedCode(package, model_class)

    def _completed(self, model_class: Any) -> ModelConfig:
        config = self._config
        if hasattr(model_class, "auto_complete_config"):
            given = triton_python_backend_utils.ModelConfig(json.dumps(to_json_form(config)))
            with self._telling("failed to complete its configuration"):
                completed = model_class.auto_complete_config(given)
                if not isinstance(completed, triton_python_backend_utils.ModelConfig):
                    raise TritonModelException(
                        f"auto_complete_config returned a {type(completed).__name__}; expected the ModelConfig"
                    )
                config = from_json_form(completed.as_dict())
        return config

    def _arguments(self, name: str, device: Device) -> dict[str, str]:
        return {
            "model_config": json.dumps(to_json_form(self._config)),
            "model_instance_kind": device.kind,
            "model_instance_name": name,
            "model_instance_device_id": str(device.id),
            # What Triton calls so is the directory of the model: models join it with the version to find their files.
            "model_repository": str(self._directory.parent),
            "model_version": str(self._version),
            "model_name": self._config.name,
        }

    @contextmanager
    def _telling(self, what_failed: str) -> Iterator[None]:
        """Run a model's code while it is loaded: what goes wrong is told to whoever loads it, and cannot end the process."""
        prefix = f"model '{self._config.name}' version {self._version} {what_failed}"
        with running(self._current):
            try:
                yield
            except InferenceServerError:
                raise
            except TritonModelException as error:
                raise InvalidArgumentError(f"{prefix}: {error.message()}") from error
            except (Exception, SystemExit) as error:
                _log.warning("%s", prefix, exc_info=error)
                raise InvalidArgumentError(
                    f"{prefix}: {type(error).__name__}: {without_package_names(without_directories(str(error)))}"
                ) from error
