"""Ask any Triton-style server from asyncio: `InferenceClient`, awaited."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import numpy.typing as npt

from aisle_client import codec
from aisle_client.batching import as_batch, check_batch, first_row
from aisle_client.codec import Answer, Call
from aisle_client.errors import UnavailableError
from aisle_client.options import ClientOptions
from aisle_client.responses import (
    InferResult,
    ModelIndex,
    ModelMetadata,
    ModelStatistics,
    Parameter,
    RequestedOutput,
    ServerMetadata,
)
from aisle_client.retry import Attempts
from aisle_client.transport import AsyncTransport, GrpcAsyncTransport


class AsyncInferenceClient:
    """A client of the Triton inference protocol, safe to share between the tasks of one event loop.

        async with AsyncInferenceClient("localhost:8001") as client:
            result = await client.infer("identity", {"INPUT0": np.zeros((1, 16), np.float32)})
            result.outputs["OUTPUT0"]

    Every call has a deadline: `timeout_s` of the call or else of the options. Each may raise any `RequestError`.

    Args:
        server: `host:port`, or options.
        transport: Carries the calls; None for gRPC.
        clock: Monotonic seconds.
        sleep: Waits between attempts.
        draw: Spreads those waits; from [0, 1).
    """

    def __init__(
        self,
        server: str | ClientOptions = ClientOptions(),  # noqa: B008 - frozen
        *,
        transport: AsyncTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self.options = ClientOptions(address=server) if isinstance(server, str) else server
        self._transport = transport or GrpcAsyncTransport(self.options)
        self._clock = clock
        self._sleep = sleep
        self._draw = draw

    async def is_server_live(self, *, timeout_s: float | None = None) -> bool:
        """Does the server run?"""
        return await self.run(codec.server_live(), timeout_s)

    async def is_server_ready(self, *, timeout_s: float | None = None) -> bool:
        """Does the server answer inference requests?"""
        return await self.run(codec.server_ready(), timeout_s)

    async def is_model_ready(self, model: str, version: str = "", *, timeout_s: float | None = None) -> bool:
        """Is the model ready? An empty version stands for the one that would serve."""
        return await self.run(codec.model_ready(model, version), timeout_s)

    async def server_metadata(self, *, timeout_s: float | None = None) -> ServerMetadata:
        """Return who answers, and which extensions it speaks."""
        return await self.run(codec.server_metadata(), timeout_s)

    async def model_metadata(self, model: str, version: str = "", *, timeout_s: float | None = None) -> ModelMetadata:
        """Return what goes into a model and what comes out."""
        return await self.run(codec.model_metadata(model, version), timeout_s)

    async def model_config(self, model: str, version: str = "", *, timeout_s: float | None = None) -> dict[str, Any]:
        """Return a model's configuration under config.pbtxt's names; fields at their default are left out."""
        return await self.run(codec.model_config(model, version), timeout_s)

    async def model_statistics(
        self, model: str = "", version: str = "", *, timeout_s: float | None = None
    ) -> tuple[ModelStatistics, ...]:
        """Return the figures of a model, or of all when no name is given."""
        return await self.run(codec.model_statistics(model, version), timeout_s)

    async def repository_index(
        self, *, ready_only: bool = False, timeout_s: float | None = None
    ) -> tuple[ModelIndex, ...]:
        """Return every model of the repository with its state."""
        return await self.run(codec.repository_index(ready_only), timeout_s)

    async def infer(
        self,
        model: str,
        inputs: Mapping[str, npt.ArrayLike],
        outputs: Sequence[str | RequestedOutput] | None = None,
        *,
        version: str = "",
        request_id: str = "",
        parameters: Mapping[str, Parameter] | None = None,
        timeout_s: float | None = None,
    ) -> InferResult:
        """Run a model.

        Args:
            model: Name of the model.
            inputs: Arrays by input name, as they go out: with the batch dimension if the model has one.
            outputs: Which to answer; None for all.
            version: Empty for the one that would serve.
            request_id: Comes back with the answer and in errors.
            parameters: Parameters of the request, such as `priority`, or `timeout` of the queue in microseconds.
            timeout_s: Deadline; None for the options'.

        Returns:
            The outputs as arrays, and who made them.

        Raises:
            InvalidInputError: An input that the protocol cannot carry; nothing was sent.
            RequestError: The server did not answer.
            ProtocolError: The answer cannot be read.
        """
        call = codec.model_infer(model, inputs, outputs, version=version, request_id=request_id, parameters=parameters)
        return await self.run(call, timeout_s)

    async def infer_sample(
        self,
        model: str,
        inputs: Mapping[str, npt.ArrayLike],
        outputs: Sequence[str | RequestedOutput] | None = None,
        *,
        version: str = "",
        request_id: str = "",
        parameters: Mapping[str, Parameter] | None = None,
        timeout_s: float | None = None,
    ) -> InferResult:
        """Run a batching model on one sample: the batch dimension is added on the way out and taken off on the way back.

        Args and errors are `infer`'s, but for the shapes: those of the configuration's `dims`.
        """
        call = codec.model_infer(
            model, as_batch(inputs), outputs, version=version, request_id=request_id, parameters=parameters
        )
        return first_row(await self.run(call, timeout_s))

    async def infer_batch(
        self,
        model: str,
        inputs: Mapping[str, npt.ArrayLike],
        outputs: Sequence[str | RequestedOutput] | None = None,
        *,
        version: str = "",
        request_id: str = "",
        parameters: Mapping[str, Parameter] | None = None,
        timeout_s: float | None = None,
    ) -> InferResult:
        """Run a batching model on rows: every input has the same first dimension, which is checked before sending.

        Args and errors are `infer`'s.
        """
        check_batch(inputs)
        call = codec.model_infer(model, inputs, outputs, version=version, request_id=request_id, parameters=parameters)
        return await self.run(call, timeout_s)

    async def run(self, call: Call[Answer], timeout_s: float | None = None) -> Answer:
        """Make a call: send it, send it again while the server says "later", and read the answer.

        Args:
            call: From `codec`.
            timeout_s: Deadline of all attempts together; None for the options'.
        """
        timeout_s = self.options.timeout_s if timeout_s is None else timeout_s
        attempts = Attempts(self.options.retry, timeout_s, self._clock())
        while True:
            try:
                body = await self._transport.send(call, attempts.remaining_s(self._clock()))
            except UnavailableError:
                pause_s = attempts.pause_s(self._clock(), self._draw()) if call.is_repeatable else None
                if pause_s is None:
                    raise
            else:
                return call.decode(body)
            await self._sleep(pause_s)

    async def close(self) -> None:
        """Give the connection back; calls made afterwards are refused."""
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.options.target!r})"
