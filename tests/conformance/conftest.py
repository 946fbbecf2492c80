"""One server for all conformance tests, in a process of its own, and NVIDIA's client to ask it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import tritonclient.grpc as triton

pytest.register_assert_rewrite("tests.support")

from tests.support.model_repositories import write_identity_model  # noqa: E402  (rewritten first)
from tests.support.server_process import ServerProcess, running_server  # noqa: E402

# Protocol name -> three elements, as little-endian raw contents.
GOLDEN_BYTES = {
    "BOOL": "01 00 01",
    "UINT8": "00 7f ff",
    "UINT16": "0100 ff7f ffff",
    "UINT32": "01000000 ffffff7f ffffffff",
    "UINT64": "0100000000000000 ffffffffffffff7f ffffffffffffffff",
    "INT8": "80 00 7f",
    "INT16": "0080 0000 ff7f",
    "INT32": "00000080 00000000 ffffff7f",
    "INT64": "0000000000000080 0000000000000000 ffffffffffffff7f",
    "FP16": "003c 00fc 007e",
    "FP32": "0000803f 000080ff 0000c07f",
    "FP64": "000000000000f03f 000000000000f0ff 000000000000f87f",
    "BF16": "803f 80ff c07f",
    "BYTES": "00000000 03000000 610062 02000000 ff80",
}
LABELS = [f"Shelf > Row {index}" for index in range(16)]


def write_conformance_models(repository: Path) -> None:
    """Write the models that the tests of this folder ask."""
    write_identity_model(repository, "identity", labels=LABELS)
    write_identity_model(repository, "two_inputs", [("0", "FP32", (16,)), ("1", "INT32", (4,))])
    write_identity_model(repository, "datatypes", [(f"_{name}", name, (3,)) for name in GOLDEN_BYTES], max_batch_size=0)
    write_identity_model(repository, "any_size", [("0", "FP32", (-1,))], max_batch_size=0)
    write_identity_model(repository, "any_bytes", [("0", "INT8", (-1, -1))], max_batch_size=0)
    write_identity_model(repository, "texts", [("0", "BYTES", (16,))])
    write_identity_model(repository, "flat", max_batch_size=0)
    write_identity_model(
        repository, "two_levels", extra="dynamic_batching { priority_levels: 2 default_priority_level: 2 }"
    )
    write_identity_model(
        repository, "all_required", [(str(index), "FP32", (4,)) for index in range(3)], max_batch_size=0
    )
    path = write_identity_model(
        repository, "last_optional", [(str(index), "FP32", (4,)) for index in range(4)], max_batch_size=0
    )
    config = path / "config.pbtxt"
    config.write_text(config.read_text().replace('name: "INPUT3"', 'name: "INPUT3" optional: true'))
    write_identity_model(repository, "versions", versions=(1, 3, 12), extra="version_policy { all {} }")
    write_identity_model(
        repository, "slow", parameters={"execute_delay_ms": "400"}, extra="instance_group { count: 1 }"
    )
    write_identity_model(
        repository,
        "short_queue",
        parameters={"execute_delay_ms": "400"},
        max_batch_size=1,
        extra="instance_group { count: 1 } dynamic_batching { default_queue_policy { max_queue_size: 1 } }",
    )
    write_identity_model(
        repository,
        "impatient",
        parameters={"execute_delay_ms": "600"},
        max_batch_size=1,
        extra="instance_group { count: 1 } dynamic_batching { default_queue_policy { default_timeout_microseconds: 100000 } }",
    )


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with the models of `write_conformance_models`. Tests leave it as they found it."""
    repository = tmp_path_factory.mktemp("models")
    write_conformance_models(repository)
    with running_server(repository) as process:
        yield process


@pytest.fixture(scope="session")
def client(server: ServerProcess) -> Iterator[triton.InferenceServerClient]:
    """NVIDIA's client of that server."""
    with triton.InferenceServerClient(server.grpc) as client:
        yield client
