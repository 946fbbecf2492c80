"""The contract of a backend, on one page.

    registry.open_model(...)  ->  BackendModel: one version of one model, as a runtime holds it
    BackendModel.create_instance(...)   ->  BackendInstance: one executor, used by one thread
    BackendInstance.execute(requests)   ->  Execution: an answer for each request, and when the work was done
    DecoupledInstance.execute_decoupled(requests, senders): any number of answers for each request, now or later

Everything here blocks. `instance_group` gives each instance a thread of its own and is the only caller of `execute`.
A backend never sees a request of another model version, nor more rows in one call than `max_batch_size`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from aisle_server.backends.metric_families import Metrics
from aisle_server.errors import InferenceServerError, UnavailableError
from aisle_server.inference import InferenceRequest, InferenceResponse, StreamedResponse
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


class ResponseReader(Protocol):
    """The responses to a request that one model has sent to another. Used from one thread at a time."""

    def next(self) -> Future[StreamedResponse]:
        """Ask for the next response. Not to be called after the final one."""
        ...

    def close(self) -> None:
        """Say that nobody reads any further. Harmless after the final response."""
        ...


class ModelCaller(Protocol):
    """Executes models of the server for a model. Called from any thread but that of the event loop, and never waits by itself."""

    def infer(self, request: InferenceRequest) -> Future[InferenceResponse]:
        """Execute a model that answers once. Cancelling the future says that the caller has left.

        Returns:
            Its response, or an InferenceServerError.
        """
        ...

    def stream(self, request: InferenceRequest) -> ResponseReader:
        """Execute a model that answers any number of times, or once."""
        ...


@dataclass(frozen=True, slots=True)
class BackendOptions:
    """What the process grants a backend.

    Attributes:
        intra_op_threads: Threads that one instance may compute with, so that instances do not fight over cores.
        settings: From `--backend-config <backend>,<key>=<value>`, and those that are for all backends.
        auto_complete_config: Fill in what the configuration leaves out from what the model file knows; else only check it.
        model_caller: Executes other models; None where there are none.
        metrics: Takes what models count for themselves; None where nobody looks.
    """

    intra_op_threads: int = 1
    settings: Mapping[str, str] = field(default_factory=dict)
    auto_complete_config: bool = True
    model_caller: ModelCaller | None = None
    metrics: Metrics | None = None


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


class NotBegunError(UnavailableError):
    """The instance went down, and has begun nothing of the batch: another instance may have it, or the same one again."""


class BackendInstance(Protocol):
    """One executor of a model. Created, used and finalized by one thread."""

    def execute(self, requests: Sequence[InferenceRequest]) -> Execution:
        """Run a batch.

        Args:
            requests: One or more; each input has shape [rows, *dims] when the model batches. Rows sum up to at most `max_batch_size`.

        Returns:
            A result for each request, in order.

        Raises:
            NotBegunError: The batch is to be executed again.
            InferenceServerError: The whole batch failed for a reason that its callers may read.
            Exception: The whole batch failed for a reason that goes to the log alone.
        """
        ...

    def finalize(self) -> None:
        """Give everything back. Called once, after the last `execute`."""
        ...

    def is_healthy(self) -> bool:
        """Whether it can execute at the moment; asked by the event loop. Those that live in the server's process always can."""
        return True


class ResponseSender(Protocol):
    """Takes the responses to one request of a decoupled model, from any thread, in the order in which they are sent."""

    def send(self, result: InferenceResponse | InferenceServerError | None, *, is_final: bool) -> None:
        """Pass a response on, and wait while the caller is far behind. What comes after the final response is dropped.

        Args:
            result: A response or an error; None, with `is_final`, when nothing but the end is left to say.
            is_final: Whether it is the last.
        """
        ...


class DecoupledInstance(BackendInstance, Protocol):
    """An executor of a model whose configuration says `decoupled`: it may answer a request any number of times."""

    def execute_decoupled(self, requests: Sequence[InferenceRequest], senders: Sequence[ResponseSender]) -> None:
        """Take a batch. Responses may be sent before and after this returns; then the instance is free for the next batch.

        Args:
            requests: As for `execute`.
            senders: One for each request, in order. Each gets a final response, sooner or later.

        Raises:
            InferenceServerError: Every request that has no final response yet ends with this error.
            Exception: Likewise, and the reason goes to the log alone.
        """
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
