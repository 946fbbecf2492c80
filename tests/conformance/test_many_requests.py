"""Thousands of requests at once, each of which gets its own answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc.aio as triton_aio
from tritonclient.grpc import service_pb2 as pb

from tests.support.model_repositories import write_identity_model
from tests.support.server_process import ServerProcess, running_server
from tests.support.triton_requests import infer_input

REQUESTS = 10_000
CHANNELS = 4
CONNECTIONS = 250
# A batch is cut when it has this many rows, which nobody reaches before everybody has asked.
GATHERS = "dynamic_batching {{ preferred_batch_size: {0} max_queue_delay_microseconds: 120000000 }}"


@pytest.fixture(scope="module")
def gathering(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server of models that begin when so many requests have come, and of one that begins at once."""
    repository = tmp_path_factory.mktemp("gathering")
    tensors = [("0", "INT64", (2,))]
    for name, rows in (("gathers_thousands", REQUESTS), ("gathers_connections", CONNECTIONS)):
        write_identity_model(repository, name, tensors, max_batch_size=rows, extra=GATHERS.format(rows))
    write_identity_model(repository, "batches", tensors, max_batch_size=64, extra="dynamic_batching { }")
    with running_server(repository) as process:
        yield process


def _content(number: int) -> Any:
    """Return a row that no other request has."""
    return np.array([[number, number * 7919 + 1]], np.int64)


def _executions(server: ServerProcess, model: str) -> tuple[int, int]:
    """Return how many requests a model has answered, in how many batches."""
    (figures,) = json.loads(server.get(f"/v2/models/{model}/stats")[1])["model_stats"]
    return int(figures["inference_stats"]["success"]["count"]), int(figures["execution_count"])


async def test_ten_thousand_requests_get_their_own_answers(gathering: ServerProcess) -> None:
    """10,000 requests are under way at once, over few channels; the batch that they all wait for gives each its own row and id."""
    channels = [triton_aio.InferenceServerClient(gathering.grpc) for _ in range(CHANNELS)]

    async def ask(number: int) -> bool:
        given = [infer_input("INPUT0", _content(number), "INT64")]
        answer = await channels[number % CHANNELS].infer("gathers_thousands", given, request_id=f"request {number}")
        return answer.get_response().id == f"request {number}" and bool(
            (answer.as_numpy("OUTPUT0") == _content(number)).all()
        )

    try:
        assert all(await asyncio.gather(*map(ask, range(REQUESTS))))
    finally:
        for channel in channels:
            await channel.close()
    # One batch: so none of them was answered before all of them had come.
    assert _executions(gathering, "gathers_thousands") == (REQUESTS, 1)


async def test_requests_of_many_batches_get_their_own_answers(gathering: ServerProcess) -> None:
    """The same for 2,000 requests where batches are cut and shared out all the time."""

    async def ask(infer: Any, number: int) -> bool:
        request = pb.ModelInferRequest(model_name="batches", raw_input_contents=[_content(number).tobytes()])
        request.inputs.add(name="INPUT0", datatype="INT64", shape=[1, 2])
        answer = pb.ModelInferResponse.FromString(await infer(request.SerializeToString()))
        return bool(answer.raw_output_contents[0] == _content(number).tobytes())

    async with grpc.aio.insecure_channel(gathering.grpc) as channel:
        infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        assert all(await asyncio.gather(*(ask(infer, number) for number in range(2000))))
    answered, batches = _executions(gathering, "batches")
    assert answered == 2000
    assert batches < 2000


async def _ask_over_http(server: ServerProcess, number: int) -> tuple[int, Any]:
    host, _, port = server.http.rpartition(":")
    tensor = {"name": "INPUT0", "datatype": "INT64", "shape": [1, 2], "data": _content(number).tolist()}
    body = json.dumps({"id": f"request {number}", "inputs": [tensor]}).encode()
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        path = "/v2/models/gathers_connections/infer"
        writer.write(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length: ")[2].split("\r\n")[0])
        return int(head.split()[1]), json.loads(await reader.readexactly(length))
    finally:
        writer.close()


async def test_every_connection_over_http_gets_its_own_answer(gathering: ServerProcess) -> None:
    """250 connections wait for one batch, and each reads its own row and id."""
    answers = await asyncio.gather(*(_ask_over_http(gathering, number) for number in range(CONNECTIONS)))
    for number, (status, told) in enumerate(answers):
        assert (status, told["id"]) == (200, f"request {number}")
        assert told["outputs"][0]["data"] == _content(number)[0].tolist()
    assert _executions(gathering, "gathers_connections") == (CONNECTIONS, 1)
