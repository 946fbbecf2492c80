"""The RPCs of the inference service, without a transport."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from aisle_protocol.generated import grpc_service_pb2 as pb
from aisle_server.errors import InvalidArgumentError, NotFoundError, UnavailableError, UnsupportedError
from aisle_server.frontends.grpc.binding import function_name
from aisle_server.frontends.grpc.servicer import InferenceServicer
from aisle_server.frontends.status import UNEXPECTED_ERROR
from aisle_server.inference import ComputeTimes, InferenceRequest, InferenceResponse
from tests.support.fake_call import FakeCall
from tests.support.fake_inference_server import IDENTITY, FakeInferenceServer, echo
from tests.support.infer_messages import infer_message, output_array

ROW = np.arange(16, dtype=np.float32).reshape(1, 16)


def test_every_rpc_is_answered() -> None:
    """Each RPC of the service has its function."""
    rpcs = {method.name for method in pb.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods}
    assert all(hasattr(InferenceServicer, function_name(rpc)) for rpc in rpcs)


@pytest.mark.parametrize("state", [True, False])
async def test_live_and_ready_are_the_servers(state: bool) -> None:
    """ServerLive and ServerReady say what the server says, each its own."""
    servicer = InferenceServicer(FakeInferenceServer(live=state, ready=not state))
    assert (await servicer.server_live(pb.ServerLiveRequest(), FakeCall())).live is state
    assert (await servicer.server_ready(pb.ServerReadyRequest(), FakeCall())).ready is not state


async def test_an_unknown_model_is_not_ready() -> None:
    """ModelReady answers no for a model or version that is not there; a version that is no number is an error."""
    servicer = InferenceServicer(FakeInferenceServer())

    async def ready(name: str, version: str = "") -> bool:
        return (await servicer.model_ready(pb.ModelReadyRequest(name=name, version=version), FakeCall())).ready

    assert await ready("identity")
    assert await ready("identity", "3")
    assert not await ready("identity", "4")
    assert not await ready("nope")
    with pytest.raises(InvalidArgumentError):
        await ready("identity", "three")


async def test_the_server_tells_who_it_is() -> None:
    """ServerMetadata tells name, version and extensions."""
    answer = await InferenceServicer(FakeInferenceServer()).server_metadata(pb.ServerMetadataRequest(), FakeCall())
    assert (answer.name, answer.version, list(answer.extensions)) == (
        "aisle",
        "1.2.3",
        ["classification", "statistics"],
    )


async def test_a_model_tells_its_tensors() -> None:
    """ModelMetadata tells versions, platform and tensors with the batch dimension in front."""
    request = pb.ModelMetadataRequest(name="identity")
    answer = await InferenceServicer(FakeInferenceServer()).model_metadata(request, FakeCall())
    assert (answer.name, list(answer.versions), answer.platform) == ("identity", ["3"], "identity")
    assert [(each.name, each.datatype, list(each.shape)) for each in answer.inputs] == [("INPUT0", "FP32", [-1, 16])]
    assert [(each.name, each.datatype, list(each.shape)) for each in answer.outputs] == [("OUTPUT0", "FP32", [-1, 16])]


async def test_a_model_tells_its_configuration() -> None:
    """ModelConfig gives the configuration as the protocol's message."""
    answer = await InferenceServicer(FakeInferenceServer()).model_config(
        pb.ModelConfigRequest(name="identity"), FakeCall()
    )
    assert (answer.config.name, answer.config.max_batch_size) == ("identity", 8)
    assert answer.config.input[0].name == "INPUT0"


async def test_statistics_are_the_books() -> None:
    """ModelStatistics tells counts and nanoseconds, by batch size as well."""
    server = FakeInferenceServer()
    times = ComputeTimes(1, 2, 3)
    server.books.record_success(batch_size=2, request_ns=90, queue_ns=40, times=times, now_ms=1234)
    server.books.record_execution(batch_size=4, times=times)
    answer = await InferenceServicer(server).model_statistics(pb.ModelStatisticsRequest(), FakeCall())
    (row,) = answer.model_stats
    assert (row.name, row.version, row.last_inference, row.inference_count, row.execution_count) == (
        "identity",
        "3",
        1234,
        2,
        1,
    )
    stats = row.inference_stats
    assert [(each.count, each.ns) for each in (stats.success, stats.fail, stats.queue, stats.compute_infer)] == [
        (1, 90),
        (0, 0),
        (1, 40),
        (1, 2),
    ]
    (batch,) = row.batch_stats
    assert (batch.batch_size, batch.compute_input.ns, batch.compute_infer.ns, batch.compute_output.ns) == (4, 1, 2, 3)


async def test_the_index_lists_models_that_were_never_loaded() -> None:
    """RepositoryIndex tells name, version, state and reason; with `ready`, of ready models alone."""
    servicer = InferenceServicer(FakeInferenceServer())
    answer = await servicer.repository_index(pb.RepositoryIndexRequest(), FakeCall())
    assert [(each.name, each.version, each.state) for each in answer.models] == [
        ("identity", "3", "READY"),
        ("never_loaded", "", ""),
    ]
    answer = await servicer.repository_index(pb.RepositoryIndexRequest(ready=True), FakeCall())
    assert [each.name for each in answer.models] == ["identity"]
    with pytest.raises(UnsupportedError, match=r"^'repository_name' specification is not supported$"):
        await servicer.repository_index(pb.RepositoryIndexRequest(repository_name="r"), FakeCall())


async def test_inference_echoes_what_it_should() -> None:
    """ModelInfer gives the outputs, the id, and the version that ran; the deadline goes with the request."""
    server = FakeInferenceServer()
    message = infer_message(INPUT0=ROW)
    message.id = "7"
    answer = await InferenceServicer(server).model_infer(message, FakeCall(deadline=99))
    assert (answer.model_name, answer.model_version, answer.id) == ("identity", "3", "7")
    np.testing.assert_array_equal(output_array(answer), ROW)
    assert server.requests[0].deadline_ns == 99


async def test_an_unknown_model_is_told_before_a_wrong_parameter() -> None:
    """The model is looked up before the request is read."""
    message = infer_message("nope", INPUT0=ROW)
    message.parameters["triton_magic"].bool_param = True
    with pytest.raises(NotFoundError):
        await InferenceServicer(FakeInferenceServer()).model_infer(message, FakeCall())


async def test_a_decoupled_model_is_not_for_model_infer() -> None:
    """A decoupled model is refused in Triton's words."""
    server = FakeInferenceServer(configs=(replace(IDENTITY, decoupled=True),))
    with pytest.raises(
        UnsupportedError, match=r"^ModelInfer RPC doesn't support models with decoupled transaction policy$"
    ):
        await InferenceServicer(server).model_infer(infer_message(INPUT0=ROW), FakeCall())


async def test_classes_come_with_the_labels_of_the_model() -> None:
    """An output that asks for classes comes as text with labels; the others come as they are."""
    server = FakeInferenceServer(class_labels=tuple(f"label {index}" for index in range(16)))
    message = infer_message(INPUT0=ROW, INPUT1=ROW)
    message.outputs.add(name="OUTPUT0").parameters["classification"].int64_param = 2
    message.outputs.add(name="OUTPUT1")
    answer = await InferenceServicer(server).model_infer(message, FakeCall())
    assert [each.datatype for each in answer.outputs] == ["BYTES", "FP32"]
    assert output_array(answer).tolist() == [[b"15.000000:15:label 15", b"14.000000:14:label 14"]]


async def test_a_stopping_server_refuses_inference() -> None:
    """Once the server stops, ModelInfer answers UNAVAILABLE in Triton's words."""
    servicer = InferenceServicer(FakeInferenceServer())
    servicer.stop_accepting()
    with pytest.raises(
        UnavailableError, match=r"^GRPC server is shutting down and has stopped accepting new requests.$"
    ):
        await servicer.model_infer(infer_message(INPUT0=ROW), FakeCall())


async def test_shared_memory_is_empty() -> None:
    """Status lists no region and does not know one by name; forgetting succeeds, as clients do it first."""
    servicer, call = InferenceServicer(FakeInferenceServer()), FakeCall()
    assert not (await servicer.system_shared_memory_status(pb.SystemSharedMemoryStatusRequest(), call)).regions
    assert not (await servicer.cuda_shared_memory_status(pb.CudaSharedMemoryStatusRequest(), call)).regions
    await servicer.system_shared_memory_unregister(pb.SystemSharedMemoryUnregisterRequest(name="r"), call)
    await servicer.cuda_shared_memory_unregister(pb.CudaSharedMemoryUnregisterRequest(name="r"), call)
    with pytest.raises(NotFoundError, match=r"^Unable to find system shared memory region: 'r'$"):
        await servicer.system_shared_memory_status(pb.SystemSharedMemoryStatusRequest(name="r"), call)
    with pytest.raises(NotFoundError, match=r"^Unable to find cuda shared memory region: 'r'$"):
        await servicer.cuda_shared_memory_status(pb.CudaSharedMemoryStatusRequest(name="r"), call)


def _numbered(count: int, model: str = "identity") -> list[pb.ModelInferRequest]:
    requests = []
    for number in range(count):
        message = infer_message(model, INPUT0=ROW + number)
        message.id = str(number)
        requests.append(message)
    return requests


async def _stream(messages: Sequence[Any]) -> AsyncIterator[Any]:
    for message in messages:
        yield message


async def test_a_stream_answers_in_order() -> None:
    """Requests of a stream run side by side; answers keep the order of the requests, whoever is done first."""
    running = 0
    most = 0

    async def last_first(request: InferenceRequest) -> InferenceResponse:
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(20 - 5 * int(request.id)):
            await asyncio.sleep(0)
        running -= 1
        return await echo(request)

    call = FakeCall()
    await InferenceServicer(FakeInferenceServer(on_infer=last_first)).model_stream_infer(_stream(_numbered(4)), call)
    assert [answer.infer_response.id for answer in call.sent] == ["0", "1", "2", "3"]
    assert most == 4


async def test_an_error_does_not_end_a_stream() -> None:
    """A wrong request of a stream is answered with its error and its id; the next one is answered as ever."""
    requests = _numbered(3)
    requests[1].model_name = "nope"
    call = FakeCall()
    await InferenceServicer(FakeInferenceServer()).model_stream_infer(_stream(requests), call)
    assert [answer.error_message for answer in call.sent] == [
        "",
        "Request for unknown model: 'nope' is not found",
        "",
    ]
    assert [answer.infer_response.id for answer in call.sent] == ["0", "1", "2"]
    assert not call.sent[1].infer_response.outputs


async def test_an_unexpected_error_in_a_stream_is_logged_not_told(caplog: pytest.LogCaptureFixture) -> None:
    """A fault that nobody foresaw is told as an internal error, and its trace goes to the log."""

    async def broken(request: InferenceRequest) -> InferenceResponse:
        raise RuntimeError("secret")

    call = FakeCall()
    await InferenceServicer(FakeInferenceServer(on_infer=broken)).model_stream_infer(_stream(_numbered(1)), call)
    assert call.sent[0].error_message == UNEXPECTED_ERROR
    assert "RuntimeError: secret" in caplog.text


async def test_a_caller_may_have_errors_end_the_stream() -> None:
    """With the metadata `triton_grpc_error: true` the first error ends the stream with its status."""
    requests = _numbered(3)
    requests[1].model_name = "nope"
    call = FakeCall(sent_metadata={"triton_grpc_error": "true"})
    with pytest.raises(NotFoundError):
        await InferenceServicer(FakeInferenceServer()).model_stream_infer(_stream(requests), call)
    assert [answer.infer_response.id for answer in call.sent] == ["0"]


async def test_a_stream_reads_no_further_than_its_window() -> None:
    """A caller who sends without end is read no further than a bounded number of unanswered requests."""
    read = 0
    gate = asyncio.Event()

    async def endless() -> AsyncIterator[pb.ModelInferRequest]:
        nonlocal read
        while True:
            read += 1
            yield infer_message(INPUT0=ROW)
            await asyncio.sleep(0)

    async def blocked(request: InferenceRequest) -> InferenceResponse:
        await gate.wait()
        return await echo(request)

    server = FakeInferenceServer(on_infer=blocked)
    task = asyncio.create_task(InferenceServicer(server).model_stream_infer(endless(), FakeCall()))
    for _ in range(1000):
        await asyncio.sleep(0)
    assert read == 129
    assert len(server.requests) == 128
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_leaving_a_stream_cancels_what_it_asked() -> None:
    """A caller who leaves a stream takes along the requests that are under way."""

    async def forever(request: InferenceRequest) -> InferenceResponse:
        await asyncio.Event().wait()
        return await echo(request)

    server = FakeInferenceServer(on_infer=forever)
    task = asyncio.create_task(InferenceServicer(server).model_stream_infer(_stream(_numbered(3)), FakeCall()))
    while len(server.requests) < 3:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert server.cancelled.is_set()
    assert len(asyncio.all_tasks()) == 1


async def test_a_stopping_server_answers_what_a_stream_has_asked() -> None:
    """A stream that is open when the server stops gets its outstanding answers, then UNAVAILABLE."""
    gate = asyncio.Event()

    async def open_ended() -> AsyncIterator[pb.ModelInferRequest]:
        for message in _numbered(2):
            yield message
        await asyncio.Event().wait()

    async def gated(request: InferenceRequest) -> InferenceResponse:
        await gate.wait()
        return await echo(request)

    server, call = FakeInferenceServer(on_infer=gated), FakeCall()
    servicer = InferenceServicer(server)
    task = asyncio.create_task(servicer.model_stream_infer(open_ended(), call))
    while len(server.requests) < 2:
        await asyncio.sleep(0)
    servicer.stop_accepting()
    for _ in range(10):
        await asyncio.sleep(0)
    gate.set()
    with pytest.raises(UnavailableError):
        await task
    assert [answer.infer_response.id for answer in call.sent] == ["0", "1"]
