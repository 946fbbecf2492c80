"""Health and metrics, as probes and Prometheus ask for them."""

from __future__ import annotations

import socket

import grpc
import pytest
import tritonclient.grpc as triton
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client.parser import text_string_to_metric_families

from tests.support.server_process import ServerProcess
from tests.support.triton_requests import row_input


def test_the_health_service_serves(server: ServerProcess) -> None:
    """Check and Watch say SERVING, whatever service is named."""
    with grpc.insecure_channel(server.grpc) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for service in ("", "inference.GRPCInferenceService"):
            answer = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=10)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        watch = stub.Watch(health_pb2.HealthCheckRequest(), timeout=10)
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        watch.cancel()


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v2/health/live", 200),
        ("/v2/health/ready", 200),
        ("/v2/models/identity/ready", 200),
        ("/v2/models/versions/versions/3/ready", 200),
        ("/v2/models/versions/versions/4/ready", 400),
        ("/v2/models/nope/ready", 400),
        ("/v2/nope", 404),
    ],
)
def test_health_is_told_over_http(server: ServerProcess, path: str, status: int) -> None:
    """Probes read the status alone."""
    assert server.get(path)[0] == status


def test_headers_without_end_are_cut_off(server: ServerProcess) -> None:
    """A caller whose headers do not end is refused before they fill the memory, and the server goes on."""
    host, _, port = server.http.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(b"GET /v2/health/live HTTP/1.1\r\nX: " + b"x" * 20_000)
        assert connection.recv(100).startswith(b"HTTP/1.1 400 ")
    assert server.get("/v2/health/live")[0] == 200


def test_metrics_count_what_was_inferred(server: ServerProcess, client: triton.InferenceServerClient) -> None:
    """The metrics port gives Prometheus text in which each request counts once."""

    def successes() -> float:
        _, text = server.get("/metrics", server.metrics)
        return sum(
            sample.value
            for family in text_string_to_metric_families(text.decode())
            for sample in family.samples
            if family.name == "nv_inference_request_success" and sample.labels["model"] == "identity"
        )

    before = successes()
    for _ in range(3):
        client.infer("identity", row_input())
    assert successes() - before == 3
