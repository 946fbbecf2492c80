"""Scheduling for decoupled models: requests queue and batch as ever, and each is answered any number of times.

Source: Triton, "Decoupled Backends and Models"; statistics extension, `response_stats`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from functools import partial
from typing import cast

from aisle_server import messages
from aisle_server.errors import InferenceServerError, UnsupportedError
from aisle_server.inference import ComputeTimes, InferenceRequest, InferenceResponse, StreamedResponse
from aisle_server.instance_group import GroupExecution, InstanceGroup, ResponseStream
from aisle_server.model_config.schema import DynamicBatching, ModelConfig
from aisle_server.scheduling.batch import signature_for
from aisle_server.scheduling.clock import Clock
from aisle_server.scheduling.dynamic_batcher import Caller, DynamicBatcher, FormedBatch, trace_execution
from aisle_server.statistics import FailureReason, ModelStatistics, ResponseOutcome


class _Listener(Caller):
    """A queued request, and who listens to the answers. Its `answer` ends when the last of them has come.

    Attributes:
        stream: From the model's threads.
        count: Responses that have come.
        is_final_here: Whether the last of them has.
        has_failed: Whether one of them was an error.
    """

    __slots__ = ("count", "has_failed", "is_final_here", "stream")

    stream: ResponseStream

    def __init__(self, request: InferenceRequest, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(request, loop.create_future())
        self.count = 0
        self.is_final_here = False
        self.has_failed = False


class DecoupledBatcher(DynamicBatcher):
    """Answers the requests of one version of a decoupled model.

    An instance is free for the next batch as soon as it has taken one; responses come from the model's threads, then or later. So
    answers keep no order among requests, whatever `preserve_ordering` says.
    """

    def __init__(self, config: ModelConfig, group: InstanceGroup, statistics: ModelStatistics, clock: Clock) -> None:
        """Make a batcher that waits for requests; see `create_scheduler`."""
        batching = config.dynamic_batching
        if batching is None:
            super().__init__(DynamicBatching(), 1, None, group, statistics, clock)
        else:
            super().__init__(batching, config.max_batch_size, signature_for(config), group, statistics, clock)
            self._in_order = None

    async def infer(self, request: InferenceRequest) -> InferenceResponse:
        """Refuse: one answer is not what the model gives.

        Raises:
            UnsupportedError: Always.
        """
        raise UnsupportedError(messages.DECOUPLED_ON_UNARY)

    async def stream(self, request: InferenceRequest) -> AsyncGenerator[StreamedResponse, None]:
        """Answer one request as often as the model does.

        Closing the iterator says that the caller has left: a queued request leaves the queue, an executing one is told through its
        `cancellation`, and what the model still sends is dropped.

        Args:
            request: Validated against the model configuration.

        Yields:
            Responses up to and with the final one.

        Raises:
            QueueFullError: The queue is full.
            UnavailableError: The scheduler is stopping.
        """
        loop = asyncio.get_running_loop()
        listener = _Listener(request, loop)
        listener.stream = ResponseStream(loop, partial(self._book, listener))
        self._accept(listener)
        try:
            while True:
                response = await listener.stream.receive()
                yield response
                if response.is_final:
                    return
        finally:
            if not listener.answer.done() and not listener.is_final_here:
                listener.answer.cancel()
                listener.stream.abandon()
                self._leave(listener)

    def _submit(self, batch: FormedBatch) -> None:
        # Every entry came through `stream`, for `infer` takes none.
        streams = [cast(_Listener, caller).stream for caller in batch.entries]
        for caller in batch.entries:
            if caller.request.trace is not None:
                caller.request.trace.hold()
        self._group.submit([caller.request for caller in batch.entries], partial(self._finish, batch), streams)

    def _tell(self, caller: Caller, refusal: InferenceServerError) -> None:
        super()._tell(caller, refusal)
        cast(_Listener, caller).stream.send(refusal, is_final=True)

    def _finish(self, batch: FormedBatch, execution: GroupExecution) -> None:
        self._advance(self._clock.monotonic_ns())
        if execution.times is not None:
            self._statistics.record_execution(batch_size=batch.rows, times=execution.times)
        for caller in batch.entries:
            caller.execution = execution
            trace_execution(caller.request, execution)
            if caller.request.trace is not None:
                caller.request.trace.let_go()
            self._end(cast(_Listener, caller))

    def _book(self, listener: _Listener, response: StreamedResponse, sent_ns: int) -> None:
        if listener.answer.done():  # the caller has left, or was refused before a model was asked
            return
        result = response.result
        outcome = ResponseOutcome.EMPTY if result is None else ResponseOutcome.SUCCESS
        if isinstance(result, InferenceServerError):
            outcome = ResponseOutcome.FAIL
            listener.has_failed = True
        self._statistics.record_response(
            index=listener.count,
            outcome=outcome,
            infer_ns=sent_ns - listener.stream.last_sent_ns,
            output_ns=self._clock.monotonic_ns() - sent_ns,
        )
        listener.count += 1
        if response.is_final:
            listener.is_final_here = True
            self._end(listener)

    def _end(self, listener: _Listener) -> None:
        """Book a request whose last response is here and whose execution has returned, whichever came first."""
        execution = listener.execution
        if execution is None or not listener.is_final_here or listener.answer.done():
            return
        listener.answer.set_result(None)
        now_ns = self._clock.monotonic_ns()
        if listener.has_failed:
            self._fail(listener, FailureReason.BACKEND, now_ns)
            return
        self._statistics.record_success(
            batch_size=listener.rows,
            request_ns=now_ns - listener.enqueued_ns,
            queue_ns=execution.exec_start_ns - listener.enqueued_ns,
            times=execution.times or ComputeTimes(),
            now_ms=self._clock.epoch_ms(),
        )
        self._settle()
