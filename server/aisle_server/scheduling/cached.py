"""A scheduler in front of another, that answers from the response cache what was asked before.

Source: Triton, "Response Cache"; statistics extension, `cache_hit` and `cache_miss`.
"""

from __future__ import annotations

from aisle_server import messages
from aisle_server.errors import UnavailableError
from aisle_server.inference import InferenceRequest, InferenceResponse
from aisle_server.model_config.schema import ModelConfig
from aisle_server.scheduling.clock import Clock
from aisle_server.scheduling.response_cache import ResponseCache, digest_of
from aisle_server.scheduling.scheduler import Scheduler
from aisle_server.statistics import ModelStatistics


class CachedScheduler:
    """Answers the requests of one model version, those that were answered before without executing anything.

    Only answers are kept, no errors. Equal requests that come while the first of them executes are executed too.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        cache: ResponseCache,
        config: ModelConfig,
        version: int,
        statistics: ModelStatistics,
        clock: Clock,
    ) -> None:
        """Put a cache in front of a scheduler.

        Args:
            scheduler: Answers what the cache does not know.
            cache: Shared with other models.
            config: Of the model.
            version: Of the model.
            statistics: Where to book hits and misses; the scheduler books the rest.
            clock: The time.
        """
        self._scheduler = scheduler
        self._cache = cache
        self._user = cache.new_user()
        self._model_name = config.name
        self._version = version
        self._statistics = statistics
        self._clock = clock
        self._is_stopping = False

    @property
    def pending_request_count(self) -> int:
        """Requests that have been accepted and are not executing yet."""
        return self._scheduler.pending_request_count

    async def infer(self, request: InferenceRequest) -> InferenceResponse:
        """Answer one request, see `Scheduler.infer`."""
        if self._is_stopping:
            raise UnavailableError(messages.scheduler_stopping(request.log_prefix()))
        start_ns = self._clock.monotonic_ns()
        key = (self._user, digest_of(request))
        cached = self._cache.get(key)
        lookup_ns = self._clock.monotonic_ns() - start_ns
        if cached is not None:
            self._statistics.record_cache_hit(lookup_ns=lookup_ns, now_ms=self._clock.epoch_ms())
            return InferenceResponse(self._model_name, self._version, request.id, cached.outputs, cached.parameters)
        response = await self._scheduler.infer(request)
        start_ns = self._clock.monotonic_ns()
        if not self._is_stopping:
            self._cache.put(key, response)
        self._statistics.record_cache_miss(ns=lookup_ns + self._clock.monotonic_ns() - start_ns)
        return response

    async def stop(self) -> None:
        """Refuse new requests, and return when every accepted one is answered. Safe to call twice."""
        self._is_stopping = True
        self._cache.forget(self._user)
        await self._scheduler.stop()
