"""Restricted protocols, forwarded headers, bounds and time limits, over gRPC and HTTP."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
import tritonclient.http as triton_http
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tritonclient.utils import InferenceServerException

from tests.support.model_repositories import write_identity_model, write_python_model
from tests.support.server_process import ServerProcess, running_server
from tests.support.triton_requests import ROW, refused, row_input

SECRET = {"triton-grpc-protocol-admin": "s3cret"}
RESERVED_NAMES = ("sequence_id", "sequence_start", "sequence_end", "priority", "timeout", "triton_magic")
REFUSAL = "This protocol is restricted, expecting header 'triton-grpc-protocol-admin'"

# Answers with the parameters of the request that it was given.
TELL_PARAMETERS = """
import numpy as np
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        told = [pb_utils.Tensor("OUTPUT0", np.array([each.parameters().encode()], np.object_)) for each in requests]
        return [pb_utils.InferenceResponse([each]) for each in told]
"""
TELL_PARAMETERS_CONFIG = """
input { name: "INPUT0" data_type: TYPE_FP32 dims: 16 }
output { name: "OUTPUT0" data_type: TYPE_STRING dims: 1 }
"""


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that restricts inference and figures over gRPC, and figures over HTTP."""
    repository = tmp_path_factory.mktemp("guarded")
    write_identity_model(repository, "identity")
    write_identity_model(
        repository, "slow", parameters={"execute_delay_ms": "700"}, extra="instance_group { count: 1 }"
    )
    write_python_model(repository, "tell_parameters", TELL_PARAMETERS, TELL_PARAMETERS_CONFIG)
    with running_server(
        repository,
        "--grpc-restricted-protocol=inference,statistics:admin=s3cret",
        "--http-restricted-api=statistics:Admin-Key=s3cret",
        "--http-header-timeout-secs=1",
        f"--http-header-forward-pattern=^x-|{'|'.join(RESERVED_NAMES)}",
        f"--grpc-header-forward-pattern=^x-|{'|'.join(RESERVED_NAMES)}",
        "--max-inflight-requests=3",
    ) as process:
        yield process


@pytest.fixture(scope="module")
def client(guarded: ServerProcess) -> Iterator[triton.InferenceServerClient]:
    """NVIDIA's client of that server."""
    with triton.InferenceServerClient(guarded.grpc) as client:
        yield client


@pytest.mark.parametrize("headers", [{}, {"triton-grpc-protocol-admin": "wrong"}, {"admin": "s3cret"}])
def test_d95_b28_a_restricted_category_needs_its_header(
    client: triton.InferenceServerClient, headers: dict[str, str]
) -> None:
    """Without the header, or with a wrong one, UNAVAILABLE and the text; open categories answer all the same."""
    with refused(grpc.StatusCode.UNAVAILABLE, REFUSAL):
        client.infer("identity", row_input(), headers=headers)
    with refused(grpc.StatusCode.UNAVAILABLE, REFUSAL):
        client.get_inference_statistics(headers=headers)
    assert client.is_server_ready(headers=headers)
    assert client.get_model_config("identity", headers=headers).config.max_batch_size == 8


def test_d95_the_header_opens_it(client: triton.InferenceServerClient) -> None:
    """With the right header the request is answered."""
    np.testing.assert_array_equal(client.infer("identity", row_input(), headers=SECRET).as_numpy("OUTPUT0"), ROW)
    assert client.get_inference_statistics("identity", headers=SECRET).model_stats


@pytest.mark.parametrize("opens", [True, False])
async def test_d95_b28_streams_are_restricted_too(guarded: ServerProcess, opens: bool) -> None:
    """A stream is refused as a whole, with a status, when it begins."""

    async def requests():
        yield {"model_name": "identity", "inputs": row_input()}

    async with triton_aio.InferenceServerClient(guarded.grpc) as client:
        answers = client.stream_infer(requests(), headers=SECRET if opens else {})
        if opens:
            async for result, error in answers:
                assert error is None
                np.testing.assert_array_equal(result.as_numpy("OUTPUT0"), ROW)
        else:
            with refused(grpc.StatusCode.UNAVAILABLE, REFUSAL):
                async for _ in answers:
                    pass


def test_probes_are_not_restricted_with_inference(guarded: ServerProcess) -> None:
    """Kubernetes needs no secret."""
    with grpc.insecure_channel(guarded.grpc) as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_d95_http_answers_403(guarded: ServerProcess) -> None:
    """Over HTTP the header has the name of the key itself."""
    text = b'{"error":"This API is restricted, expecting header \'Admin-Key\'"}'
    assert guarded.get("/v2/models/stats") == (403, text)
    client = triton_http.InferenceServerClient(guarded.http)
    assert client.get_inference_statistics(headers={"Admin-Key": "s3cret"})["model_stats"]
    client.close()


@pytest.mark.parametrize(
    ("flag", "text"),
    [
        ("--grpc-restricted-protocol=nope:k=v", "unknown category 'nope'"),
        ("--http-restricted-api=health,nope:k=v", "unknown category 'nope'"),
        ("--grpc-restricted-protocol=health,health:k=v", "category 'health' can not be specified in multiple"),
        ("--http-restricted-api=health", "cannot be read; expected <category>"),
        ("--http-restricted-api=health:k=", "expected the name of a header, and a value"),
        ("--http-header-forward-pattern=[", "which is no regular expression"),
    ],
)
def test_d96_contradictory_restrictions_refuse_to_start(tmp_path: Path, flag: str, text: str) -> None:
    """A flag that guards nothing, or not what was meant, ends the process before it listens."""
    arguments = [sys.executable, "-m", "aisle_server", f"--model-repository={tmp_path}", flag]
    ended = subprocess.run(arguments, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 2
    assert text in " ".join(ended.stderr.split())


def test_d47_forwarded_headers_are_parameters(guarded: ServerProcess, client: triton.InferenceServerClient) -> None:
    """Quotes and backslashes survive; headers that the pattern does not find are not forwarded."""
    headers = {**SECRET, "x-shop": 'a "b" \\c', "other": "1"}
    over_grpc = client.infer("tell_parameters", row_input(ROW[0]), headers=headers, parameters={"n": 1})
    web = triton_http.InferenceServerClient(guarded.http)
    given = triton_http.InferInput("INPUT0", [16], "FP32")
    given.set_data_from_numpy(ROW[0])
    over_http = web.infer("tell_parameters", [given], headers={"X-Shop": 'a "b" \\c'}, parameters={"n": 1})
    web.close()
    for result in (over_grpc, over_http):
        assert eval(result.as_numpy("OUTPUT0")[0]) == {"n": 1, "x-shop": 'a "b" \\c'}


@pytest.mark.parametrize("name", RESERVED_NAMES)
def test_d44_reserved_headers_are_refused(
    guarded: ServerProcess, client: triton.InferenceServerClient, name: str
) -> None:
    """A header that would pass for a parameter of the protocol, over either door."""
    text = f"Header '{name}' is reserved for Triton usage and cannot be forwarded."
    with refused(grpc.StatusCode.INVALID_ARGUMENT, text):
        client.infer("identity", row_input(), headers={**SECRET, name: "1"})
    web = triton_http.InferenceServerClient(guarded.http)
    given = triton_http.InferInput("INPUT0", [1, 16], "FP32")
    given.set_data_from_numpy(ROW)
    with refused("400", text):
        web.infer("identity", [given], headers={name: "1"})
    web.close()


async def test_a_full_server_says_so_at_once(guarded: ServerProcess) -> None:
    """Of five requests three are under way; the others hear UNAVAILABLE while those are computed, and health is told meanwhile."""
    async with triton_aio.InferenceServerClient(guarded.grpc) as client:
        started_s = time.monotonic()
        tasks = [
            asyncio.ensure_future(client.infer("slow", row_input(np.tile(ROW, (8, 1))), headers=SECRET))
            for _ in range(5)
        ]
        done, pending = await asyncio.wait(tasks, timeout=0.5)
        assert time.monotonic() - started_s < 1
        assert len(done) == 2
        assert await client.is_server_live()
        for task in done:
            with pytest.raises(InferenceServerException, match="has 3 requests under way") as caught:
                await task
            assert caught.value.status() == "StatusCode.UNAVAILABLE"
        await asyncio.gather(*pending)


@pytest.mark.parametrize("sent", [b"", b"GET /v2/health/live HTT", b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\nX: "])
def test_a_connection_without_headers_is_closed(guarded: ServerProcess, sent: bytes) -> None:
    """A caller who connects and says nothing, or says it slowly, holds no connection for longer than was set."""
    host, _, port = guarded.http.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(sent)
        started_s = time.monotonic()
        assert connection.recv(100) == b""
        assert 0.5 < time.monotonic() - started_s < 5
