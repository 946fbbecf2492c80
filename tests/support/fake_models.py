"""Composing models for an ensemble: they answer when a test says so."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import numpy as np

from aisle_server.inference import ComputeTimes, InferenceRequest, InferenceResponse, Tensor
from aisle_server.model_config.schema import ModelConfig, ModelInput, ModelOutput

TIMES = ComputeTimes(1, 10, 100)


@dataclass
class Asked:
    """A request of a step that waits for its answer."""

    request: InferenceRequest
    answer: asyncio.Future[InferenceResponse]


class FakeModels:
    """The `infer` of an ensemble."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.cancelled: list[str] = []

    async def infer(self, request: InferenceRequest) -> InferenceResponse:
        asked = Asked(request, asyncio.get_running_loop().create_future())
        self.asked.append(asked)
        try:
            return await asked.answer
        except asyncio.CancelledError:
            self.cancelled.append(request.model_name)
            raise

    @property
    def waiting(self) -> list[str]:
        """Models that are to answer."""
        return [each.request.model_name for each in self.asked if not each.answer.done()]

    def request(self, model: str) -> InferenceRequest:
        return next(each.request for each in reversed(self.asked) if each.request.model_name == model)

    async def answer(self, model: str, *, times: ComputeTimes = TIMES, **outputs: object) -> None:
        """Let a model answer with these outputs: a value fills a row for each row of the request, None is left out."""
        asked = self._waiting(model)
        rows = asked.request.batch_size
        tensors = [
            value if isinstance(value, Tensor) else Tensor(name, "FP32", np.full((rows, 1), value, np.float32))
            for name, value in outputs.items()
            if value is not None
        ]
        asked.answer.set_result(InferenceResponse(model, 1, asked.request.id, tuple(tensors), times=times))
        await settle()

    async def fail(self, model: str, error: Exception) -> None:
        self._waiting(model).answer.set_exception(error)
        await settle()

    def _waiting(self, model: str) -> Asked:
        return next(each for each in self.asked if each.request.model_name == model and not each.answer.done())


async def settle() -> None:
    """Let every task run as far as it can."""
    for _ in range(10):
        await asyncio.sleep(0)


def model(
    name: str,
    inputs: str,
    outputs: str,
    *,
    max_batch_size: int = 4,
    dims: tuple[int, ...] = (1,),
    optional: bool = False,
) -> ModelConfig:
    """A configuration with FP32 tensors of these names, separated by spaces."""
    return ModelConfig(
        name,
        backend="identity",
        max_batch_size=max_batch_size,
        inputs=tuple(ModelInput(each, "FP32", dims, optional=optional) for each in inputs.split()),
        outputs=tuple(ModelOutput(each, "FP32", dims) for each in outputs.split()),
    )
