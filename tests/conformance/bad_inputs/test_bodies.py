"""Rows 92 and 94 of the list of bad inputs: bodies over HTTP. Rows 90, 91 and 93 are in `test_http.py`."""

from __future__ import annotations

import http.client
import json

import pytest

from tests.support.server_process import ServerProcess
from tests.support.triton_requests import ROW

HEADER = json.dumps(
    {"inputs": [{"name": "INPUT0", "datatype": "FP32", "shape": [1, 16], "parameters": {"binary_data_size": 64}}]}
).encode()


def post(server: ServerProcess, body: bytes, headers: dict[str, str] | None = None) -> tuple[int, str]:
    """Ask the model `identity`: status, and the error or the body."""
    host, _, port = server.http.rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=60)
    try:
        connection.request("POST", "/v2/models/identity/infer", body, headers or {})
        answer = connection.getresponse()
        text = answer.read()
        return answer.status, text.decode(errors="replace") if answer.status == 200 else json.loads(text)["error"]
    finally:
        connection.close()


@pytest.mark.parametrize(
    "length", ["-1", "x", "1.5", str(len(HEADER) + 65), str(2**31), str(2**63), "9" * 40], ids=range(7)
)
def test_d92_a_header_length_out_of_range(server: ServerProcess, length: str) -> None:
    """It is refused with the range that it may have, and the server goes on."""
    body = HEADER + ROW.tobytes()
    told = post(server, body, {"Inference-Header-Content-Length": length})
    assert told == (400, f"inference header size should be in range (0, {len(body)}), got: {length[:32]}")
    assert post(server, body, {"Inference-Header-Content-Length": str(len(HEADER))})[0] == 200


@pytest.mark.parametrize(
    ("elements", "text"),
    [
        pytest.param(
            b",".join([b"[]"] * 1_000_001), "the request JSON has more than 1000000 arrays and objects", id="arrays"
        ),
        pytest.param(
            b",".join([b"{}"] * 1_000_001), "the request JSON has more than 1000000 arrays and objects", id="objects"
        ),
        pytest.param(b"9" * 5000, "failed to parse the request JSON buffer: ...", id="a long number"),
        pytest.param(b",".join([b'"x"'] * 100_000), "Unable to parse 'data': ...", id="strings"),
    ],
)
def test_d94_values_that_grow_in_memory(server: ServerProcess, elements: bytes, text: str) -> None:
    """A body within its limit cannot fill the memory: containers are counted before they are made."""
    fields = b'{"inputs":[{"name":"INPUT0","datatype":"FP32","shape":[1,16],"data":[' + elements + b"]}]}"
    status, told = post(server, fields)
    assert status == 400
    assert told == text if not text.endswith("...") else told.startswith(text[:-3])
    assert server.get("/v2/health/live")[0] == 200
