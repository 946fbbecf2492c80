"""An inference server without models: frontends are tested against it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from aisle_server import messages
from aisle_server.errors import NotFoundError
from aisle_server.inference import LATEST_VERSION, InferenceRequest, InferenceResponse, Tensor
from aisle_server.model_config.schema import ModelConfig, ModelInput, ModelOutput
from aisle_server.repository.states import ModelState
from aisle_server.statistics import ModelStatistics

IDENTITY = ModelConfig(
    name="identity",
    backend="identity",
    max_batch_size=8,
    inputs=(ModelInput("INPUT0", "FP32", (16,)),),
    outputs=(ModelOutput("OUTPUT0", "FP32", (16,)),),
)


async def echo(request: InferenceRequest) -> InferenceResponse:
    """Answer INPUTi as OUTPUTi, from version 3 when the latest is asked."""
    version = 3 if request.model_version == LATEST_VERSION else request.model_version
    outputs = tuple(
        Tensor(name.replace("INPUT", "OUTPUT"), tensor.datatype, tensor.data) for name, tensor in request.inputs.items()
    )
    return InferenceResponse(request.model_name, version, request.id, outputs)


@dataclass
class FakeInferenceServer:
    """Answers from its fields, and keeps the requests that it got."""

    configs: tuple[ModelConfig, ...] = (IDENTITY,)
    on_infer: Callable[[InferenceRequest], Awaitable[InferenceResponse]] = echo
    live: bool = True
    ready: bool = True
    class_labels: tuple[str, ...] | None = None
    requests: list[InferenceRequest] = field(default_factory=list)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    books: ModelStatistics = field(default_factory=ModelStatistics)
    pending: int = 0

    def is_live(self) -> bool:
        return self.live

    def is_ready(self) -> bool:
        return self.ready

    def is_model_ready(self, name: str, version: int) -> bool:
        return any(config.name == name for config in self.configs) and version in (LATEST_VERSION, 3)

    def model_config(self, name: str, version: int) -> ModelConfig:
        for config in self.configs:
            if config.name == name:
                return config
        raise NotFoundError(messages.unknown_model(name))

    def model_config_for_inference(self, name: str, version: int) -> ModelConfig:
        return self.model_config(name, version)

    def model_metadata(self, name: str, version: int) -> Any:
        config = self.model_config(name, version)
        return SimpleNamespace(
            name=name,
            versions=(3,),
            platform=config.platform or config.backend,
            inputs=tuple(
                SimpleNamespace(name=each.name, datatype=each.datatype, shape=(-1, *each.dims))
                for each in config.inputs
            ),
            outputs=tuple(
                SimpleNamespace(name=each.name, datatype=each.datatype, shape=(-1, *each.dims))
                for each in config.outputs
            ),
        )

    def server_metadata(self) -> Any:
        return SimpleNamespace(name="aisle", version="1.2.3", extensions=("classification", "statistics"))

    def statistics(self, name: str = "", version: int = LATEST_VERSION) -> list[Any]:
        return [
            SimpleNamespace(
                name=config.name,
                version=3,
                snapshot=self.books.snapshot(),
                pending_request_count=self.pending,
                load_duration_s=0.25,
                latencies=self.books.latencies(time.time_ns() // 1_000_000),
            )
            for config in self.configs
            if name in ("", config.name)
        ]

    async def repository_index(self, ready_only: bool) -> list[Any]:
        rows = [SimpleNamespace(name="identity", version=3, state=ModelState.READY, reason="")]
        if not ready_only:
            rows.append(SimpleNamespace(name="never_loaded", version=None, state=ModelState.UNKNOWN, reason=""))
        return rows

    def labels(self, name: str, version: int, output: str) -> tuple[str, ...] | None:
        return self.class_labels

    async def infer(self, request: InferenceRequest) -> InferenceResponse:
        self.requests.append(request)
        try:
            return await self.on_infer(request)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
