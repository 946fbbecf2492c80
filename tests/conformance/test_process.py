"""The life of the server process: start, failure to start, stop under load."""

from __future__ import annotations

import asyncio
import collections
import signal
import socket
import time
from pathlib import Path

import pytest
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from tritonclient.utils import InferenceServerException

from tests.support.model_repositories import write_identity_model
from tests.support.server_process import ServerProcess, running_server
from tests.support.triton_requests import ROW, row_input


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """An empty model repository."""
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


def test_d05_accepted_requests_are_answered_when_the_server_stops(repository: Path) -> None:
    """On SIGTERM requests that execute and requests that wait are answered; new ones are refused; the exit status is 0."""
    write_identity_model(
        repository, "slow", parameters={"execute_delay_ms": "500"}, extra="instance_group { count: 2 }"
    )

    async def ask(server: ServerProcess) -> list[float]:
        async with triton_aio.InferenceServerClient(server.grpc) as client:
            accepted = [asyncio.create_task(client.infer("slow", row_input(ROW + number))) for number in range(6)]
            await asyncio.sleep(0.3)
            server.send_signal(signal.SIGTERM)
            await asyncio.to_thread(server.wait_for_line, "SIGTERM")
            await asyncio.sleep(0.1)
            with pytest.raises(InferenceServerException) as caught:
                await client.infer("slow", row_input())
            assert caught.value.status() == "StatusCode.UNAVAILABLE"
            return [float(answer.as_numpy("OUTPUT0")[0, 0]) for answer in await asyncio.gather(*accepted)]

    with running_server(repository) as server:
        assert asyncio.run(ask(server)) == [0, 1, 2, 3, 4, 5]
        assert server.wait() == 0


def test_a_stop_under_load_leaves_nobody_without_a_word(repository: Path) -> None:
    """Of a stream of requests that SIGTERM cuts, each is answered with its own tensor or told UNAVAILABLE."""
    write_identity_model(repository, "identity", extra="dynamic_batching { }")
    outcomes: collections.Counter[str] = collections.Counter()

    async def ask_until_refused(client: triton_aio.InferenceServerClient, number: int) -> None:
        while True:
            try:
                answer = await client.infer("identity", row_input(ROW + number), client_timeout=20)
            except InferenceServerException as error:
                outcomes[error.status()] += 1
                return
            assert answer.as_numpy("OUTPUT0")[0, 0] == number
            outcomes["answered"] += 1

    async def load(server: ServerProcess) -> None:
        async with triton_aio.InferenceServerClient(server.grpc) as client:
            callers = [asyncio.create_task(ask_until_refused(client, number)) for number in range(16)]
            await asyncio.sleep(1)
            server.send_signal(signal.SIGTERM)
            await asyncio.gather(*callers)

    with running_server(repository) as server:
        asyncio.run(load(server))
        assert server.wait() == 0
    assert outcomes["answered"] > 100
    assert set(outcomes) == {"answered", "StatusCode.UNAVAILABLE"}


def test_d53_an_open_stream_does_not_hold_up_the_stop(repository: Path) -> None:
    """A stream that is open and a watch of health end when the server stops."""
    write_identity_model(repository, "identity")
    errors: list[InferenceServerException] = []
    with running_server(repository) as server, triton.InferenceServerClient(server.grpc) as client:
        client.start_stream(lambda result, error: errors.append(error) if error else None)
        client.async_stream_infer("identity", row_input())
        started = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - started < 10
        client.stop_stream()
    assert [error.status() for error in errors] == ["StatusCode.UNAVAILABLE"]


def test_a_stop_is_bounded(repository: Path) -> None:
    """What takes longer than the exit timeout is given up: the process says so and exits with an error."""
    write_identity_model(repository, "stuck", parameters={"execute_delay_ms": "60000"})

    async def ask(server: ServerProcess) -> str:
        async with triton_aio.InferenceServerClient(server.grpc) as client:
            request = asyncio.create_task(client.infer("stuck", row_input()))
            await asyncio.sleep(0.3)
            server.send_signal(signal.SIGTERM)
            with pytest.raises(InferenceServerException) as caught:
                await request
            return str(caught.value.status())

    with running_server(repository, "--exit-timeout-secs=1") as server:
        started = time.monotonic()
        assert asyncio.run(ask(server)) in ("StatusCode.UNAVAILABLE", "StatusCode.CANCELLED")
        assert server.wait() == 1
        assert time.monotonic() - started < 10
        assert any("Exit timeout expired. Exiting immediately." in line for line in server.log)


def test_a_second_signal_exits_at_once(repository: Path) -> None:
    """Whoever asks twice does not want to wait."""
    write_identity_model(repository, "stuck", parameters={"execute_delay_ms": "60000"})

    async def ask(server: ServerProcess) -> None:
        async with triton_aio.InferenceServerClient(server.grpc) as client:
            request = asyncio.create_task(client.infer("stuck", row_input()))
            await asyncio.sleep(0.3)
            for line in ("SIGINT: stopping", "SIGINT again"):
                server.send_signal(signal.SIGINT)
                await asyncio.to_thread(server.wait_for_line, line)
            with pytest.raises(InferenceServerException):
                await request

    with running_server(repository) as server:
        asyncio.run(ask(server))
        assert server.wait() == 1


def test_a_loading_server_is_live_and_not_ready(repository: Path) -> None:
    """Endpoints answer while models load: live, not ready, and UNAVAILABLE to requests; a stop then is graceful too."""
    write_identity_model(repository, "late", parameters={"creation_delay_sec": "3"})
    with running_server(repository, wait=False) as server:
        assert server.get("/v2/health/live")[0] == 200
        assert server.get("/v2/health/ready")[0] == 400
        assert server.get("/metrics", server.metrics)[0] == 200
        with triton.InferenceServerClient(server.grpc) as client:
            assert client.is_server_live()
            assert not client.is_server_ready()
            assert not client.is_model_ready("late")
            with pytest.raises(InferenceServerException) as caught:
                client.infer("late", row_input())
            assert caught.value.status() == "StatusCode.UNAVAILABLE"
        assert server.stop() == 0


def test_a_broken_model_ends_the_start(repository: Path) -> None:
    """A model that does not load ends the process with an error that names it; the log says why."""
    write_identity_model(repository, "fine")
    write_identity_model(repository, "broken", parameters={"execute_delay_ms": "soon"})
    with running_server(repository, wait=False) as server:
        assert server.wait() == 1
        assert any("parameter 'execute_delay_ms' of model 'broken' is 'soon'" in line for line in server.log)
        assert any("Failed to load: broken. Exiting" in line for line in server.log)


def test_d84_a_broken_model_may_be_left_out(repository: Path) -> None:
    """With --exit-on-error=false the others are served; ready is a matter of strictness."""
    write_identity_model(repository, "fine")
    write_identity_model(repository, "broken", parameters={"execute_delay_ms": "soon"})
    for strict in (True, False):
        flags = ("--exit-on-error=false", f"--strict-readiness={strict}")
        with running_server(repository, *flags, wait=False) as server:
            server.wait_for_line("] Ready")
            assert server.get("/v2/health/ready")[0] == (400 if strict else 200)
            with triton.InferenceServerClient(server.grpc) as client:
                assert client.infer("fine", row_input()).as_numpy("OUTPUT0") is not None
                index = {each.name: (each.state, each.reason) for each in client.get_model_repository_index().models}
            assert index["fine"] == ("READY", "")
            assert index["broken"][0] == "UNAVAILABLE"
            assert index["broken"][1].startswith("Invalid argument: ")


@pytest.mark.parametrize("flag", ["--grpc-port", "--http-port", "--metrics-port"])
def test_a_taken_port_is_told(repository: Path, flag: str) -> None:
    """A port that somebody else listens to ends the start with an error that names the address."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with running_server(repository, f"{flag}={port}", wait=False) as server:
            assert server.wait() == 1
            assert any(f"cannot listen on 127.0.0.1:{port}: Address already in use" in line for line in server.log)


def test_endpoints_may_be_left_out(repository: Path) -> None:
    """Only the endpoints that are allowed are started."""
    with running_server(repository, "--allow-grpc=false", "--allow-metrics=false") as server:
        assert server.get("/v2/health/live")[0] == 200
        started = [line.split("Started ")[1].split(" at ")[0] for line in server.log if "Started " in line]
    assert started == ["HTTPService"]
