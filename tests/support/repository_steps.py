"""What tests of the model repository do and wait for."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from aisle_server.inference import InferenceRequest, InferenceResponse, Tensor


def request(model: str, version: int = -1) -> InferenceRequest:
    """A request of one row."""
    return InferenceRequest(model, {"INPUT0": Tensor("INPUT0", "FP32", np.zeros((1, 4), np.float32))}, version)


def touch(directory: Path) -> None:
    """Make a model directory younger than it was."""
    later = os.stat(directory).st_mtime_ns + 1_000_000_000
    os.utime(directory, ns=(later, later))


def answered_by(response: InferenceResponse) -> tuple[str, int]:
    """Which version answered."""
    return (response.model_name, response.model_version)


async def settled() -> None:
    """Let everything run that does not wait for something else."""
    for _ in range(50):
        await asyncio.sleep(0)


async def eventually(is_so: Callable[[], bool]) -> None:
    """Wait for something that happens on another thread."""
    async with asyncio.timeout(10):
        while not is_so():
            await asyncio.sleep(0.001)
