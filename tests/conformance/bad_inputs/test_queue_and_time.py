"""Rows 39, 49 to 51, 54 and 55 of the list of bad inputs: waiting, leaving, and models that go wrong."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from grpc import StatusCode
from tritonclient.utils import InferenceServerException

from tests.support.model_repositories import write_identity_model, write_python_model
from tests.support.server_process import ServerProcess, running_server
from tests.support.triton_requests import ROW, infer_input, refused, row_input

# A request that holds a negative number fails, and its neighbours do not. The code of an error is what CODE says.
PICKY = """
class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(each) for each in requests]

    def answer(self, request):
        value = int(pb_utils.get_input_tensor_by_name(request, "IN").as_numpy().reshape(-1)[0])
        if value < 0:
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(f"no {value}", -value - 1))
        return pb_utils.InferenceResponse([pb_utils.Tensor("OUT", np.full((1, 1), value, np.int32))])
"""
# Two gigabytes of nothing: no memory is taken for zeros that nobody reads.
HUGE = """
class TritonPythonModel:
    def execute(self, requests):
        zeros = np.zeros((1, 2**31), np.int8)
        return [pb_utils.InferenceResponse([pb_utils.Tensor("OUT", zeros)]) for _ in requests]
"""
IN = 'input { name: "IN" data_type: TYPE_INT32 dims: 1 }'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with models that are slow or go wrong."""
    repository = tmp_path_factory.mktemp("queue_and_time")
    alone = "instance_group { count: 1 } dynamic_batching { default_queue_policy { default_timeout_microseconds: "
    for name, delay_ms, policy in (
        ("patient", 500, "200000 timeout_action: DELAY"),
        ("overridable", 900, "500000 allow_timeout_override: true"),
    ):
        write_identity_model(
            repository,
            name,
            max_batch_size=1,
            parameters={"execute_delay_ms": str(delay_ms)},
            extra=f"{alone}{policy} }} }}",
        )
    write_identity_model(
        repository, "slow", parameters={"execute_delay_ms": "200"}, extra="instance_group { count: 1 }"
    )
    batching = "max_batch_size: 8 dynamic_batching { max_queue_delay_microseconds: 300000 preferred_batch_size: 4 }"
    write_python_model(
        repository, "picky", PICKY, f'{batching} {IN} output {{ name: "OUT" data_type: TYPE_INT32 dims: 1 }}'
    )
    write_python_model(
        repository, "huge", HUGE, f'max_batch_size: 1 {IN} output {{ name: "OUT" data_type: TYPE_INT8 dims: -1 }}'
    )
    with running_server(repository) as process:
        yield process


@pytest.fixture
def client(server: ServerProcess) -> Iterator[triton.InferenceServerClient]:
    """NVIDIA's client of that server."""
    with triton.InferenceServerClient(server.grpc) as client:
        yield client


def number(value: int) -> list[triton.InferInput]:
    """The input of a model that takes INT32[1]."""
    return [infer_input("IN", np.full((1, 1), value, np.int32), "INT32")]


def test_d39_a_response_of_more_than_2_gigabytes(client: triton.InferenceServerClient) -> None:
    """It is refused with both numbers, and the next request is answered."""
    text = "Response has byte size 2147483648 which exceeds gRPC's byte size limit 2147483647."
    with refused(StatusCode.INVALID_ARGUMENT, text):
        client.infer("huge", number(1))
    assert client.infer("picky", number(3)).as_numpy("OUT").tolist() == [[3]]


async def test_d49_what_waited_too_long_may_go_last(server: ServerProcess) -> None:
    """With DELAY a request whose time has passed is answered after those whose has not."""
    order: list[str] = []
    async with triton_aio.InferenceServerClient(server.grpc) as client:

        async def ask(name: str, after_s: float) -> None:
            await asyncio.sleep(after_s)
            await client.infer("patient", row_input())
            order.append(name)

        await asyncio.gather(ask("first", 0), ask("late", 0.05), ask("in time", 0.4))
    assert order == ["first", "in time", "late"]


@pytest.mark.parametrize(
    ("timeout_us", "waits_s"), [pytest.param(100_000, 0.1, id="smaller"), pytest.param(5_000_000, 0.5, id="larger")]
)
async def test_d50_b23_a_timeout_may_only_become_smaller(
    server: ServerProcess, timeout_us: int, waits_s: float
) -> None:
    """A request's own timeout counts when it is smaller than the default, and the default when it is not."""
    async with triton_aio.InferenceServerClient(server.grpc) as client:
        running = asyncio.create_task(client.infer("overridable", row_input()))
        await asyncio.sleep(0.1)
        started_s = time.monotonic()
        with refused(StatusCode.UNAVAILABLE, "Request timeout expired"):
            await client.infer("overridable", row_input(), timeout=timeout_us)
        assert waits_s - 0.05 < time.monotonic() - started_s < waits_s + 0.3
        await running


def test_d51_b36_a_cancelled_request_is_cancelled(client: triton.InferenceServerClient) -> None:
    """While it executes: its caller hears CANCELLED, in the words of its own library, and the model goes on."""
    told: list[Any] = []
    call = client.async_infer("slow", row_input(), callback=lambda result, error: told.append(error))
    time.sleep(0.1)
    call.cancel()
    assert client.infer("slow", row_input()).as_numpy("OUTPUT0").tolist() == ROW.tolist()
    assert (told[0].status(), told[0].message()) == ("StatusCode.CANCELLED", "Locally cancelled by application!")


async def test_d51_requests_cancelled_at_any_time_disturb_nobody(server: ServerProcess) -> None:
    """Sixty callers leave at times spread over the life of a request; those who stay are answered."""
    async with triton_aio.InferenceServerClient(server.grpc) as client:

        async def ask(index: int) -> None:
            request = asyncio.create_task(client.infer("picky", number(index)))
            if index % 2:
                assert (await request).as_numpy("OUT").tolist() == [[index]]
                return
            await asyncio.sleep(index / 60 * 0.4)
            request.cancel()
            await asyncio.gather(request, return_exceptions=True)

        await asyncio.gather(*(ask(index) for index in range(60)))
        (row,) = (await client.get_inference_statistics("picky")).model_stats
        assert row.inference_stats.fail.count + row.inference_stats.success.count >= 30


async def test_d54_one_of_a_batch_fails_alone(server: ServerProcess) -> None:
    """Its neighbours in the batch are answered."""
    async with triton_aio.InferenceServerClient(server.grpc) as client:

        async def executions() -> int:
            return int((await client.get_inference_statistics("picky")).model_stats[0].execution_count)

        before = await executions()
        answers = await asyncio.gather(
            *(client.infer("picky", number(value)) for value in (1, -2, 3, 4)), return_exceptions=True
        )
        assert await executions() - before < 4
    failed = answers.pop(1)
    assert isinstance(failed, InferenceServerException)
    assert failed.message() == "no -2"
    assert [answer.as_numpy("OUT").tolist() for answer in answers] == [[[1]], [[3]], [[4]]]


@pytest.mark.parametrize(
    ("code", "status"),
    list(
        enumerate(
            [
                StatusCode.UNKNOWN,
                StatusCode.INTERNAL,
                StatusCode.NOT_FOUND,
                StatusCode.INVALID_ARGUMENT,
                StatusCode.UNAVAILABLE,
                StatusCode.UNIMPLEMENTED,
                StatusCode.ALREADY_EXISTS,
                StatusCode.CANCELLED,
            ]
        )
    ),
)
def test_d55_each_error_code_has_its_status(
    client: triton.InferenceServerClient, code: int, status: StatusCode
) -> None:
    """As tritonserver maps the codes of `TritonError`."""
    with refused(status, f"no {-code - 1}"):
        client.infer("picky", number(-code - 1))
