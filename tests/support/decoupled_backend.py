"""A decoupled model whose responses a test sends by hand, from the test's thread or another."""

from __future__ import annotations

from collections.abc import Sequence
from queue import SimpleQueue

from aisle_server.backends.backend import BackendInstance, Device, Execution, ResponseSender
from aisle_server.inference import InferenceRequest
from aisle_server.model_config.schema import ModelConfig, ModelInput, ModelOutput


class DecoupledModel(BackendInstance):
    """The model and its one instance.

    Attributes:
        taken: Requests that the instance has taken, each with what sends its responses.
        failure: Raised by every execution, when it is set.
    """

    def __init__(self, **config: object) -> None:
        self.taken: SimpleQueue[tuple[InferenceRequest, ResponseSender]] = SimpleQueue()
        self.failure: Exception | None = None
        self._config = ModelConfig(
            "m",
            backend="python",
            decoupled=True,
            inputs=(ModelInput("X", "FP32", (1,)),),
            outputs=(ModelOutput("Y", "FP32", (1,)),),
            **config,
        )

    @property
    def config(self) -> ModelConfig:
        return self._config

    def create_instance(self, name: str, device: Device) -> DecoupledModel:
        return self

    def execute(self, requests: Sequence[InferenceRequest]) -> Execution:
        raise AssertionError("a decoupled model is not executed so")

    def execute_decoupled(self, requests: Sequence[InferenceRequest], senders: Sequence[ResponseSender]) -> None:
        if self.failure is not None:
            raise self.failure
        for request, sender in zip(requests, senders, strict=True):
            self.taken.put((request, sender))

    def finalize(self) -> None:
        pass

    def close(self) -> None:
        pass
