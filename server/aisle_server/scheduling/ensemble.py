"""The ensemble scheduler: a request flows through a graph of models, each step starting as soon as its tensors exist.

Source: Triton, "Ensemble Models".
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import TypeAlias

from aisle_server import messages
from aisle_server.errors import InferenceServerError, InternalError, InvalidArgumentError, UnavailableError
from aisle_server.inference import ComputeTimes, InferenceRequest, InferenceResponse, Tensor
from aisle_server.model_config.schema import ModelConfig
from aisle_server.scheduling.clock import Clock
from aisle_server.scheduling.ensemble_plan import EnsembleGraph, Plan, PlannedStep
from aisle_server.statistics import FailureReason, ModelStatistics

logger = logging.getLogger(__name__)

Infer: TypeAlias = Callable[[InferenceRequest], Awaitable[InferenceResponse]]
Gate: TypeAlias = AbstractAsyncContextManager[object]


class EnsembleScheduler:
    """Answers the requests of an ensemble.

    Every step is an ordinary request to its composing model, with that model's own queue, batches and statistics. It carries the
    caller's id, priority, timeout, deadline and parameters. When one fails no other is started, those under way are waited for, and
    the caller reads the first error. A caller that leaves takes the steps under way with it.
    """

    def __init__(
        self,
        config: ModelConfig,
        version: int,
        infer: Infer,
        statistics: ModelStatistics,
        clock: Clock,
        *,
        step_configs: Sequence[ModelConfig],
    ) -> None:
        """Make a scheduler for one version of an ensemble.

        Args:
            config: Of the ensemble, validated.
            version: Of the ensemble.
            infer: Answers a request of any model that is served.
            statistics: Where to book what becomes of requests.
            clock: The time.
            step_configs: Of the composing models, in the order of the steps: they tell which tensors have a batch dimension.
        """
        scheduling = config.ensemble_scheduling
        if scheduling is None or len(step_configs) != len(scheduling.steps):
            raise ValueError(f"'{config.name}' is no ensemble of {len(step_configs)} steps")
        self._config = config
        self._version = version
        self._infer = infer
        self._statistics = statistics
        self._clock = clock
        self._graph = EnsembleGraph(config, scheduling, step_configs)
        self._gates = [_gate(scheduling.max_inflight_requests) for _ in scheduling.steps]
        self._under_way = 0
        self._is_stopping = False
        self._drained = asyncio.Event()

    @property
    def pending_request_count(self) -> int:
        """Always 0: a request of an ensemble waits in the queues of its steps."""
        return 0

    async def infer(self, request: InferenceRequest) -> InferenceResponse:
        """Answer one request, see `Scheduler.infer`."""
        if self._is_stopping:
            raise UnavailableError(messages.scheduler_stopping(request.log_prefix()))
        start_ns = self._clock.monotonic_ns()
        self._under_way += 1
        if request.trace is not None:
            request.trace.add("QUEUE_START", start_ns)
        try:
            run = _Run(self._graph.plan(request.requested_outputs), request, self._config, self._infer, self._gates)
            await run.finish()
        except asyncio.CancelledError:
            self._fail(FailureReason.CANCELED, start_ns)
            raise
        except InferenceServerError as error:
            self._fail(FailureReason.OTHER, start_ns)
            raise type(error)(messages.in_ensemble(self._config.name, error.message)) from None
        finally:
            self._under_way -= 1
            if self._is_stopping and not self._under_way:
                self._drained.set()
        times = run.times
        self._statistics.record_execution(batch_size=request.batch_size, times=times)
        self._statistics.record_success(
            batch_size=request.batch_size,
            request_ns=self._clock.monotonic_ns() - start_ns,
            queue_ns=0,
            times=times,
            now_ms=self._clock.epoch_ms(),
        )
        return InferenceResponse(self._config.name, self._version, request.id, run.outputs(), times=times)

    async def stop(self) -> None:
        """Refuse new requests, and return when every accepted one is answered. Safe to call twice."""
        self._is_stopping = True
        if self._under_way:
            await self._drained.wait()

    def _fail(self, reason: FailureReason, start_ns: int) -> None:
        self._statistics.record_failure(reason=reason, request_ns=self._clock.monotonic_ns() - start_ns)


class _Run:
    """One request's way through the graph.

    A chain of steps is awaited in place; a task is made only where the way forks, for each branch but the first. So the ensemble
    of a picture and a title costs one task, not five.
    """

    __slots__ = (
        "_branches",
        "_config",
        "_error",
        "_gates",
        "_infer",
        "_plan",
        "_request",
        "_steps_left",
        "_tensors",
        "_waits",
        "times",
    )

    def __init__(
        self, plan: Plan, request: InferenceRequest, config: ModelConfig, infer: Infer, gates: Sequence[Gate]
    ) -> None:
        self._plan = plan
        self._request = request
        self._config = config
        self._infer = infer
        self._gates = gates
        self._tensors: dict[str, Tensor] = dict(request.inputs)
        self._waits = {index: step.wait_count for index, step in plan.steps.items()}
        self._steps_left = len(plan.steps)
        self._branches: list[asyncio.Task[None]] = []
        self._error: InferenceServerError | None = None
        self.times = ComputeTimes()

    async def finish(self) -> None:
        """Run every step of the plan.

        Raises:
            InferenceServerError: The first error of a step.
        """
        try:
            await self._fork(self._plan.initial)
            while self._branches:
                await self._branches.pop()
        except BaseException:
            for branch in self._branches:
                branch.cancel()
            await asyncio.gather(*self._branches, return_exceptions=True)
            raise
        if self._error is not None:
            raise self._error
        if self._steps_left or not self._plan.is_connected:
            raise InvalidArgumentError(
                f"{self._request.log_prefix()}unexpected deadlock, at least one output is not set while no more ensemble steps can be made"
            )

    def outputs(self) -> tuple[Tensor, ...]:
        """Return the outputs that the request asked for; one that its step did not give is absent."""
        tensors = [edge.carry(self._tensors) for edge in self._plan.outputs]
        return tuple([tensor for tensor in tensors if tensor is not None])

    async def _fork(self, steps: Sequence[PlannedStep]) -> None:
        """Run these steps and those that they make possible: the first in place, the others on tasks of their own."""
        while steps:
            first, *others = steps
            self._branches += [asyncio.create_task(self._fork((step,))) for step in others]
            steps = await self._run_step(first)

    async def _run_step(self, step: PlannedStep) -> Sequence[PlannedStep]:
        """Run one step. Returns the steps that may run now, none after an error."""
        if self._error is not None:
            return ()
        try:
            async with self._gates[step.index]:
                response = await self._infer(self._step_request(step))
        except InferenceServerError as error:
            self._error = self._error or error
            return ()
        except Exception:
            logger.exception("step %d of ensemble '%s' failed", step.index, self._config.name)
            self._error = self._error or InternalError(f"step {step.index} failed to execute the request")
            return ()
        self._steps_left -= 1
        self.times += response.times
        for tensor in response.outputs:
            target = step.targets.get(tensor.name)
            if target is not None:
                self._tensors[target] = tensor
        return self._ready_after(step)

    def _ready_after(self, step: PlannedStep) -> Sequence[PlannedStep]:
        if self._error is not None:
            return ()
        ready = []
        # An output that the step did not give counts as well: it is absent now, and nobody need wait for it.
        for target in step.targets.values():
            for consumer in self._plan.consumers.get(target, ()):
                self._waits[consumer.index] -= 1
                if not self._waits[consumer.index]:
                    ready.append(consumer)
        return ready

    def _step_request(self, step: PlannedStep) -> InferenceRequest:
        request = self._request
        inputs = {}
        for edge in step.inputs:
            tensor = edge.carry(self._tensors)
            if tensor is not None:
                inputs[edge.name] = tensor
        batch_size = 1
        if step.is_batching:
            shape = next((tensor.data.shape for tensor in inputs.values()), ())
            batch_size = shape[0] if shape else request.batch_size
        return InferenceRequest(
            model_name=step.model_name,
            inputs=inputs,
            model_version=step.model_version,
            id=request.id,
            requested_outputs=step.requested_outputs,
            parameters=request.parameters,
            priority=request.priority,
            timeout_us=request.timeout_us,
            deadline_ns=request.deadline_ns,
            batch_size=batch_size,
            sequence_id=request.sequence_id,
            sequence_start=request.sequence_start,
            sequence_end=request.sequence_end,
            cancellation=request.cancellation,
            trace=request.trace.child() if request.trace is not None else None,
        )


def _gate(max_inflight_requests: int) -> Gate:
    """Bound how many requests a step has under way, over all requests of the ensemble."""
    return asyncio.Semaphore(max_inflight_requests) if max_inflight_requests else nullcontext()
