"""Callers who leave: by cancelling, or because their deadline passed."""

from __future__ import annotations

import asyncio
import time

import pytest
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from grpc import StatusCode

from tests.support.server_process import ServerProcess
from tests.support.triton_requests import refused, row_input


def _executions(client: triton.InferenceServerClient, model: str) -> int:
    (row,) = client.get_inference_statistics(model).model_stats
    return int(row.execution_count)


def test_d51_a_queued_request_whose_caller_left_is_not_executed(
    server: ServerProcess, client: triton.InferenceServerClient
) -> None:
    """A request that is cancelled while it waits never reaches the model, and its neighbours are answered."""
    before = _executions(client, "slow")

    async def ask() -> None:
        async with triton_aio.InferenceServerClient(server.grpc) as aio_client:
            running = asyncio.create_task(aio_client.infer("slow", row_input()))
            await asyncio.sleep(0.1)
            queued = asyncio.create_task(aio_client.infer("slow", row_input()))
            behind = asyncio.create_task(aio_client.infer("slow", row_input()))
            await asyncio.sleep(0.1)
            queued.cancel()
            with pytest.raises(asyncio.CancelledError):
                await queued
            await asyncio.gather(running, behind)

    asyncio.run(ask())
    assert _executions(client, "slow") - before == 2


def test_d52_b37_a_deadline_is_kept(client: triton.InferenceServerClient) -> None:
    """A caller whose deadline passes is told so at once, not when the model is done."""
    started = time.monotonic()
    with refused(StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded"):
        client.infer("slow", row_input(), client_timeout=0.1)
    assert time.monotonic() - started < 0.35


def test_d52_a_queued_request_past_its_deadline_is_not_executed(
    server: ServerProcess, client: triton.InferenceServerClient
) -> None:
    """A request whose deadline passes while it waits never reaches the model."""
    time.sleep(0.5)  # what the test before left behind is done
    before = _executions(client, "slow")

    async def ask() -> None:
        async with triton_aio.InferenceServerClient(server.grpc) as aio_client:
            running = asyncio.create_task(aio_client.infer("slow", row_input()))
            await asyncio.sleep(0.1)
            with refused(
                StatusCode.DEADLINE_EXCEEDED, "..."
            ):  # the client's words or the server's: both run the same clock
                await aio_client.infer("slow", row_input(), client_timeout=0.1)
            await running
            await aio_client.infer("slow", row_input())

    asyncio.run(ask())
    assert _executions(client, "slow") - before == 2
