"""A backend without a runtime: answers INPUT<i> as OUTPUT<i>, remembers what it was asked, and fails where a test wants it to."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aisle_server.backends.backend import BackendOptions, Device, Execution
from aisle_server.inference import InferenceRequest, InferenceResponse
from aisle_server.model_config.schema import ModelConfig


@dataclass(eq=False)
class FakeInstance:
    """One executor. `on_execute` may raise, or wait for the test."""

    model: FakeModel
    name: str
    device: Device
    thread: int = field(default_factory=threading.get_ident)
    batches: list[Sequence[InferenceRequest]] = field(default_factory=list)
    is_finalized: bool = False

    def execute(self, requests: Sequence[InferenceRequest]) -> Execution:
        start_ns = time.monotonic_ns()
        self.batches.append(requests)
        self.model.backend.on_execute(requests)
        return Execution([self.model.answer(request) for request in requests], start_ns, time.monotonic_ns())

    def is_healthy(self) -> bool:
        return True

    def finalize(self) -> None:
        self.is_finalized = True


@dataclass(eq=False)
class FakeModel:
    """One version, and the instances it has created."""

    backend: FakeBackend
    config: ModelConfig
    version: int
    directory: Path
    options: BackendOptions
    instances: list[FakeInstance] = field(default_factory=list)
    is_closed: bool = False

    def create_instance(self, name: str, device: Device) -> FakeInstance:
        self.backend.on_create_instance(name)
        instance = FakeInstance(self, name, device)
        self.instances.append(instance)
        return instance

    def answer(self, request: InferenceRequest) -> InferenceResponse:
        outputs = tuple(tensor.renamed(tensor.name.replace("INPUT", "OUTPUT")) for tensor in request.inputs.values())
        return InferenceResponse(self.config.name, self.version, request.id, outputs)

    def close(self) -> None:
        assert all(instance.is_finalized for instance in self.instances), "closed before its instances were finalized"
        self.is_closed = True


def _nothing(_: object) -> None:
    """Let it happen."""


@dataclass(eq=False)
class FakeBackend:
    """Opens models.

    Attributes:
        on_open: Called with the model configuration before a model is opened, on the thread that opens it.
        on_create_instance: Called with the name of each instance, on its thread.
        on_execute: Called with each batch, on the instance's thread.
        complete: What the model file knows of the configuration.
        models: Opened so far.
    """

    on_open: Callable[[ModelConfig], None] = _nothing
    on_create_instance: Callable[[str], None] = _nothing
    on_execute: Callable[[Sequence[InferenceRequest]], None] = _nothing
    complete: Callable[[ModelConfig], ModelConfig] = field(default=lambda config: config)
    models: list[FakeModel] = field(default_factory=list)

    def open_model(
        self, config: ModelConfig, version: int, version_directory: Path, options: BackendOptions
    ) -> FakeModel:
        """Open a version; see `BackendFactory`."""
        self.on_open(config)
        model = FakeModel(self, self.complete(config), version, version_directory, options)
        self.models.append(model)
        return model
