"""The contract of a backend, on one page.

    registry.open_model(...)  ->  BackendModel: one version of one model, as a runtime holds it
    BackendModel.create_instance(...)   ->  BackendInstance: one executor, used by one thread
    BackendInstance.execute(requests)   ->  Execution: an answer for each request, and when the work was done

Everything here blocks. `instance_group.py` gives each instance a thread of its own and is the only caller of `execute`.
A backend never sees a request of another model version, nor more rows in one call than `max_batch_size`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from aisle_server.errors import InferenceServerError
from aisle_server.inference import InferenceRequest, InferenceResponse
from aisle_server.model_config.schema import ModelConfig


@dataclass(frozen=True, slots=True)
class Device:
    """Where an instance executes.

    Attributes:
        kind: `CPU` or `GPU`.
        id: Which one; 0 for the CPU.
    """

    kind: str = "CPU"
    id: int = 0


@dataclass(frozen=True, slots=True)
class BackendOptions:
    """What the process grants a backend.

    Attributes:
        intra_op_threads: Threads that one instance may compute with, so that instances do not fight over cores.
        settings: From `--backend-config <backend>,<key>=<value>`, and those that are for all backends.
        auto_complete_config: Fill in what the configuration leaves out from what the model file knows; else only check it.
    """

    intra_op_threads: int = 1
    settings: Mapping[str, str] = field(default_factory=dict)
    auto_complete_config: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Execution:
    """What became of one call of `execute`.

    Attributes:
        results: One for each request, in order: its response, or the error that is told to its caller alone.
        compute_start_ns: Monotonic time when the inputs were ready and the network began.
        compute_end_ns: Monotonic time when the network was done and the outputs were still to be cut into responses.
    """

    results: Sequence[InferenceResponse | InferenceServerError]
    compute_start_ns: int
    compute_end_ns: int


class BackendInstance(Protocol):
    """One executor of a model. Created, used and finalized by one thread."""

    def execute(self, requests: Sequence[InferenceRequest]) -> Execution:
        """Run a batch.

        Args:
            requests: One or more; each input has shape [rows, *dims] when the model batches. Rows sum up to at most `max_batch_size`.

        Returns:
            A result for each request, in order.

        Raises:
            InferenceServerError: The whole batch failed for a reason that its callers may read.
            Exception: The whole batch failed for a reason that goes to the log alone.
        """
        ...

    def finalize(self) -> None:
        """Give everything back. Called once, after the last `execute`."""
        ...


class BackendModel(Protocol):
    """One version of one model, as a runtime holds it; what its instances share."""

    @property
    def config(self) -> ModelConfig:
        """The model configuration, completed with what the model file knows and checked against it."""
        ...

    def create_instance(self, name: str, device: Device) -> BackendInstance:
        """Create an executor. Called on the thread that will use it; may take seconds.

        Args:
            name: For logs: `<group>_<index>`.
            device: Where to execute.

        Raises:
            InferenceServerError: The model cannot be executed there; the text says why.
        """
        ...

    def close(self) -> None:
        """Give back what the instances shared. Called once, after every instance is finalized."""
        ...


class BackendFactory(Protocol):
    """Opens a version of a model. Each backend module has one, named in `registry.py`."""

    def __call__(
        self, config: ModelConfig, version: int, version_directory: Path, options: BackendOptions
    ) -> BackendModel:
        """Open a version of a model.

        Args:
            config: Validated; incomplete where autocomplete may fill it.
            version: Positive.
            version_directory: `<repository>/<model>/<version>`; the files of the model lie below it and nowhere else.
            options: What the process grants.

        Raises:
            InferenceServerError: The model cannot be opened; the text becomes the model's `reason`.
        """
        ...
