"""The contract of a scheduler: it takes a validated request and answers it, now or when its turn has come.

All methods are called on the event loop. Cancelling the task that awaits `infer` says that the caller has left: the request
leaves the queue at once and its neighbours are not disturbed.
"""

from __future__ import annotations

from typing import Protocol

from aisle_server.inference import InferenceRequest, InferenceResponse


class Scheduler(Protocol):
    """Decides when a request of one model version is executed, and with which others."""

    @property
    def pending_request_count(self) -> int:
        """Requests that have been accepted and are not executing yet."""
        ...

    async def infer(self, request: InferenceRequest) -> InferenceResponse:
        """Answer one request.

        Args:
            request: Validated against the model configuration.

        Returns:
            Exactly this request's rows.

        Raises:
            QueueFullError: The queue is full.
            QueueTimeoutError: The request waited longer than its queue policy allows.
            UnavailableError: The scheduler is stopping.
            DeadlineExceededError: The caller's deadline passed while the request was queued.
            InferenceServerError: The model refused the request, or failed.
        """
        ...

    async def stop(self) -> None:
        """Refuse new requests, and return when every accepted one is answered. Safe to call twice."""
        ...
