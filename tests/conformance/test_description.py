"""What the server tells of itself and its models, asked with NVIDIA's client."""

from __future__ import annotations

import grpc
import tritonclient.grpc as triton
from grpc import StatusCode

from tests.support.server_process import ServerProcess
from tests.support.triton_requests import ROW, refused, row_input

# As tritonserver 2.51 names them.
EXTENSIONS = [
    "classification",
    "sequence",
    "model_repository",
    "model_repository(unload_dependents)",
    "schedule_policy",
    "model_configuration",
    "system_shared_memory",
    "cuda_shared_memory",
    "binary_tensor_data",
    "parameters",
    "statistics",
    "trace",
    "logging",
]


def test_the_server_is_live_and_ready(client: triton.InferenceServerClient) -> None:
    """ServerLive and ServerReady answer yes once the models are loaded."""
    assert client.is_server_live()
    assert client.is_server_ready()


def test_a_model_is_ready_by_name_and_version(client: triton.InferenceServerClient) -> None:
    """ModelReady knows models and versions; one that is unknown is not ready, and no error."""
    assert client.is_model_ready("versions")
    assert client.is_model_ready("versions", "3")
    assert not client.is_model_ready("versions", "4")
    assert not client.is_model_ready("nope")
    with refused(
        StatusCode.INVALID_ARGUMENT,
        "failed to get model version from specified version string 'x' (details: stol), version should be an integral value > 0",
    ):
        client.is_model_ready("versions", "x")


def test_the_server_tells_what_it_speaks(client: triton.InferenceServerClient) -> None:
    """ServerMetadata names the server, its version and the extensions that clients look for."""
    metadata = client.get_server_metadata()
    assert metadata.name == "aisle"
    assert metadata.version
    assert list(metadata.extensions) == EXTENSIONS


def test_a_model_tells_its_tensors(client: triton.InferenceServerClient) -> None:
    """ModelMetadata tells versions in service, platform, and tensors with the batch dimension in front."""
    metadata = client.get_model_metadata("versions")
    assert (metadata.name, sorted(metadata.versions), metadata.platform) == ("versions", ["1", "12", "3"], "identity")
    assert [(each.name, each.datatype, list(each.shape)) for each in metadata.inputs] == [("INPUT0", "FP32", [-1, 16])]
    assert [(each.name, each.datatype, list(each.shape)) for each in metadata.outputs] == [
        ("OUTPUT0", "FP32", [-1, 16])
    ]
    assert list(client.get_model_metadata("versions", "3").versions) == ["3"]


def test_a_model_tells_its_configuration(client: triton.InferenceServerClient) -> None:
    """ModelConfig gives the configuration with defaults filled in."""
    config = client.get_model_config("identity").config
    assert (config.name, config.backend, config.max_batch_size) == ("identity", "identity", 8)
    assert config.output[0].label_filename == "labels.txt"
    assert config.version_policy.latest.num_versions == 1
    assert config.instance_group[0].count >= 1


def test_unknown_models_have_neither(client: triton.InferenceServerClient) -> None:
    """Metadata and configuration of a model or version that is not there are NOT_FOUND."""
    for ask in (client.get_model_metadata, client.get_model_config):
        with refused(StatusCode.NOT_FOUND, "Request for unknown model: 'nope' is not found"):
            ask("nope")
        with refused(StatusCode.NOT_FOUND, "Request for unknown model: 'identity' version 99 is not found"):
            ask("identity", "99")


def test_the_index_lists_every_version(client: triton.InferenceServerClient) -> None:
    """RepositoryIndex lists every version of every model with its state."""
    models = client.get_model_repository_index().models
    assert [(each.version, each.state) for each in models if each.name == "versions"] == [
        ("1", "READY"),
        ("3", "READY"),
        ("12", "READY"),
    ]
    assert {each.name for each in models} >= {"identity", "datatypes", "slow"}
    assert all(each.reason == "" for each in models)


def test_statistics_count_requests_rows_and_batches(client: triton.InferenceServerClient) -> None:
    """ModelStatistics counts each request once, each row once, and the time that they took."""

    def figures() -> tuple[int, int, int, int]:
        (row,) = client.get_inference_statistics("identity").model_stats
        stats = row.inference_stats
        return stats.success.count, row.inference_count, stats.success.ns, stats.compute_infer.count

    before = figures()
    for rows in (1, 3):
        client.infer("identity", row_input(ROW.repeat(rows, axis=0)))
    after = figures()
    assert (after[0] - before[0], after[1] - before[1], after[3] - before[3]) == (2, 4, 2)
    assert after[2] > before[2]


def test_b11_statistics_of_all_models_come_at_once(client: triton.InferenceServerClient) -> None:
    """With no name, ModelStatistics tells of every version that is ready; an unknown model is INVALID_ARGUMENT."""
    rows = client.get_inference_statistics().model_stats
    assert {("versions", "12"), ("identity", "1")} <= {(row.name, row.version) for row in rows}
    with refused(StatusCode.INVALID_ARGUMENT, "requested model 'nope' is not available..."):
        client.get_inference_statistics("nope")
    with refused(StatusCode.INVALID_ARGUMENT, "requested model version is not available for model 'versions'"):
        client.get_inference_statistics("versions", "4")


def test_shared_memory_status_is_empty(client: triton.InferenceServerClient) -> None:
    """Clients may ask for regions and forget them before they do anything else."""
    assert not client.get_system_shared_memory_status().regions
    assert not client.get_cuda_shared_memory_status().regions
    client.unregister_system_shared_memory()
    client.unregister_cuda_shared_memory()


def test_d69_b34_what_is_not_offered_says_so(client: triton.InferenceServerClient) -> None:
    """RPCs that are not offered answer UNIMPLEMENTED with a plain text."""
    with refused(
        StatusCode.UNIMPLEMENTED,
        "Client shared memory is disabled. Start the server with '--allow-client-shm=true' to enable.",
    ):
        client.register_system_shared_memory("r", "/k", 64)
    with refused(
        StatusCode.UNIMPLEMENTED,
        "Client shared memory is disabled. Start the server with '--allow-client-shm=true' to enable.",
    ):
        client.register_cuda_shared_memory("r", b"", 0, 64)


def test_an_unknown_rpc_is_unimplemented(server: ServerProcess) -> None:
    """An RPC that the service does not have is UNIMPLEMENTED."""
    with grpc.insecure_channel(server.grpc) as channel, refused(StatusCode.UNIMPLEMENTED, "..."):
        channel.unary_unary("/inference.GRPCInferenceService/NoSuchRpc")(b"", timeout=10)
