"""A loader without backends: versions whose loading, answering and leaving a test controls."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from aisle_server import messages
from aisle_server.errors import UnavailableError
from aisle_server.inference import InferenceRequest, InferenceResponse, Tensor
from aisle_server.model_config.schema import ModelConfig
from aisle_server.repository.description import ModelDescription
from aisle_server.repository.loader import Infer
from aisle_server.repository.served_model import ServedModel
from aisle_server.statistics import ModelStatistics


class FakeScheduler:
    """Answers at once, or when the test opens the gate; an ensemble sends INPUT0 through its steps one after the other."""

    def __init__(self, config: ModelConfig, version: int, infer: Infer) -> None:
        self.config = config
        self.version = version
        self.gate = asyncio.Event()
        self.gate.set()
        self.accepted = 0
        self.is_stopping = False
        self._infer = infer
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def pending_request_count(self) -> int:
        return self.accepted

    async def infer(self, request: InferenceRequest) -> InferenceResponse:
        if self.is_stopping:
            raise UnavailableError(messages.scheduler_stopping(request.log_prefix()))
        self.accepted += 1
        self._idle.clear()
        try:
            await self.gate.wait()
            tensor = await self._through_steps(request)
        finally:
            self.accepted -= 1
            if not self.accepted:
                self._idle.set()
        return InferenceResponse(self.config.name, self.version, request.id, (tensor.renamed("OUTPUT0"),))

    async def stop(self) -> None:
        self.is_stopping = True
        await self._idle.wait()

    async def _through_steps(self, request: InferenceRequest) -> Tensor:
        tensor = request.inputs["INPUT0"]
        scheduling = self.config.ensemble_scheduling
        for step in scheduling.steps if scheduling else ():
            asked = InferenceRequest(step.model_name, {"INPUT0": tensor.renamed("INPUT0")}, step.model_version)
            tensor = (await self._infer(asked)).outputs[0]
        return tensor


@dataclass(eq=False)
class FakeLoader:
    """Loads whatever it is given.

    Attributes:
        failures: (model, version) -> what loading it raises.
        gates: (model, version) -> what its loading waits for.
        started: Models in the order in which their loading began.
        schedulers: The latest of each (model, version) that was loaded.
        released: (model, version) of each version that was given back, in order.
        most_at_once: How many were loading side by side, at most.
    """

    failures: dict[tuple[str, int], BaseException] = field(default_factory=dict)
    gates: dict[tuple[str, int], asyncio.Event] = field(default_factory=dict)
    started: list[str] = field(default_factory=list)
    schedulers: dict[tuple[str, int], FakeScheduler] = field(default_factory=dict)
    released: list[tuple[str, int]] = field(default_factory=list)
    step_configs: dict[str, list[str]] = field(default_factory=dict)
    most_at_once: int = 0
    _at_once: int = 0

    async def load(
        self, description: ModelDescription, version: int, infer: Infer, step_configs: Sequence[ModelConfig]
    ) -> ServedModel:
        name = description.config.name
        self.started.append(name)
        self.step_configs[name] = [config.name for config in step_configs]
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            await asyncio.sleep(0)
            if (name, version) in self.gates:
                await self.gates[name, version].wait()
        finally:
            self._at_once -= 1
        if (name, version) in self.failures:
            raise self.failures[name, version]

        async def release() -> None:
            self.released.append((name, version))

        scheduler = FakeScheduler(description.config, version, infer)
        self.schedulers[name, version] = scheduler
        return ServedModel(
            description.config, version, scheduler, ModelStatistics(), load_duration_s=0.25, release=release
        )
