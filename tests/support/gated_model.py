"""A backend model on real threads whose executions wait until a test lets them go."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from aisle_server.backends.backend import Device, Execution
from aisle_server.inference import InferenceRequest, InferenceResponse
from aisle_server.model_config.schema import InstanceGroup, ModelConfig, ModelInput

TIMEOUT_S = 20


class GatedModel:
    """Notes what is done to it, by which thread; answers requests with their own inputs, or as `on_execute` says.

    Instances whose names are in `down` are not healthy.
    """

    def __init__(
        self,
        config: ModelConfig | None = None,
        *,
        on_execute: Callable[[Sequence[InferenceRequest]], Execution] | None = None,
        on_create: Callable[[str], None] | None = None,
        is_open: bool = True,
    ) -> None:
        self.config = config or gated_config()
        self.events: list[tuple[str, str, int]] = []
        self.devices: dict[str, Device] = {}
        self.down: set[str] = set()
        self.gate = threading.Event()
        self.is_executing = threading.Semaphore(0)
        self.on_execute = on_execute or echo
        self.on_create = on_create
        if is_open:
            self.gate.set()

    def create_instance(self, name: str, device: Device) -> GatedInstance:
        self.note("create", name)
        self.devices[name] = device
        if self.on_create is not None:
            self.on_create(name)
        return GatedInstance(self, name)

    def close(self) -> None:
        self.note("close", "")

    def note(self, what: str, name: str) -> None:
        self.events.append((what, name, threading.get_ident()))

    def names(self, what: str) -> list[str]:
        return [name for event, name, _ in self.events if event == what]

    def threads(self, name: str) -> set[int]:
        return {thread for _, instance, thread in self.events if instance == name}


class GatedInstance:
    """One executor of a `GatedModel`."""

    def __init__(self, model: GatedModel, name: str) -> None:
        self.model = model
        self.name = name

    def execute(self, requests: Sequence[InferenceRequest]) -> Execution:
        self.model.note("execute", self.name)
        self.model.is_executing.release()
        assert self.model.gate.wait(TIMEOUT_S)
        return self.model.on_execute(requests)

    def finalize(self) -> None:
        self.model.note("finalize", self.name)

    def is_healthy(self) -> bool:
        return self.name not in self.model.down


def echo(requests: Sequence[InferenceRequest]) -> Execution:
    """Answer each request with its own inputs."""
    start_ns = time.monotonic_ns()
    answers = [InferenceResponse("m", 1, each.id, tuple(each.inputs.values())) for each in requests]
    return Execution(answers, start_ns, time.monotonic_ns())


def gated_config(*groups: InstanceGroup, max_batch_size: int = 4) -> ModelConfig:
    """A model configuration with one input and these instance groups."""
    return ModelConfig(
        "m", max_batch_size=max_batch_size, inputs=(ModelInput("A", "FP32", (1,)),), instance_groups=groups
    )
