"""The sequence batcher: the asyncio shell around `sequence_former.py`, for models that keep state from one request to the next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import cast

from aisle_server.errors import CancelledError
from aisle_server.inference import InferenceResponse, Tensor
from aisle_server.instance_group import GroupExecution, InstanceGroup
from aisle_server.model_config.schema import DynamicBatching, ModelConfig
from aisle_server.scheduling.batch import signature_for
from aisle_server.scheduling.clock import Clock
from aisle_server.scheduling.dynamic_batcher import Caller, DynamicBatcher, FormedBatch
from aisle_server.scheduling.request_queue import Overdue
from aisle_server.scheduling.sequence_controls import SequenceControls
from aisle_server.scheduling.sequence_former import SequenceBatch, SequenceFormer
from aisle_server.scheduling.sequence_states import SequenceStates
from aisle_server.statistics import FailureReason, ModelStatistics


class SequenceBatcher(DynamicBatcher):
    """Answers the requests of one version of a model with sequences.

    A dynamic batcher that forms its batches by sequences, and whose batches go to an instance in particular, with control tensors
    and perhaps with empty rows. Callers, timers, shutdown and the books are those of any batcher.
    """

    def __init__(
        self,
        config: ModelConfig,
        group: InstanceGroup,
        statistics: ModelStatistics,
        clock: Clock,
        initial_states: Mapping[str, Tensor] = MappingProxyType({}),
    ) -> None:
        """Make a batcher that waits for requests; see `create_scheduler`."""
        batching = config.sequence_batching
        assert batching is not None, "a model without sequences has another scheduler"
        self._sequences = SequenceFormer[Caller](
            batching, config.max_batch_size, group.instance_count, signature_for(config)
        )
        super().__init__(DynamicBatching(), 1, None, group, statistics, clock, former=self._sequences)
        self._controls = SequenceControls(config)
        self._states = SequenceStates(config, initial_states)

    def _accept(self, caller: Caller) -> None:
        self._controls.check(caller.request)
        super()._accept(caller)

    def _refuse(self, caller: Caller, overdue: Overdue, now_ns: int) -> None:
        if overdue is not Overdue.SEQUENCE:
            super()._refuse(caller, overdue, now_ns)
        elif not caller.answer.done():
            text = f"{caller.request.log_prefix()}another request of its sequence was given up by its caller"
            self._tell(caller, CancelledError(text))
            self._fail(caller, FailureReason.CANCELED, now_ns)

    def _submit(self, batch: FormedBatch) -> None:
        formed = cast(SequenceBatch[Caller], batch)
        states = {entry.rank: sequence.state for entry, sequence in zip(formed.entries, formed.sequences, strict=True)}
        places = [self._states.put(place.request, states[place.rank]) if place else None for place in formed.places]
        requests = self._controls.complete(places)
        self._group.submit(requests, partial(self._finish_rows, formed), instance=formed.instance)

    def _finish_rows(self, batch: SequenceBatch[Caller], execution: GroupExecution) -> None:
        rows = zip(batch.places, execution.results, strict=True)
        results = [result for place, result in rows if place is not None]
        for index, (caller, sequence) in enumerate(zip(batch.entries, batch.sequences, strict=True)):
            result = results[index]
            if isinstance(result, InferenceResponse):
                results[index], sequence.state = self._states.take(caller.request, result)
        # Only now may the next requests of these sequences go.
        self._sequences.finish(batch, self._clock.monotonic_ns())
        self._finish(batch, replace(execution, results=results))
