"""The server with real backends, instances, batchers and ensembles: everything but a transport."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio

from aisle_server.backends.registry import open_model
from aisle_server.errors import InvalidArgumentError, UnavailableError
from aisle_server.inference import InferenceRequest, Tensor
from aisle_server.inference_server import InferenceServer
from aisle_server.repository import ModelRepository, VersionLoader
from aisle_server.scheduling.clock import SystemClock
from tests.support.model_directories import ECHO, chain, write_model

BATCHED = ECHO + "dynamic_batching { max_queue_delay_microseconds: 2000 }"
LABELLED = BATCHED.replace('name: "OUTPUT0"', 'name: "OUTPUT0" label_filename: "labels.txt"')
SLOW = BATCHED + 'parameters { key: "execute_delay_ms" value { string_value: "50" } }'
UNBATCHED = ECHO.replace("max_batch_size: 8", "").replace("dims: 4", "dims: [-1, 4] reshape { shape: [-1, 2, 2] }")


@pytest_asyncio.fixture
async def server(tmp_path: Path) -> AsyncIterator[InferenceServer]:
    """A running server of models on the identity backend."""
    write_model(tmp_path, "batched", LABELLED, files={"labels.txt": "a\nb\nc\nd\n"})
    write_model(tmp_path, "unbatched", UNBATCHED)
    write_model(tmp_path, "slow", SLOW)
    write_model(tmp_path, "ensemble", chain("unbatched", "batched"))
    write_model(tmp_path, "outer", chain("ensemble", "ensemble"))
    server = InferenceServer(ModelRepository([tmp_path], VersionLoader(open_model, SystemClock(), cores=2)))
    assert await server.start() == {}
    yield server
    assert await server.stop(10)


def request(model: str, values: np.ndarray[tuple[int, ...], np.dtype[np.float32]], id_: str = "") -> InferenceRequest:
    """A request with one input."""
    return InferenceRequest(model, {"INPUT0": Tensor("INPUT0", "FP32", values)}, id=id_)


@pytest.mark.parametrize("model", ["batched", "unbatched", "ensemble", "outer"])
async def test_many_callers_each_get_their_own_rows(server: InferenceServer, model: str) -> None:
    """However requests are batched and wherever they flow, a caller's answer is made of the caller's rows."""

    async def ask(number: int) -> None:
        rows = number % 3 + 1
        values = np.full((rows, 4), number, np.float32) + np.arange(rows, dtype=np.float32)[:, None] / 10
        response = await server.infer(request(model, values, str(number)))
        assert (response.model_name, response.model_version, response.id) == (model, 1, str(number))
        np.testing.assert_array_equal(response.outputs[0].data, values)

    await asyncio.gather(*(ask(number) for number in range(60)))
    (row,) = server.statistics(model)
    assert row.snapshot.success.count == 60
    assert row.snapshot.inference_count == (60 if model == "unbatched" else 120)


async def test_a_dynamic_batcher_combines_what_comes_together(server: InferenceServer) -> None:
    """Sixteen rows that come at once are not sixteen executions."""
    row = np.zeros((1, 4), np.float32)
    await asyncio.gather(*(server.infer(request("batched", row)) for _ in range(16)))
    (figures,) = server.statistics("batched")
    assert figures.snapshot.inference_count == 16
    assert figures.snapshot.execution_count < 16


async def test_an_ensemble_inherits_labels_through_ensembles(server: InferenceServer) -> None:
    """The labels of an output are those of the model that gives it in the end."""
    for model in ("batched", "ensemble", "outer"):
        assert server.labels(model, -1, "OUTPUT0") == ("a", "b", "c", "d")
    assert server.labels("unbatched", -1, "OUTPUT0") is None
    assert server.labels("outer", -1, "no such output") is None


async def test_a_wrong_request_is_refused_by_the_model_it_was_for(server: InferenceServer) -> None:
    """An ensemble checks what it is sent itself, so the text speaks of the ensemble."""
    with pytest.raises(
        InvalidArgumentError, match=r"unexpected shape for input 'INPUT0' for model 'outer'. Expected \[-1,4\]"
    ):
        await server.infer(request("outer", np.zeros((1, 5), np.float32)))


async def test_rows_of_none_are_answered_with_none(server: InferenceServer) -> None:
    """A request of no rows gets no rows, also beside others in a batch."""
    none, some = np.zeros((0, 4), np.float32), np.ones((2, 4), np.float32)
    answers = await asyncio.gather(*(server.infer(request("batched", values)) for values in (some, none, some)))
    assert [answer.outputs[0].shape for answer in answers] == [(2, 4), (0, 4), (2, 4)]


async def test_what_was_accepted_before_the_end_is_answered(server: InferenceServer) -> None:
    """Requests in the queue of a slow model when the server is told to stop get their answers."""
    values = np.ones((8, 4), np.float32)
    accepted = [asyncio.create_task(server.infer(request("slow", values))) for _ in range(5)]
    await asyncio.sleep(0.01)
    stopping = asyncio.create_task(server.stop(10))
    await asyncio.sleep(0)
    with pytest.raises(UnavailableError, match="has stopped accepting new inference requests"):
        await server.infer(request("slow", values))
    assert [answer.outputs[0].shape for answer in await asyncio.gather(*accepted)] == [(8, 4)] * 5
    assert await stopping


async def test_a_caller_that_leaves_disturbs_nobody(server: InferenceServer) -> None:
    """Of requests that share a batch, those that are cancelled vanish and the others are answered."""
    values = np.ones((1, 4), np.float32)
    tasks = [asyncio.create_task(server.infer(request("slow", values))) for _ in range(8)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(answer, asyncio.CancelledError) for answer in answers] == [True, False] * 4
