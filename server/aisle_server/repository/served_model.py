"""One version of one model, ready to answer."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from aisle_server.inference import InferenceRequest, InferenceResponse, StreamedResponse, Trace
from aisle_server.model_config.schema import InstanceGroup, ModelConfig, VersionPolicy
from aisle_server.repository.request_validation import RequestValidator
from aisle_server.scheduling.decoupled import DecoupledBatcher
from aisle_server.scheduling.scheduler import Scheduler
from aisle_server.statistics import ModelStatistics

_NO_LABELS: Mapping[str, tuple[str, ...]] = MappingProxyType({})


class ServedModel:
    """What the loader makes and the lifecycle keeps: configuration, scheduler, books and labels of one version.

    Attributes:
        config: Complete, validated, trusted.
        version: Its number.
        statistics: Its books, since it was loaded.
        labels: Output -> names of its classes, of outputs that have a label file of their own.
        load_duration_s: How long it took to load.
    """

    __slots__ = (
        "_is_healthy",
        "_release",
        "_resize",
        "_scheduler",
        "_validator",
        "_when_released",
        "config",
        "labels",
        "load_duration_s",
        "statistics",
        "version",
    )

    def __init__(
        self,
        config: ModelConfig,
        version: int,
        scheduler: Scheduler,
        statistics: ModelStatistics,
        *,
        labels: Mapping[str, tuple[str, ...]] = _NO_LABELS,
        load_duration_s: float = 0.0,
        release: Callable[[], Awaitable[None]] | None = None,
        resize: Callable[[ModelConfig], Awaitable[None]] | None = None,
        is_healthy: Callable[[], bool] | None = None,
    ) -> None:
        """Put a loaded version together.

        Args:
            config: Complete and validated.
            version: Its number.
            scheduler: Answers its requests.
            statistics: Where the scheduler books them.
            labels: Output -> names of its classes.
            load_duration_s: How long it took to load.
            release: Gives back instances and files, once the scheduler has stopped; None when there are none.
            resize: Brings the number of instances in line with a configuration; None when there are no instances.
            is_healthy: Tells whether every instance can execute at the moment; None when nothing could keep one from it.
        """
        self.config = config
        self.version = version
        self.statistics = statistics
        self.labels = labels
        self.load_duration_s = load_duration_s
        self._scheduler = scheduler
        self._validator = RequestValidator(config)
        self._release = release
        self._resize = resize
        self._when_released: list[Callable[[], Awaitable[None]]] = []
        self._is_healthy = is_healthy

    @property
    def is_healthy(self) -> bool:
        """Whether every instance can execute at the moment."""
        return self._is_healthy is None or self._is_healthy()

    @property
    def pending_request_count(self) -> int:
        """Requests that have been accepted and are not executing yet."""
        return self._scheduler.pending_request_count

    def infer(self, request: InferenceRequest) -> Coroutine[Any, Any, InferenceResponse]:
        """Check a request at once, and answer it when awaited.

        Raises:
            InvalidArgumentError: The request does not fit the model configuration.
            InferenceServerError: As `Scheduler.infer`, when awaited.
        """
        request = self._validator.validate(request)
        if request.trace is None:
            return self._scheduler.infer(request)
        return self._traced(request, request.trace)

    def stream(self, request: InferenceRequest) -> AsyncGenerator[StreamedResponse, None]:
        """Check a request at once, and answer it when iterated: any number of times for a decoupled model, else once.

        Raises:
            InvalidArgumentError: The request does not fit the model configuration.
            InferenceServerError: As `Scheduler.infer`, when iterated.
        """
        if not isinstance(self._scheduler, DecoupledBatcher):
            return _once(self.infer(request))
        request = self._validator.validate(request)
        responses = self._scheduler.stream(request)
        return responses if request.trace is None else self._traced_stream(request, request.trace, responses)

    async def _traced(self, request: InferenceRequest, trace: Trace) -> InferenceResponse:
        trace.begin(request, self.version)
        try:
            response = await self._scheduler.infer(request)
            trace.add_response(response)
            return response
        finally:
            trace.let_go()

    async def _traced_stream(
        self, request: InferenceRequest, trace: Trace, responses: AsyncGenerator[StreamedResponse, None]
    ) -> AsyncGenerator[StreamedResponse, None]:
        trace.begin(request, self.version)
        try:
            async with aclosing(responses):
                async for streamed in responses:
                    if isinstance(streamed.result, InferenceResponse):
                        trace.add_response(streamed.result)
                    yield streamed
        finally:
            trace.let_go()

    async def reconfigure(self, instance_groups: Sequence[InstanceGroup], version_policy: VersionPolicy) -> None:
        """Take over what may change of a configuration while requests are answered: how many instances there are.

        Args:
            instance_groups: On the CPU, as those before them.
            version_policy: Echoed.

        Raises:
            InferenceServerError: An instance more cannot be created; everything is as it was.
        """
        config = replace(self.config, instance_groups=tuple(instance_groups), version_policy=version_policy)
        if self._resize is not None and config.instance_groups != self.config.instance_groups:
            await self._resize(config)
        self.config = config

    def when_released(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Have something done when everything has been given back."""
        self._when_released.append(callback)

    async def stop(self) -> None:
        """Refuse new requests, answer the accepted ones, then give everything back. Called once."""
        try:
            await self._scheduler.stop()
            if self._release is not None:
                await self._release()
        finally:
            for callback in self._when_released:
                await callback()


async def _once(answer: Coroutine[Any, Any, InferenceResponse]) -> AsyncGenerator[StreamedResponse, None]:
    yield StreamedResponse(await answer, is_final=True)
