"""Requests that models send to models: from a model's thread to the event loop, and back as a future."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeAlias

from aisle_server.inference import InferenceRequest, InferenceResponse, StreamedResponse

Infer: TypeAlias = Callable[[InferenceRequest], Coroutine[Any, Any, InferenceResponse]]
Stream: TypeAlias = Callable[[InferenceRequest], AsyncGenerator[StreamedResponse, None]]


class ModelCalls:
    """Has requests of models answered on the event loop; see `ModelCaller`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, infer: Infer, stream: Stream) -> None:
        """Lead to the loop.

        Args:
            loop: Where models are found and scheduled.
            infer: Answers a request once; called on the loop.
            stream: Answers a request any number of times; called on the loop.
        """
        self._loop = loop
        self._infer = infer
        self._stream = stream

    def infer(self, request: InferenceRequest) -> Future[InferenceResponse]:
        """Execute a model that answers once; see `ModelCaller.infer`."""

        async def answer() -> InferenceResponse:
            return await self._infer(request)  # the model is looked up here, on the loop

        return asyncio.run_coroutine_threadsafe(answer(), self._loop)

    def stream(self, request: InferenceRequest) -> StreamReader:
        """Execute a model that answers any number of times; see `ModelCaller.stream`."""
        return StreamReader(self._loop, self._stream, request)


class StreamReader:
    """Reads an async generator of the loop from another thread; see `ResponseReader`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, stream: Stream, request: InferenceRequest) -> None:
        """Prepare to read; the request is sent with the first `next`."""
        self._loop = loop
        self._open = stream
        self._request = request
        self._responses: AsyncGenerator[StreamedResponse, None] | None = None

    def next(self) -> Future[StreamedResponse]:
        """Ask for the next response."""
        return asyncio.run_coroutine_threadsafe(self._next(), self._loop)

    def close(self) -> None:
        """Have the stream closed, and do not wait for it."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop)

    async def _next(self) -> StreamedResponse:
        if self._responses is None:
            self._responses = self._open(self._request)
        return await anext(self._responses)

    async def _close(self) -> None:
        if self._responses is not None:
            await self._responses.aclose()
