"""The dynamic batcher: the asyncio shell around `batch.py`. It knows futures, timers and instances, and decides nothing itself."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol, TypeAlias

from aisle_server import messages
from aisle_server.errors import (
    DeadlineExceededError,
    InferenceServerError,
    QueueTimeoutError,
    UnavailableError,
)
from aisle_server.inference import ComputeTimes, InferenceRequest, InferenceResponse
from aisle_server.instance_group import GroupExecution, InstanceGroup
from aisle_server.model_config.schema import DynamicBatching
from aisle_server.scheduling.alarms import NEVER_NS
from aisle_server.scheduling.batch import BatchFormer, Signature
from aisle_server.scheduling.clock import Clock, Timer
from aisle_server.scheduling.request_queue import Overdue, QueuedRequest
from aisle_server.statistics import FailureReason, ModelStatistics

# None for a request of a decoupled model, which has had its responses by stream.
Result: TypeAlias = InferenceResponse | InferenceServerError | None


class Caller(QueuedRequest):
    """A queued request, and who waits for the answer.

    Attributes:
        answer: Ends in a result, or cancelled when the caller leaves. An error is a result too: set as an exception, it would be
            reported as never retrieved whenever its caller leaves in the turn of the loop in which it comes.
        result: What came of the execution, until the answer may leave.
        execution: The one that the request was part of.
    """

    __slots__ = ("answer", "execution", "result")

    def __init__(self, request: InferenceRequest, answer: asyncio.Future[Result]) -> None:
        super().__init__(request)
        self.answer = answer
        self.result: Result | None = None
        self.execution: GroupExecution | None = None


class FormedBatch(Protocol):
    """Requests that will be executed together."""

    @property
    def entries(self) -> Sequence[Caller]:
        """One or more, in the order of their results."""
        ...

    @property
    def rows(self) -> int:
        """Of the execution."""
        ...


class Former(Protocol):
    """What decides which requests are executed together, and when. `BatchFormer` says how it is asked."""

    @property
    def pending_count(self) -> int:
        """Requests that wait."""
        ...

    @property
    def wake_ns(self) -> int:
        """When to look again though nothing happens."""
        ...

    def enqueue(self, entry: Caller, now_ns: int) -> None:
        """Put a request into the queue, or refuse it."""
        ...

    def remove(self, entry: Caller) -> bool:
        """Take out a request whose caller has left. Returns whether it was still waiting."""
        ...

    def expire(self, now_ns: int) -> list[tuple[Caller, Overdue]]:
        """Take out the requests that nobody waits for any more."""
        ...

    def take(self, now_ns: int, idle_count: int) -> FormedBatch | None:
        """Take the next batch, if there is one and an instance waits for it."""
        ...

    def close(self) -> None:
        """Say that no more requests will come."""
        ...


class DynamicBatcher:
    """Answers the requests of one model version, several callers' in one execution.

    A caller that leaves, a deadline or a queue timeout that passes takes its request out of the queue at that moment: a caller's
    leaving is a cancelled future, and the rest has a timer. What an instance has taken is executed to the end; the rows of a
    caller that has left by then are dropped.
    """

    def __init__(
        self,
        batching: DynamicBatching,
        max_batch_size: int,
        signature: Callable[[InferenceRequest], Signature] | None,
        group: InstanceGroup,
        statistics: ModelStatistics,
        clock: Clock,
        *,
        former: Former | None = None,
    ) -> None:
        """Make a batcher that waits for requests.

        Args:
            batching: Preferred sizes, delay, and policies of the queue.
            max_batch_size: Rows that one execution may have; 0 counts as 1.
            signature: What requests of one batch must have in common; None for nothing.
            group: The model's instances; nobody else gives them work.
            statistics: Where to book what becomes of requests.
            clock: The time.
            former: What forms batches by other rules than those above; None for those.
        """
        self._former: Former = former or BatchFormer[Caller](batching, max_batch_size, group.instance_count, signature)
        self._group = group
        self._statistics = statistics
        self._clock = clock
        self._timer: Timer | None = None
        self._timer_ns = NEVER_NS
        # With preserve_ordering: callers in the order in which instances took them; answers leave from the left.
        self._in_order: deque[Caller] | None = deque() if batching.preserve_ordering else None
        self._unanswered = 0
        self._is_stopping = False
        self._drained = asyncio.Event()

    @property
    def pending_request_count(self) -> int:
        """Requests that have been accepted and are not executing yet."""
        return self._former.pending_count

    async def infer(self, request: InferenceRequest) -> InferenceResponse:
        """Answer one request, see `Scheduler.infer`."""
        caller = Caller(request, asyncio.get_running_loop().create_future())
        self._accept(caller)
        try:
            result = await caller.answer
        except asyncio.CancelledError:
            if caller.answer.cancelled():  # else the answer came in the same turn of the loop, and is booked
                self._leave(caller)
            raise
        if isinstance(result, InferenceServerError):
            raise result
        assert result is not None
        return result

    async def stop(self) -> None:
        """Refuse new requests, and return when every accepted one is answered. Safe to call twice."""
        self._is_stopping = True
        self._former.close()
        self._advance(self._clock.monotonic_ns())
        if self._unanswered:
            await self._drained.wait()
        if self._timer is not None:
            self._timer.cancel()

    def _accept(self, caller: Caller) -> None:
        if self._is_stopping:
            raise UnavailableError(messages.scheduler_stopping(caller.request.log_prefix()))
        now_ns = self._clock.monotonic_ns()
        self._former.enqueue(caller, now_ns)
        if caller.request.trace is not None:
            caller.request.trace.add("QUEUE_START", now_ns)
        self._unanswered += 1
        self._advance(now_ns)

    def _advance(self, now_ns: int) -> None:
        """Do all that is to be done at this moment, and see to it that the next one is not missed."""
        for caller, overdue in self._former.expire(now_ns):
            self._refuse(caller, overdue, now_ns)
        while (batch := self._former.take(now_ns, self._group.idle_count)) is not None:
            self._submit(batch)
        wake_ns = self._former.wake_ns
        # A timer that rings too early costs less than moving it with every request.
        if wake_ns < self._timer_ns:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._clock.call_at(wake_ns, self._ring)
            self._timer_ns = wake_ns

    def _submit(self, batch: FormedBatch) -> None:
        if self._in_order is not None:
            self._in_order.extend(batch.entries)
        self._group.submit([caller.request for caller in batch.entries], partial(self._finish, batch))

    def _ring(self) -> None:
        self._timer = None
        self._timer_ns = NEVER_NS
        self._advance(self._clock.monotonic_ns())

    def _leave(self, caller: Caller) -> None:
        caller.request.cancellation.request()
        now_ns = self._clock.monotonic_ns()
        was_waiting = self._former.remove(caller)
        self._fail(caller, FailureReason.CANCELED, now_ns)
        if was_waiting:
            self._advance(now_ns)  # those behind it may fit now

    def _refuse(self, caller: Caller, overdue: Overdue, now_ns: int) -> None:
        if caller.answer.done():  # the caller is leaving in this turn of the loop
            return
        if overdue is Overdue.QUEUE_TIMEOUT:
            self._tell(caller, QueueTimeoutError(messages.QUEUE_TIMEOUT))
            self._fail(caller, FailureReason.REJECTED, now_ns)
        else:
            text = f"{caller.request.log_prefix()}the deadline passed while the request was queued"
            self._tell(caller, DeadlineExceededError(text))
            self._fail(caller, FailureReason.CANCELED, now_ns)

    def _tell(self, caller: Caller, refusal: InferenceServerError) -> None:
        caller.answer.set_result(refusal)

    def _finish(self, batch: FormedBatch, execution: GroupExecution) -> None:
        now_ns = self._clock.monotonic_ns()
        self._advance(now_ns)  # first, so that the instance has work while the answers go out
        if execution.times is not None:
            self._statistics.record_execution(batch_size=batch.rows, times=execution.times)
        for caller, result in zip(batch.entries, execution.results, strict=True):
            caller.result, caller.execution = result, execution
            trace_execution(caller.request, execution)
        if self._in_order is None:
            released = batch.entries
        else:
            released = ready = list[Caller]()
            while self._in_order and self._in_order[0].result is not None:
                ready.append(self._in_order.popleft())
        now_ms = self._clock.epoch_ms()
        for caller in released:
            self._release(caller, now_ns, now_ms)

    def _release(self, caller: Caller, now_ns: int, now_ms: int) -> None:
        result, execution = caller.result, caller.execution
        assert result is not None
        assert execution is not None
        if caller.answer.done():  # the caller has left, and that is booked
            return
        if isinstance(result, InferenceServerError):
            caller.answer.set_result(result)
            self._fail(caller, FailureReason.BACKEND, now_ns)
            return
        times = execution.times or ComputeTimes()
        caller.answer.set_result(result.timed(times))
        self._statistics.record_success(
            batch_size=caller.rows,
            request_ns=now_ns - caller.enqueued_ns,
            queue_ns=execution.exec_start_ns - caller.enqueued_ns,
            times=times,
            now_ms=now_ms,
        )
        self._settle()

    def _fail(self, caller: Caller, reason: FailureReason, now_ns: int) -> None:
        self._statistics.record_failure(reason=reason, request_ns=now_ns - caller.enqueued_ns)
        self._settle()

    def _settle(self) -> None:
        self._unanswered -= 1
        if self._is_stopping and not self._unanswered:
            self._drained.set()


def trace_execution(request: InferenceRequest, execution: GroupExecution) -> None:
    """Note in the trace of a request, if it has one, when its batch was executed."""
    if request.trace is not None:
        request.trace.add_execution(execution.exec_start_ns, execution.exec_end_ns, execution.times)
