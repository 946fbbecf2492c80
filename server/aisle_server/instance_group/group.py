"""All instances of one model version: takes batches on the event loop, has them executed on threads, answers on the event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from queue import SimpleQueue

from aisle_server import messages
from aisle_server.backends.backend import BackendModel
from aisle_server.errors import UnavailableError
from aisle_server.inference import InferenceRequest
from aisle_server.instance_group.instance_thread import GroupExecution, InstanceThread, Work
from aisle_server.instance_group.placement import Placement, devices_for
from aisle_server.instance_group.response_stream import ResponseStream
from aisle_server.instance_group.warmup import WarmupSample
from aisle_server.model_config.schema import ModelConfig

OnDone = Callable[[GroupExecution], None]


class InstanceGroup:
    """The instances of one model version. Every method is called on the event loop that started it.

    All threads take work from one queue, so a batch goes to whichever instance is free first; one that is down leaves it to the others, as
    long as there are any. Instances of a model with sequences
    have a queue each, for its scheduler knows which of them has the state that a request belongs to. The group does not bound its
    queues; its scheduler does, by looking at `idle_count`. The group does not own the model: who opened it closes it, after `stop`.
    """

    def __init__(
        self,
        model: BackendModel,
        loop: asyncio.AbstractEventLoop,
        warmup_samples: Sequence[WarmupSample],
        available_gpus: Sequence[int],
    ) -> None:
        """Make a group without instances; callers use `start`."""
        self._model = model
        self._loop = loop
        self._warmup_samples = tuple(warmup_samples)
        self._available_gpus = tuple(available_gpus)
        # One for each instance; the same for all of them unless the model has sequences.
        self._inboxes: list[SimpleQueue[Work | None]] = []
        self._instances: list[InstanceThread] = []
        self._leaving: list[InstanceThread] = []
        self._under_way = 0
        self._stopped: asyncio.Task[None] | None = None

    @classmethod
    async def start(
        cls,
        model: BackendModel,
        config: ModelConfig,
        *,
        warmup_samples: Sequence[WarmupSample] = (),
        available_gpus: Sequence[int] = (),
    ) -> InstanceGroup:
        """Create all instances, each on its own thread, and have each of them run the warm-up samples.

        One after another: loading is bound by the disk and by memory, and a peak of N models at once helps nobody.

        Args:
            model: What the instances share.
            config: The model configuration, complete.
            warmup_samples: Executed by every instance before this returns; they are not booked anywhere.
            available_gpus: Ids of the GPUs that the process may use.

        Raises:
            InferenceServerError: An instance could not be created, or failed to warm up. None is left behind.
        """
        group = cls(model, asyncio.get_running_loop(), warmup_samples, available_gpus)
        try:
            for placement in devices_for(config, available_gpus):
                await group._add(placement, config)
        except BaseException:
            await group.stop()
            raise
        return group

    async def resize(self, config: ModelConfig) -> None:
        """Have as many instances as a configuration says, while requests are executed. Those that are too many leave when they are idle.

        Args:
            config: As that of the start but for its instance groups, all of which execute on the same device, as those before; it has
                no sequences.

        Raises:
            InferenceServerError: An instance more could not be created, or failed to warm up. There are as many as before.
        """
        count = len(self._instances)
        placements = devices_for(config, self._available_gpus)
        try:
            for placement in placements[count:]:
                await self._add(placement, config)
        except BaseException:
            self._dismiss(down_to=count)
            raise
        self._dismiss(down_to=len(placements))

    @property
    def instance_count(self) -> int:
        """Instances there are."""
        return len(self._instances)

    @property
    def idle_count(self) -> int:
        """Instances that wait for work."""
        return max(0, len(self._instances) - self._under_way)

    @property
    def is_healthy(self) -> bool:
        """Whether every instance can execute at the moment."""
        return all(instance.is_healthy() for instance in self._instances)

    def submit(
        self,
        requests: Sequence[InferenceRequest],
        on_done: OnDone,
        streams: Sequence[ResponseStream] = (),
        instance: int = 0,
    ) -> None:
        """Have a batch executed by the first instance that is free, or by one in particular.

        Args:
            requests: One or more; their rows fit the model's `max_batch_size`.
            on_done: Called on the event loop, once, never before this returns. A decoupled model may send responses after that.
            streams: For a decoupled model, where the responses to each request go.
            instance: For a model with sequences, the one that executes it.
        """
        if self._stopped is not None:
            raise RuntimeError("a batch was submitted to an instance group that has stopped")
        self._under_way += 1
        self._inboxes[instance].put(Work(requests, self._finish, self._pass_on, on_done, streams))

    async def execute(self, requests: Sequence[InferenceRequest]) -> GroupExecution:
        """Have a batch executed by the first instance that is free, and wait for it.

        Cancelling the wait does not stop the instance: the batch is executed and its results are dropped.
        """
        future: asyncio.Future[GroupExecution] = self._loop.create_future()
        self.submit(requests, lambda execution: None if future.done() else future.set_result(execution))
        return await future

    async def stop(self) -> None:
        """Let the instances finish what was submitted, finalize each on its thread, and return when all threads have ended.

        Safe to call twice.
        """
        if self._stopped is None:
            for inbox in self._inboxes:
                inbox.put(None)
            for instance in (*self._instances, *self._leaving):
                instance.call_last()
            self._stopped = self._loop.create_task(self._wait_for_threads())
        await asyncio.shield(self._stopped)

    async def _wait_for_threads(self) -> None:
        for instance in (*self._instances, *self._leaving):
            await instance.ended

    async def _add(self, placement: Placement, config: ModelConfig) -> None:
        is_shared = config.sequence_batching is None
        inbox = self._inboxes[0] if is_shared and self._inboxes else SimpleQueue[Work | None]()

        def others_can_execute() -> bool:
            return is_shared and any(each.is_healthy() for each in self._instances if each is not instance)

        instance = InstanceThread(placement, self._model, config, inbox, self._loop, others_can_execute)
        instance.ended.add_done_callback(lambda _: self._note_end(instance))
        # Among those that leave until it has come: one that cannot be created ends by itself.
        self._leaving.append(instance)
        try:
            await instance.start(self._warmup_samples)
        except asyncio.CancelledError:
            inbox.put(None)
            raise
        self._leaving.remove(instance)
        self._instances.append(instance)
        self._inboxes.append(inbox)

    def _dismiss(self, *, down_to: int) -> None:
        """Let instances leave until so many are left."""
        while len(self._instances) > down_to:
            self._leaving.append(self._instances.pop())
            self._inboxes.pop().put(None)

    def _note_end(self, instance: InstanceThread) -> None:
        if instance in self._leaving:
            self._leaving.remove(instance)
        elif self._stopped is None:
            # All take from one queue, so the word that it is over came to another than it was meant for, who stays in its place.
            self._instances[self._instances.index(instance)] = self._leaving.pop(0)

    def _pass_on(self, work: Work) -> None:
        """Give a batch to another instance than the one that took it and is down. Only with an inbox that all share."""
        if self._stopped is None:
            self._inboxes[0].put(work)
            return
        # Behind the word that it is over nobody would take it.
        now_ns = time.monotonic_ns()
        errors = [UnavailableError(messages.SHUTTING_DOWN) for _ in work.requests]
        for stream in work.streams:
            stream.send(UnavailableError(messages.SHUTTING_DOWN), is_final=True)
        self._finish(work, GroupExecution(() if work.streams else errors, None, now_ns, now_ns))

    def _finish(self, work: Work, execution: GroupExecution) -> None:
        self._under_way -= 1
        work.on_done(execution)
