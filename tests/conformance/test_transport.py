"""Limits, compression and encryption of the gRPC endpoint."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from grpc import StatusCode
from tritonclient.utils import InferenceServerException

from tests.support.certificates import Certificates, make_certificates
from tests.support.counting_relay import counting_relay
from tests.support.model_repositories import write_identity_model
from tests.support.server_process import ServerProcess, running_server
from tests.support.triton_requests import infer_input, refused


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with a model for tensors of any size."""
    folder = tmp_path / "models"
    folder.mkdir()
    write_identity_model(folder, "any_size", [("0", "FP32", (-1,))], max_batch_size=0)
    return folder


def test_large_messages_pass(client: triton.InferenceServerClient) -> None:
    """A tensor of 16 MiB goes in and comes back: the limit is Triton's, not gRPC's 4 MiB."""
    array = np.arange(2**22, dtype=np.float32)
    answer = client.infer("any_size", [infer_input("INPUT0", array)]).as_numpy("OUTPUT0")
    np.testing.assert_array_equal(answer, array)


def test_requests_may_come_compressed(client: triton.InferenceServerClient) -> None:
    """Requests compressed by the caller are read as ever."""
    array = np.arange(1000, dtype=np.float32)
    for algorithm in ("gzip", "deflate"):
        answer = client.infer("any_size", [infer_input("INPUT0", array)], compression_algorithm=algorithm)
        np.testing.assert_array_equal(answer.as_numpy("OUTPUT0"), array)


def test_d40_messages_may_be_capped(repository: Path) -> None:
    """Beyond `--grpc-max-message-bytes` a request is refused, compressed or not, and the server goes on."""
    with (
        running_server(repository, "--grpc-max-message-bytes=100000") as server,
        triton.InferenceServerClient(server.grpc) as client,
    ):
        assert client.infer("any_size", [infer_input("INPUT0", np.zeros(20_000, np.float32))]) is not None
        for compression in (None, "gzip"):
            with refused(StatusCode.RESOURCE_EXHAUSTED, "..."):
                large = [infer_input("INPUT0", np.zeros(10_000_000, np.float32))]
                client.infer("any_size", large, compression_algorithm=compression)
        assert client.is_server_ready()


def test_responses_are_compressed_as_told(server: ServerProcess, repository: Path) -> None:
    """A response of a megabyte of zeros is a megabyte on the wire, unless the server was told to compress."""

    async def answered_bytes(address: str) -> int:
        async with counting_relay(address) as relay:
            async with triton_aio.InferenceServerClient(relay.address) as client:
                answer = await client.infer("any_size", [infer_input("INPUT0", np.zeros(250_000, np.float32))])
            assert answer.as_numpy("OUTPUT0").shape == (250_000,)
            return relay.answered_bytes

    assert asyncio.run(answered_bytes(server.grpc)) > 1_000_000
    with running_server(repository, "--grpc-infer-response-compression-level=low") as compressing:
        assert asyncio.run(answered_bytes(compressing.grpc)) < 100_000


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """An authority, a server and a caller."""
    if shutil.which("openssl") is None:
        pytest.skip("makes its certificates with the command openssl")
    return make_certificates(tmp_path_factory.mktemp("certificates"))


def _tls_flags(certificates: Certificates) -> list[str]:
    files = [f"--grpc-server-cert={certificates.server}", f"--grpc-server-key={certificates.server_key}"]
    return ["--grpc-use-ssl=true", *files]


def test_d97_callers_can_be_served_encrypted(repository: Path, certificates: Certificates) -> None:
    """With --grpc-use-ssl a caller who trusts the authority is served, and one who speaks in the clear is not."""
    with running_server(repository, *_tls_flags(certificates)) as server:
        with triton.InferenceServerClient(
            server.grpc, ssl=True, root_certificates=str(certificates.authority)
        ) as client:
            assert client.is_server_ready()
        with triton.InferenceServerClient(server.grpc) as client, pytest.raises(InferenceServerException) as caught:
            client.is_server_ready(client_timeout=5)
        assert caught.value.status() in ("StatusCode.UNAVAILABLE", "StatusCode.DEADLINE_EXCEEDED")


def test_d97_callers_can_be_asked_for_a_certificate(repository: Path, certificates: Certificates) -> None:
    """With --grpc-use-ssl-mutual only a caller with a certificate of the authority is served."""
    flags = [*_tls_flags(certificates), "--grpc-use-ssl-mutual=true", f"--grpc-root-cert={certificates.authority}"]
    known = {"private_key": str(certificates.caller_key), "certificate_chain": str(certificates.caller)}
    with running_server(repository, *flags) as server:

        def is_ready(**own: str) -> bool:
            with triton.InferenceServerClient(
                server.grpc, ssl=True, root_certificates=str(certificates.authority), **own
            ) as client:
                return bool(client.is_server_ready(client_timeout=5))

        assert is_ready(**known)
        with pytest.raises(InferenceServerException) as caught:
            is_ready()
        assert caught.value.status() in ("StatusCode.UNAVAILABLE", "StatusCode.DEADLINE_EXCEEDED")


def test_a_useless_certificate_ends_the_start(repository: Path, certificates: Certificates, tmp_path: Path) -> None:
    """A certificate that is none ends the start with an error, not with an open door."""
    broken = tmp_path / "broken.pem"
    broken.write_text("this is no certificate")
    flags = ["--grpc-use-ssl=true", f"--grpc-server-cert={broken}", f"--grpc-server-key={certificates.server_key}"]
    with running_server(repository, *flags, wait=False) as server:
        assert server.wait() == 1
        assert any("with this certificate and key" in line for line in server.log)
