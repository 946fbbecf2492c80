"""Instances that execute when a test says so, on no thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aisle_server.errors import InferenceServerError
from aisle_server.inference import ComputeTimes, InferenceRequest, InferenceResponse
from aisle_server.instance_group import GroupExecution
from tests.support.fake_clock import FakeClock

TIMES = ComputeTimes(10, 200, 30)


@dataclass
class Submitted:
    """A batch that an instance has taken."""

    requests: Sequence[InferenceRequest]
    on_done: Callable[[GroupExecution], None]
    exec_start_ns: int
    instance: int = 0

    @property
    def ids(self) -> list[str]:
        return [request.id for request in self.requests]


class FakeInstanceGroup:
    """Answers each request with its own inputs as outputs, when told to."""

    def __init__(self, clock: FakeClock, instance_count: int = 1) -> None:
        self.instance_count = instance_count
        self.executing: list[Submitted] = []
        self.batches: list[list[str]] = []
        self._clock = clock

    @property
    def idle_count(self) -> int:
        return self.instance_count - len(self.executing)

    def submit(
        self, requests: Sequence[InferenceRequest], on_done: Callable[[GroupExecution], None], instance: int = 0
    ) -> None:
        assert self.idle_count > 0, "more batches than instances"
        submitted = Submitted(requests, on_done, self._clock.now_ns, instance)
        self.executing.append(submitted)
        self.batches.append(submitted.ids)

    def finish(self, index: int = 0, *, error: InferenceServerError | None = None) -> None:
        """Let the batch that was taken first (or the one at an index) be done, or fail as a whole."""
        done = self.executing.pop(index)
        answers = [
            InferenceResponse(each.model_name, 1, each.id, tuple(each.inputs.values())) for each in done.requests
        ]
        results = answers if error is None else [error] * len(answers)
        times = TIMES if error is None else None
        done.on_done(GroupExecution(results, times, done.exec_start_ns, self._clock.now_ns))

    def refuse(self, index: int, error: InferenceServerError) -> None:
        """Let the batch that was taken first be done, with an error for one of its requests."""
        done = self.executing.pop(0)
        results: list[InferenceResponse | InferenceServerError] = [
            InferenceResponse(each.model_name, 1, each.id, tuple(each.inputs.values())) for each in done.requests
        ]
        results[index] = error
        done.on_done(GroupExecution(results, TIMES, done.exec_start_ns, self._clock.now_ns))
