"""One instance of a model and the thread that creates, feeds and finalizes it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Event, Thread
from typing import Any, Final, cast

from aisle_server.backends.backend import (
    BackendInstance,
    BackendModel,
    DecoupledInstance,
    NotBegunError,
    ResponseSender,
)
from aisle_server.errors import InferenceServerError, InternalError
from aisle_server.inference import ComputeTimes, InferenceRequest, InferenceResponse
from aisle_server.instance_group.placement import Placement
from aisle_server.instance_group.response_stream import ResponseStream, WarmupResponses
from aisle_server.instance_group.warmup import WarmupSample
from aisle_server.model_config.schema import ModelConfig

logger = logging.getLogger(__name__)
_LOOK_EVERY_S: Final = 0.02


@dataclass(frozen=True, slots=True, eq=False)
class GroupExecution:
    """What became of one batch.

    Attributes:
        results: One for each request, in order: its response, or the error that is told to its caller alone. None at all for a
            decoupled model: its responses come by stream.
        times: Of the batch; None when the backend failed as a whole, so that nothing was executed to speak of.
        exec_start_ns: Monotonic time when an instance took the batch.
        exec_end_ns: Monotonic time when the instance was done with it.
    """

    results: Sequence[InferenceResponse | InferenceServerError]
    times: ComputeTimes | None
    exec_start_ns: int
    exec_end_ns: int


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """A batch on its way to an instance.

    Attributes:
        requests: One or more.
        finish: The group's; called on the event loop with this and the outcome.
        pass_on: The group's; called on the event loop with this when another instance shall have it.
        on_done: The scheduler's; for `finish` to call.
        streams: One for each request of a decoupled model; empty for other models.
    """

    requests: Sequence[InferenceRequest]
    finish: Callable[[Work, GroupExecution], None]
    pass_on: Callable[[Work], None]
    on_done: Callable[[GroupExecution], None]
    streams: Sequence[ResponseStream] = ()


class InstanceThread:
    """A thread that owns one `BackendInstance`.

    Work comes in through a `SimpleQueue` and goes out through `call_soon_threadsafe`: 13 us there and back, against 24 us for
    `run_in_executor` with its futures and locks (two cores, Python 3.11). Gathering several completions under one wake-up of the
    loop saved 1 us of it in bursts and nothing otherwise, so each completion wakes the loop.
    """

    def __init__(
        self,
        placement: Placement,
        model: BackendModel,
        config: ModelConfig,
        inbox: SimpleQueue[Work | None],
        loop: asyncio.AbstractEventLoop,
        others_can_execute: Callable[[], bool],
    ) -> None:
        """Prepare an instance.

        Args:
            placement: Its name and device.
            model: What it shares with its siblings.
            config: The model configuration.
            inbox: Batches to execute; None ends the thread.
            loop: Where to answer.
            others_can_execute: Whether anybody else takes from the inbox and is healthy. Called on the thread.
        """
        self._placement = placement
        self._model = model
        self._config = config
        self._inbox = inbox
        self._loop = loop
        self._others_can_execute = others_can_execute
        self._is_last_call = Event()
        self._instance: BackendInstance | None = None
        self._started: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[None] = loop.create_future()

    async def start(self, warmup_samples: Sequence[WarmupSample]) -> None:
        """Start the thread and wait until its instance is created and warm.

        Raises:
            InferenceServerError: The instance could not be created or failed to warm up; the thread ends by itself.
        """
        # A daemon: a backend that never returns must not keep the process from exiting once its time to stop is over.
        name = f"{self._config.name}/{self._placement.name}"
        Thread(target=self._run, args=(tuple(warmup_samples),), name=name, daemon=True).start()
        await self._started

    def is_healthy(self) -> bool:
        """Whether its instance can execute at the moment. Called on the event loop."""
        instance = self._instance
        return instance is None or instance.is_healthy()

    def call_last(self) -> None:
        """Say that no more work comes, so that an instance that is down does not wait until it is up. Called on the event loop."""
        self._is_last_call.set()

    def _run(self, warmup_samples: tuple[WarmupSample, ...]) -> None:
        try:
            instance = self._create(warmup_samples)
        except InferenceServerError as error:
            self._post(_fail, self._started, error)
        else:
            self._instance = instance
            self._post(_succeed, self._started)
            self._serve(instance)
            self._instance = None
            self._finalize(instance)
        self._post(_succeed, self.ended)

    def _create(self, warmup_samples: tuple[WarmupSample, ...]) -> BackendInstance:
        what = f"instance '{self._placement.name}' of model '{self._config.name}'"
        try:
            instance = self._model.create_instance(self._placement.name, self._placement.device)
        except InferenceServerError:
            raise
        except BaseException:  # a python model may well call sys.exit
            logger.exception("failed to create %s", what)
            raise InternalError(f"failed to create {what}") from None
        try:
            for sample in warmup_samples:
                self._warm_up(instance, sample)
        except BaseException:
            self._finalize(instance)
            raise
        return instance

    def _warm_up(self, instance: BackendInstance, sample: WarmupSample) -> None:
        for _ in range(sample.count):
            if self._config.decoupled:
                responses = [WarmupResponses() for _ in sample.requests]
                self._execute_decoupled(instance, sample.requests, responses)
                results = [result for each in responses for result in each.wait()]
            else:
                results = list(self._execute(instance, sample.requests).results)
            error = next((each for each in results if isinstance(each, InferenceServerError)), None)
            if error is not None:
                raise type(error)(f"failed to run warmup sample '{sample.name}': {error.message}; ")

    def _serve(self, instance: BackendInstance) -> None:
        while (work := self._take(instance)) is not None:
            try:
                execution = self._executed(instance, work)
            except NotBegunError:
                self._post(work.pass_on, work)
            else:
                self._post(work.finish, work, execution)
            del work  # or the last batch's tensors would live until the next batch comes

    def _executed(self, instance: BackendInstance, work: Work) -> GroupExecution:
        while True:
            try:
                if not work.streams:
                    return self._execute(instance, work.requests)
                for stream in work.streams:
                    stream.mark_started()
                return self._execute_decoupled(instance, work.requests, work.streams)
            except NotBegunError:
                if self._others_can_execute():
                    raise

    def _take(self, instance: BackendInstance) -> Work | None:
        """Wait for work. While the instance is down, it is left to those who can execute."""
        while True:
            while self._leaves_work(instance):
                self._is_last_call.wait(_LOOK_EVERY_S)
            work = self._inbox.get()
            # It may have gone down while it waited.
            if work is None or not self._leaves_work(instance):
                return work
            self._post(work.pass_on, work)

    def _leaves_work(self, instance: BackendInstance) -> bool:
        return not instance.is_healthy() and not self._is_last_call.is_set() and self._others_can_execute()

    def _execute(self, instance: BackendInstance, requests: Sequence[InferenceRequest]) -> GroupExecution:
        exec_start_ns = time.monotonic_ns()
        error: InferenceServerError
        try:
            execution = instance.execute(requests)
            if len(execution.results) == len(requests):
                exec_end_ns = time.monotonic_ns()
                times = ComputeTimes(
                    execution.compute_start_ns - exec_start_ns,
                    execution.compute_end_ns - execution.compute_start_ns,
                    exec_end_ns - execution.compute_end_ns,
                )
                return GroupExecution(execution.results, times, exec_start_ns, exec_end_ns)
            error = InternalError(
                f"model '{self._config.name}' gave {len(execution.results)} responses, expected {len(requests)}"
            )
        except NotBegunError:
            raise
        except BaseException as failure:
            error = self._told(failure)
        # One for each: an exception that several callers raise would gather all their frames.
        errors = [type(error)(error.message) for _ in requests]
        return GroupExecution(errors, None, exec_start_ns, time.monotonic_ns())

    def _execute_decoupled(
        self, instance: BackendInstance, requests: Sequence[InferenceRequest], senders: Sequence[ResponseSender]
    ) -> GroupExecution:
        exec_start_ns = time.monotonic_ns()
        times = None
        try:
            # The configuration says so, and a backend that has no such instances refuses to open such a model.
            cast(DecoupledInstance, instance).execute_decoupled(requests, senders)
            times = ComputeTimes(infer_ns=time.monotonic_ns() - exec_start_ns)
        except NotBegunError:
            raise
        except BaseException as failure:
            error = self._told(failure)
            for sender in senders:
                sender.send(type(error)(error.message), is_final=True)
        return GroupExecution((), times, exec_start_ns, time.monotonic_ns())

    def _told(self, failure: BaseException) -> InferenceServerError:
        if isinstance(failure, InferenceServerError):
            return failure
        # Whatever it is: a model that calls sys.exit would end the thread, and its callers would wait for ever.
        logger.error("instance '%s' of model '%s' failed", self._placement.name, self._config.name, exc_info=failure)
        return InternalError(f"model '{self._config.name}' failed to execute the request")

    def _finalize(self, instance: BackendInstance) -> None:
        try:
            instance.finalize()
        except BaseException:
            logger.exception("failed to finalize instance '%s' of '%s'", self._placement.name, self._config.name)

    def _post(self, callback: Callable[..., None], *arguments: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(callback, *arguments)
        except RuntimeError:  # the loop is closed: the process is going, and nobody waits for an answer
            logger.warning("instance '%s' of '%s' outlived its event loop", self._placement.name, self._config.name)


def _succeed(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _fail(future: asyncio.Future[None], error: InferenceServerError) -> None:
    if not future.done():
        future.set_exception(error)
