"""The HTTP routes, without a socket."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from aisle_server.errors import InternalError, UnavailableError
from aisle_server.frontends.grpc.servicer import InferenceServicer
from aisle_server.frontends.http.routes import inference_app, metrics_app
from aisle_server.frontends.metrics import render_metrics
from aisle_server.inference import InferenceRequest, InferenceResponse
from aisle_server.options import HttpOptions
from tests.support.asgi import Answer, ask
from tests.support.fake_inference_server import IDENTITY, FakeInferenceServer

ROW = np.arange(16, dtype=np.float32)
INPUT: Mapping[str, Any] = {"name": "INPUT0", "datatype": "FP32", "shape": [1, 16], "data": ROW.tolist()}
BINARY: Mapping[str, Any] = {
    **{key: value for key, value in INPUT.items() if key != "data"},
    "parameters": {"binary_data_size": 64},
}


def _app(server: Any, **limits: int) -> Any:
    return inference_app(server, InferenceServicer(server), HttpOptions(**limits))


async def _infer(
    fields: Any,
    binary: bytes = b"",
    server: Any = None,
    headers: Mapping[str, str] | None = None,
    path: str = "/v2/models/identity/infer",
    **limits: int,
) -> Answer:
    header = json.dumps(fields).encode()
    length = {"Inference-Header-Content-Length": str(len(header))} if binary else {}
    app = _app(server or FakeInferenceServer(), **limits)
    return await ask(app, path, "POST", header + binary, {**length, **(headers or {})})


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v2/health/live", 200),
        ("/v2/health/ready", 400),
        ("/v2/models/identity/ready", 200),
        ("/v2/models/identity/versions/3/ready", 200),
        ("/v2/models/identity/versions/4/ready", 400),
        ("/v2/models/nope/ready", 400),
        ("/v2/nope", 404),
        ("/metrics", 404),
    ],
)
async def test_yes_is_200_and_no_is_400(path: str, status: int) -> None:
    """Health is told by the status alone, as probes read it."""
    answer = await ask(_app(FakeInferenceServer(ready=False)), path)
    assert answer.status == status
    told = b'{"error":"Model version not ready"}' if path.startswith("/v2/models") and status == 400 else b""
    assert status == 404 or answer.body == told


async def test_a_wrong_version_is_told_as_json() -> None:
    """An error has its HTTP status, and its text as JSON."""
    answer = await ask(_app(FakeInferenceServer()), "/v2/models/identity/versions/x/ready")
    assert answer.status == 400
    assert answer.body.startswith(b'{"error":"failed to get model version from specified version string \'x\'')


async def test_an_exiting_server_is_not_live() -> None:
    """A server that refuses to say whether it lives is 503."""

    class Exiting(FakeInferenceServer):
        def is_live(self) -> bool:
            raise UnavailableError("Server exiting")

    answer = await ask(_app(Exiting()), "/v2/health/live")
    assert (answer.status, answer.body) == (503, b'{"error":"Server exiting"}')


async def test_health_only_answers_gets() -> None:
    """Another method than GET or HEAD is refused."""
    assert (await ask(_app(FakeInferenceServer()), "/v2/health/live", "POST")).status == 405


async def test_metrics_are_prometheus_text() -> None:
    """The metrics port gives the metrics, in Prometheus' text format."""
    answer = await ask(metrics_app([lambda: render_metrics(FakeInferenceServer()), lambda: "# end\n"]), "/metrics")
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert b'nv_inference_count{model="identity",version="3"} 0\n' in answer.body


async def test_json_goes_in_and_comes_out() -> None:
    """The request is the server's own, and its answer is JSON."""
    server = FakeInferenceServer()
    answer = await _infer({"id": "7", "inputs": [INPUT], "parameters": {"shade": "blue", "n": 3}}, server=server)
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert json.loads(answer.body) == {
        "id": "7",
        "model_name": "identity",
        "model_version": "3",
        "outputs": [{"name": "OUTPUT0", "datatype": "FP32", "shape": [1, 16], "data": ROW.tolist()}],
    }
    assert server.requests[0].parameters == {"shade": "blue", "n": 3}
    assert server.requests[0].batch_size == 1


@pytest.mark.parametrize(
    "wanted",
    [
        {"parameters": {"binary_data_output": True}},
        {"outputs": [{"name": "OUTPUT0", "parameters": {"binary_data": True}}]},
    ],
)
async def test_binary_goes_in_and_comes_out(wanted: Mapping[str, Any]) -> None:
    """Tensors stand behind the JSON, whose length a header tells, both ways."""
    answer = await _infer({"inputs": [BINARY], **wanted}, ROW.tobytes())
    assert answer.headers["content-type"] == "application/octet-stream"
    length = int(answer.headers["inference-header-content-length"])
    (output,) = json.loads(answer.body[:length])["outputs"]
    assert output == {"name": "OUTPUT0", "datatype": "FP32", "shape": [1, 16], "parameters": {"binary_data_size": 64}}
    assert answer.body[length:] == ROW.tobytes()


async def test_a_body_can_be_one_raw_tensor() -> None:
    """With a header length of 0 the body is the one input, and the answer is binary."""
    headers = {"Inference-Header-Content-Length": "0"}
    app = _app(FakeInferenceServer())
    answer = await ask(app, "/v2/models/identity/infer", "POST", ROW.tobytes(), headers)
    assert answer.status == 200
    assert answer.body.endswith(ROW.tobytes())


async def test_classes_are_told() -> None:
    """The classification extension works over HTTP."""
    outputs = [{"name": "OUTPUT0", "parameters": {"classification": 2}}]
    answer = await _infer({"inputs": [INPUT], "outputs": outputs}, server=FakeInferenceServer(class_labels=("a",) * 16))
    assert json.loads(answer.body)["outputs"][0]["data"] == ["15.000000:15:a", "14.000000:14:a"]


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ([], "the request JSON is an array; expected an object"),
        ({}, "Unable to parse 'inputs': attempt to access non-existing object member 'inputs'"),
        ({"inputs": {}}, "Unable to parse 'inputs': attempt to access JSON non-array as array, got an object"),
        ({"inputs": [1]}, "Unable to parse 'inputs': an element is a number; expected an object"),
        ({"inputs": [{}]}, "Unable to parse 'name': attempt to access non-existing object member 'name'"),
        (
            {"inputs": [{**INPUT, "shape": [1.5]}]},
            "Unable to parse 'shape': attempt to access JSON non-unsigned-integer as unsigned-integer,"
            " input 'INPUT0' has one that is no array of integers",
        ),
        (
            {"inputs": [{**INPUT, "shape": [2**70]}]},
            "Unable to parse 'shape': attempt to access JSON non-unsigned-integer as unsigned-integer,"
            " input 'INPUT0' has one that is no array of integers",
        ),
        (
            {"inputs": [{**INPUT, "data": [1]}]},
            "Unable to parse 'data': Shape does not match true shape of 'data' field",
        ),
        (
            {"inputs": [{**INPUT, "datatype": "FP33"}]},
            "invalid datatype for input INPUT0, got 'FP33'",
        ),
        ({"inputs": [INPUT, INPUT]}, "[request id: <id_unknown>] input 'INPUT0' already exists in request"),
        (
            {"inputs": [INPUT], "outputs": [{"name": "OUTPUT0"}] * 2},
            "[request id: <id_unknown>] output 'OUTPUT0' already exists in request",
        ),
        (
            {"inputs": [{key: INPUT[key] for key in ("name", "datatype", "shape")}]},
            "Input must set only one of the following fields: 'data', 'binary_data_size' in 'parameters', 'shared_memory_region' in"
            " 'parameters'. But no field is set, input 'INPUT0'",
        ),
        (
            {"inputs": [BINARY]},
            "unexpected size for input 'INPUT0', expecting 64 additional bytes for model 'identity'",
        ),
        (
            {"inputs": [{**INPUT, "parameters": {"binary_data_size": 0}}]},
            "Input must set only one of the following fields: 'data', 'binary_data_size' in 'parameters', 'shared_memory_region' in"
            " 'parameters'. But set 'data' 'binary_data_size', input 'INPUT0'",
        ),
        (
            {"inputs": [INPUT], "parameters": {"triton_x": 1}},
            "parameter keys starting with 'triton_' are reserved for Triton usage. Only the following keys starting with"
            " 'triton_' are allowed: triton_enable_empty_final_response, got 'triton_x'",
        ),
        (
            {"inputs": [INPUT], "parameters": {"x": [1]}},
            "parameter 'x' has invalid type. It should be either 'int', 'bool', or 'string'. Got an array",
        ),
        ({"inputs": [INPUT], "parameters": {"priority": -1}}, "invalid value for 'priority', expected value >= 0."),
        (
            {"inputs": [INPUT], "id": 7},
            "Unable to parse 'id': attempt to access JSON non-string as string, got a number",
        ),
        (
            {"inputs": [INPUT], "id": "\ud800"},
            "Unable to parse 'id': attempt to access JSON non-string as string, got a string",
        ),
    ],
)
async def test_wrong_requests_are_400(fields: Any, text: str) -> None:
    """What is wrong is told as JSON."""
    answer = await _infer(fields)
    assert (answer.status, json.loads(answer.body)) == (400, {"error": text})


async def test_additional_binary_data_are_refused() -> None:
    """Bytes that no input claims are a mistake."""
    answer = await _infer({"inputs": [BINARY]}, ROW.tobytes() + b"x")
    assert json.loads(answer.body)["error"] == "unexpected additional input data for model 'identity'"


@pytest.mark.parametrize("length", ["-1", "99999", "x", "1e3", "9" * 5000, "2147483648"])
async def test_92_a_header_length_out_of_range_is_refused(length: str) -> None:
    """`Inference-Header-Content-Length` is a number within the body."""
    app = _app(FakeInferenceServer())
    headers = {"Inference-Header-Content-Length": length}
    answer = await ask(app, "/v2/models/identity/infer", "POST", b"{}", headers)
    assert answer.status == 400
    assert answer.body.startswith(b'{"error":"inference header size should be in range (0, 2), got: ')


async def test_91_a_body_over_the_limit_is_refused() -> None:
    """The text names the flag that would allow it."""
    answer = await _infer({"inputs": [INPUT]}, max_input_size=50)
    assert answer.status == 400
    assert "exceeds the maximum allowed value of 50 bytes. Use --http-max-input-size" in answer.body.decode()


async def test_an_unknown_content_encoding_is_refused() -> None:
    """Brotli is not spoken."""
    assert (await _infer({"inputs": [INPUT]}, headers={"content-encoding": "br"})).status == 415


async def test_an_unknown_model_is_404() -> None:
    """Before its body is read."""
    answer = await _infer({"inputs": [INPUT]}, path="/v2/models/nope/infer")
    assert (answer.status, answer.body) == (404, b'{"error":"Request for unknown model: \'nope\' is not found"}')


async def test_an_inner_fault_tells_nothing() -> None:
    """The caller reads that something failed, and not what."""

    async def fail(request: InferenceRequest) -> InferenceResponse:
        raise InternalError("the model failed")

    answer = await _infer({"inputs": [INPUT]}, server=FakeInferenceServer(on_infer=fail))
    assert (answer.status, answer.body) == (500, b'{"error":"the model failed"}')


async def test_a_caller_who_leaves_cancels_the_request() -> None:
    """Nothing is computed for nobody."""

    async def never(request: InferenceRequest) -> InferenceResponse:
        return await asyncio.Future()

    server = FakeInferenceServer(on_infer=never)
    body = json.dumps({"inputs": [INPUT]}).encode()
    answer = await ask(_app(server), "/v2/models/identity/infer", "POST", body, leaves_after_s=0)
    assert server.cancelled.is_set()
    assert answer.status == 499


async def test_a_decoupled_model_is_not_offered() -> None:
    """It needs a stream."""
    server = FakeInferenceServer(configs=(dataclasses.replace(IDENTITY, decoupled=True),))
    answer = await _infer({"inputs": [INPUT]}, server=server)
    assert answer.status == 501
    assert b"HTTP end point doesn't support models with decoupled transaction policy" in answer.body


@pytest.mark.parametrize(
    ("path", "method", "expected"),
    [
        ("/v2", "GET", {"name": "aisle", "version": "1.2.3", "extensions": ["classification", "statistics"]}),
        (
            "/v2/models/identity",
            "GET",
            {
                "name": "identity",
                "versions": ["3"],
                "platform": "identity",
                "inputs": [{"name": "INPUT0", "datatype": "FP32", "shape": [-1, 16]}],
                "outputs": [{"name": "OUTPUT0", "datatype": "FP32", "shape": [-1, 16]}],
            },
        ),
        (
            "/v2/repository/index",
            "POST",
            [{"name": "identity", "version": "3", "state": "READY", "reason": ""}, {"name": "never_loaded"}],
        ),
        ("/v2/systemsharedmemory/status", "GET", []),
        ("/v2/cudasharedmemory/status", "GET", []),
    ],
)
async def test_descriptions_are_json(path: str, method: str, expected: Any) -> None:
    """Metadata, the repository's index and the regions, as Triton's clients read them."""
    answer = await ask(_app(FakeInferenceServer()), path, method)
    assert (answer.status, json.loads(answer.body)) == (200, expected)


async def test_configurations_and_figures_are_numbers() -> None:
    """Clients compute with them, so they are not the strings that protobuf makes of 64-bit numbers."""
    app = _app(FakeInferenceServer())
    config = json.loads((await ask(app, "/v2/models/identity/config")).body)
    assert (config["name"], config["max_batch_size"], config["input"][0]["dims"]) == ("identity", 8, [16])
    for path in ("/v2/models/stats", "/v2/models/identity/stats", "/v2/models/identity/versions/3/stats"):
        (row,) = json.loads((await ask(app, path)).body)["model_stats"]
        assert row["name"] == "identity"
        assert row["inference_stats"]["success"] == {"count": 0, "ns": 0}
