"""The HTTP port, asked by NVIDIA's client and by plain requests as curl sends them."""

from __future__ import annotations

import gzip
import http.client
import json
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from tests.conformance.conftest import GOLDEN_BYTES, LABELS
from tests.support.model_repositories import write_identity_model
from tests.support.server_process import ServerProcess, running_server

ROW = np.arange(16, dtype=np.float32).reshape(1, 16)


@pytest.fixture(scope="module")
def web(server: ServerProcess) -> Iterator[triton.InferenceServerClient]:
    """NVIDIA's HTTP client of the server."""
    client = triton.InferenceServerClient(server.http)
    yield client
    client.close()


def _input(array: Any, datatype: str, *, name: str = "INPUT0", binary: bool = True) -> triton.InferInput:
    given = triton.InferInput(name, list(array.shape), datatype)
    given.set_data_from_numpy(array, binary_data=binary)
    return given


def _post(server: ServerProcess, path: str, body: bytes, headers: Mapping[str, str] | None = None) -> tuple[int, Any]:
    host, _, port = server.http.rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=30)
    try:
        connection.request("POST", path, body, dict(headers or {}))
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def _body(**changes: Any) -> bytes:
    given = {"name": "INPUT0", "datatype": "FP32", "shape": [1, 16], "data": [0.5] * 16, **changes}
    return json.dumps({"inputs": [given]}).encode()


def test_the_server_is_described(web: triton.InferenceServerClient) -> None:
    """Health, metadata, configuration, figures and index, as NVIDIA's client asks for them."""
    assert web.is_server_live()
    assert web.is_server_ready()
    assert web.is_model_ready("identity")
    assert not web.is_model_ready("versions", "4")
    assert web.get_server_metadata()["name"] == "aisle"
    metadata = web.get_model_metadata("versions", "3")
    assert metadata["versions"] == ["3"]
    assert metadata["inputs"] == [{"name": "INPUT0", "datatype": "FP32", "shape": [-1, 16]}]
    assert web.get_model_config("identity")["max_batch_size"] == 8
    assert {row["name"] for row in web.get_inference_statistics()["model_stats"]} >= {"identity", "versions"}
    assert web.get_inference_statistics("versions", "12")["model_stats"][0]["version"] == "12"
    ready = {(row["name"], row["version"]) for row in web.get_model_repository_index()}
    assert ready >= {("versions", "1"), ("versions", "12"), ("identity", "1")}
    assert web.get_system_shared_memory_status() == []
    assert web.get_cuda_shared_memory_status() == []
    web.unregister_system_shared_memory()
    web.unregister_cuda_shared_memory()


@pytest.mark.parametrize("sent_binary", [True, False])
@pytest.mark.parametrize("wanted_binary", [True, False])
def test_rows_come_back(web: triton.InferenceServerClient, sent_binary: bool, wanted_binary: bool) -> None:
    """In binary and in JSON, either way."""
    wanted = [triton.InferRequestedOutput("OUTPUT0", binary_data=wanted_binary)]
    result = web.infer("identity", [_input(ROW, "FP32", binary=sent_binary)], outputs=wanted, request_id="7")
    np.testing.assert_array_equal(result.as_numpy("OUTPUT0"), ROW)
    assert result.get_response()["id"] == "7"
    assert result.get_response()["model_version"] == "1"


def test_every_datatype_travels(server: ServerProcess) -> None:
    """The raw contents of each datatype come back bit for bit: golden bytes, in binary."""
    raws = {name: bytes.fromhex(text) for name, text in GOLDEN_BYTES.items()}
    inputs = [
        {"name": f"INPUT_{name}", "datatype": name, "shape": [3], "parameters": {"binary_data_size": len(raw)}}
        for name, raw in raws.items()
    ]
    header = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
    length = {"Inference-Header-Content-Length": str(len(header))}
    status, body = _post(server, "/v2/models/datatypes/infer", header + b"".join(raws.values()), length)
    assert status == 200
    assert body.endswith(b"".join(raws.values()))


def test_d38_nan_survives_json(server: ServerProcess) -> None:
    """What is not a number goes both ways."""
    status, body = _post(server, "/v2/models/identity/infer", _body(data=[float("nan"), *[float("-inf")] * 15]))
    assert status == 200
    data = json.loads(body)["outputs"][0]["data"]
    assert np.isnan(data[0])
    assert data[1:] == [float("-inf")] * 15


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_bodies_are_compressed(web: triton.InferenceServerClient, coding: str) -> None:
    """Either way, as NVIDIA's client does it."""
    rows = np.zeros((8, 16), np.float32)
    result = web.infer(
        "identity",
        [_input(rows, "FP32")],
        request_compression_algorithm=coding,
        response_compression_algorithm=coding,
    )
    np.testing.assert_array_equal(result.as_numpy("OUTPUT0"), rows)


def test_classes_have_labels(web: triton.InferenceServerClient) -> None:
    """The classification extension, as `image_client` prints it."""
    wanted = [triton.InferRequestedOutput("OUTPUT0", binary_data=True, class_count=2)]
    result = web.infer("identity", [_input(ROW, "FP32")], outputs=wanted)
    expected = [f"15.000000:15:{LABELS[15]}".encode(), f"14.000000:14:{LABELS[14]}".encode()]
    assert result.as_numpy("OUTPUT0").tolist() == [expected]


def test_a_raw_body_is_a_tensor(server: ServerProcess) -> None:
    """`curl --data-binary @file -H 'Inference-Header-Content-Length: 0'`."""
    headers = {"Inference-Header-Content-Length": "0"}
    status, body = _post(server, "/v2/models/identity/infer", ROW.tobytes(), headers)
    assert (status, body[-64:]) == (200, ROW.tobytes())


def test_errors_are_those_of_grpc(web: triton.InferenceServerClient) -> None:
    """The client's exception has the HTTP status and the very text that gRPC tells."""
    with pytest.raises(
        InferenceServerException, match=r"^\[400\] \[request id: <id_unknown>\] unexpected shape for input"
    ):
        web.infer("identity", [_input(ROW[:, :3], "FP32")])
    with pytest.raises(InferenceServerException, match=r"^\[404\] Request for unknown model: 'nope' is not found$"):
        web.infer("nope", [_input(ROW, "FP32")])
    with pytest.raises(InferenceServerException, match=r"^\[400\] requested model 'nope' is not available$"):
        web.get_inference_statistics("nope")


def test_d90_deep_json_is_refused(server: ServerProcess) -> None:
    """A quarter of a million brackets answer 400, and the server goes on."""
    status, body = _post(server, "/v2/models/identity/infer", b'{"inputs":' + b"[" * 250_000 + b"]" * 250_000 + b"}")
    assert (status, json.loads(body)) == (400, {"error": "the request JSON is nested deeper than 100 levels"})
    assert server.get("/v2/health/live")[0] == 200


def test_d91_large_bodies_and_bombs_are_refused(server: ServerProcess) -> None:
    """More than 64 MiB, as sent or as decompressed, answers 400 with the name of the flag."""
    bomb = gzip.compress(b" " * (64 * 2**20) + _body())
    status, body = _post(server, "/v2/models/identity/infer", bomb, {"Content-Encoding": "gzip"})
    assert status == 400
    assert "exceeds the maximum allowed value of 67108864 bytes. Use --http-max-input-size" in body.decode()
    host, _, port = server.http.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(b"POST /v2/models/identity/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 67108865\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 400 ")  # before any of it came


def test_d93_a_body_in_many_chunks_is_read(server: ServerProcess) -> None:
    """A thousand chunks of a few bytes make one request."""
    body = _body() + b" " * 2000
    host, _, port = server.http.rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=30)
    pieces = (body[start : start + 3] for start in range(0, len(body), 3))
    connection.request(
        "POST", "/v2/models/identity/infer", pieces, encode_chunked=True, headers={"Transfer-Encoding": "chunked"}
    )
    assert connection.getresponse().status == 200
    connection.close()


def test_loading_is_refused_as_over_grpc(web: triton.InferenceServerClient) -> None:
    """A server that loads everything when it starts says so, with the status of something that may be possible later."""
    for ask in (web.load_model, web.unload_model):
        with pytest.raises(InferenceServerException, match=r"^\[503\] explicit model load / unload is not allowed"):
            ask("identity")


def test_models_are_loaded_and_unloaded(tmp_path: Path) -> None:
    """With explicit control, as NVIDIA's client asks: plain, with another configuration, and what cannot be."""
    write_identity_model(tmp_path, "identity", max_batch_size=4)
    with running_server(tmp_path, "--model-control-mode=explicit") as server:
        web = triton.InferenceServerClient(server.http)
        assert web.get_model_repository_index() == [{"name": "identity"}]
        web.load_model("identity")
        assert web.get_model_config("identity")["max_batch_size"] == 4
        config = {**web.get_model_config("identity"), "max_batch_size": 7}
        web.load_model("identity", config=json.dumps(config))
        assert web.get_model_config("identity")["max_batch_size"] == 7
        with pytest.raises(
            InferenceServerException, match=r"^\[500\] failed to load 'nope', failed to poll from model rep"
        ):
            web.load_model("nope")
        status, body = _post(server, "/v2/repository/models/identity/load", b'{"parameters":{"config":[]}}')
        assert (status, body[:32]) == (400, b'{"error":"invalid value type for')
        web.unload_model("identity", unload_dependents=True)
        for _ in range(100):
            if not web.is_model_ready("identity"):
                break
            time.sleep(0.05)
        assert not web.is_model_ready("identity")
        web.close()


def test_a_caller_who_leaves_frees_the_model(server: ServerProcess) -> None:
    """A request whose connection closes leaves the queue: the next one does not wait for it."""
    host, _, port = server.http.rpartition(":")
    body = _body()
    head = f"POST /v2/models/slow/infer HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    for _ in range(8):
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(head + body)
            time.sleep(0.02)
    started_s = time.monotonic()
    status, _ = _post(server, "/v2/models/slow/infer", body)
    assert status == 200
    assert time.monotonic() - started_s < 2  # each of the eight takes 0.4 s


@pytest.mark.parametrize("path", ["/nope", "/v2/models/identity/infer", "/v2/health/live"])
def test_a_body_that_is_no_body_is_refused_without_a_trace(server: ServerProcess, path: str) -> None:
    """Chunks without a length behind good headers: 400 and the end, whether or not an answer was under way, and nothing to mend."""
    host, _, port = server.http.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(f"POST {path} HTTP/1.1\r\nHost: aisle\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert server.get("/v2/health/live")[0] == 200
    assert not any("Traceback" in line or "Fatal error" in line for line in server.log)
