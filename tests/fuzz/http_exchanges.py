"""Bytes for the HTTP door: requests that are right, that lie in JSON, in binary tensors, in headers or in length, and pipelines of them."""

from __future__ import annotations

import gzip
import json
import zlib
from dataclasses import dataclass
from typing import Any, Final

from hypothesis import strategies as st

from aisle_protocol.raw_contents import from_raw
from tests.fuzz import vocabulary
from tests.fuzz.grpc_calls import valid_request
from tests.fuzz.served_models import MODELS

_LENGTH: Final = "Inference-Header-Content-Length"
# Larger than the fuzzed server takes, smaller than anybody would mind to make.
_BOMB: Final = bytes(8 * 2**20)
_READ: Final = (
    *("/v2", "/v2/health/live", "/v2/health/ready", "/v2/models/stats", "/v2/logging", "/v2/trace/setting"),
    *("/v2/models/{name}", "/v2/models/{name}/ready", "/v2/models/{name}/config", "/v2/models/{name}/stats"),
    *("/v2/models/{name}/versions/{version}", "/v2/models/{name}/trace/setting", "/v2/models/{name}/versions/1/stats"),
    *("/v2/systemsharedmemory/status", "/v2/cudasharedmemory/status", "/{name}", "/v2/{name}", "*"),
)
_WRITTEN: Final = (
    *("/v2/repository/index", "/v2/repository/models/{changed}/load", "/v2/repository/models/{changed}/unload"),
    *("/v2/systemsharedmemory/unregister", "/v2/systemsharedmemory/region/{region}/unregister"),
    *("/v2/systemsharedmemory/region/{region}/register", "/v2/cudasharedmemory/region/{region}/register"),
    *("/v2/logging", "/v2/trace/setting", "/v2/models/{name}/trace/setting"),
    *("/v2/models/{name}/generate", "/v2/models/{name}/generate_stream"),
)
_OTHER_METHODS: Final = ("HEAD", "OPTIONS", "PUT", "DELETE", "CONNECT", "NOPE")
_HEADERS: Final = (
    *(("Accept-Encoding", each) for each in ("gzip", "deflate;q=0.5, gzip;q=x", "*", ",,,;", "identity;q=0")),
    *(("Content-Type", each) for each in ("application/json", "application/octet-stream", "text/plain; charset=x", "")),
    *(("Connection", each) for each in ("close", "keep-alive", "Upgrade, HTTP2-Settings")),
    ("Upgrade", "h2c"),
    ("Expect", "100-continue"),
    ("Expect", "a miracle"),
    ("Transfer-Encoding", "gzip"),
    ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    ("traceparent", "\xff\xfe"),
    ("X-Long", "x" * 6000),
    ("triton_reserved", "1"),
)


@dataclass(frozen=True, slots=True)
class HttpExchange:
    """What one connection carries.

    Attributes:
        sent: All of it.
        methods: Of the requests in it, as far as they are whole.
        is_framed: Whether each of them says truly where it ends, so that each must be answered.
    """

    sent: bytes
    methods: tuple[str, ...]
    is_framed: bool


@dataclass(slots=True)
class _Infer:
    fields: Any
    binary: bytes
    path: str


@st.composite
def _inferences(draw: st.DrawFn) -> _Infer:
    model = draw(st.sampled_from(MODELS))
    message = valid_request(model, draw(st.integers(1, 9)), draw(st.integers(0, 3)))
    fields: dict[str, Any] = {"id": draw(vocabulary.texts), "inputs": []}
    pieces: list[bytes] = []
    for each, raw in zip(message.inputs, message.raw_input_contents, strict=True):
        tensor: dict[str, Any] = {"name": each.name, "datatype": each.datatype, "shape": list(each.shape)}
        if draw(st.booleans()) or each.datatype in ("FP16", "BF16"):
            tensor["parameters"] = {"binary_data_size": len(raw)}
            pieces.append(raw)
        elif each.datatype == "BYTES":
            tensor["data"] = [element.decode() for element in from_raw(raw, "BYTES", each.shape).reshape(-1)]
        else:
            tensor["data"] = from_raw(raw, each.datatype, each.shape).tolist()
        fields["inputs"].append(tensor)
    if draw(st.integers(0, 3)) == 0:
        parameters = st.dictionaries(st.sampled_from(vocabulary.PARAMETERS), vocabulary.json_junk, max_size=1)
        fields["outputs"] = [{"name": draw(st.sampled_from(model.outputs)), "parameters": draw(parameters)}]
    if draw(st.booleans()) or model.name == "datatypes":
        fields["parameters"] = {"binary_data_output": draw(st.integers(0, 3)) > 0}
    version = draw(st.sampled_from(["", "", "", "", "/versions/1", "/versions/1", "/versions/x", "/versions/-1"]))
    return _Infer(fields, b"".join(pieces), f"/v2/models/{model.name}{version}/infer")


def _change_json(draw: st.DrawFn, value: Any) -> Any:
    """Put something else in one place of a JSON value, anywhere in it."""
    if isinstance(value, dict) and value and draw(st.integers(0, 3)):
        key = draw(st.sampled_from(sorted(value)))
        if draw(st.integers(0, 5)) == 0:
            return {each: value[each] for each in value if each != key}
        return {**value, key: _change_json(draw, value[key])}
    if isinstance(value, list) and value and draw(st.integers(0, 3)):
        index = draw(st.integers(0, len(value) - 1))
        if draw(st.integers(0, 5)) == 0:
            return [*value, value[index]]
        return [*value[:index], _change_json(draw, value[index]), *value[index + 1 :]]
    return draw(vocabulary.json_junk)


@st.composite
def _bodies(draw: st.DrawFn) -> tuple[str, str, bytes, list[tuple[str, str]]]:
    """Method, path, body and the headers that speak of it."""
    if draw(st.booleans()):
        infer = draw(_inferences())
        fields = infer.fields
        for _ in range(draw(st.sampled_from([0, 0, 1, 1, 2]))):
            fields = _change_json(draw, fields)
        header = json.dumps(fields).encode()
        headers = [(_LENGTH, str(len(header)))] if infer.binary else []
        if draw(st.integers(0, 9)) == 0:
            headers = [(_LENGTH, draw(vocabulary.int64s.map(str) | st.just("9" * 500) | st.just("1e3")))]
        binary = infer.binary if draw(st.integers(0, 9)) else draw(vocabulary.blobs)
        return "POST", infer.path, header + binary, headers
    method = draw(
        st.sampled_from(["GET", "GET", "GET", "POST", "POST", "POST", "POST", draw(st.sampled_from(_OTHER_METHODS))])
    )
    routes = {"GET": _READ, "POST": _WRITTEN}.get(method, _READ + _WRITTEN)
    path = draw(st.sampled_from(routes)).format(
        name=_quoted(draw(vocabulary.texts)),
        version=_quoted(draw(vocabulary.texts)),
        region=_quoted(draw(vocabulary.texts)),
        changed=_quoted(draw(vocabulary.changed_models)),
    )
    keys = st.sampled_from(
        [*vocabulary.SETTINGS, "key", "offset", "byte_size", "ready", "parameters", "raw_handle", "INPUT0", "id"]
    )
    parameters = st.dictionaries(
        st.sampled_from(vocabulary.PARAMETERS), vocabulary.configs | vocabulary.json_junk, max_size=2
    )
    body = draw(st.just({}) | st.dictionaries(keys, parameters | vocabulary.json_junk, max_size=3))
    return method, path, b"" if method == "GET" and draw(st.booleans()) else json.dumps(body).encode(), []


def _quoted(text: str) -> str:
    return "".join(
        each
        if (each.isascii() and each.isalnum()) or each in "._-/"
        else "".join(f"%{byte:02X}" for byte in each.encode())
        for each in text
    )


@st.composite
def _requests(draw: st.DrawFn) -> tuple[bytes, str]:
    method, path, body, headers = draw(_bodies())
    match draw(st.integers(0, 23)):
        case 0:
            headers.append(("Content-Encoding", "gzip"))
            body = gzip.compress(body, 1)
        case 1:
            headers.append(("Content-Encoding", "deflate"))
            body = zlib.compress(body, 1)
        case 2:
            headers.append(("Content-Encoding", draw(st.sampled_from(["gzip", "deflate", "br", "gzip, gzip", ""]))))
        case 3:
            headers.append(("Content-Encoding", "gzip"))
            body = draw(vocabulary.corrupted(gzip.compress(body, 1)))
        case 4 if draw(st.integers(0, 9)) == 0:
            headers.append(("Content-Encoding", "gzip"))
            body = gzip.compress(_BOMB, 1)
        case 5:
            body = b"[" * draw(st.sampled_from([99, 101, 100_000]))
        case 6:
            body = draw(vocabulary.corrupted(body))
        case _:
            pass
    if draw(st.integers(0, 2)) == 0:
        headers += draw(st.lists(st.sampled_from(_HEADERS), max_size=2))
    if any(name == "Transfer-Encoding" for name, _ in headers) or draw(st.integers(0, 5)) == 0:
        headers.append(("Transfer-Encoding", "chunked"))
        size = draw(st.integers(1, 64))
        pieces = [body[at : at + size] for at in range(0, min(len(body), 40 * size), size)] + [body[40 * size :]]
        body = b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in pieces if each) + b"0\r\n\r\n"
    else:
        headers.append(("Content-Length", str(len(body))))
    lines = [f"{method} {path} HTTP/1.1", "Host: aisle", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body, method


_HEAD: Final = b"POST /v2/models/identity/infer HTTP/1.1\r\nHost: aisle\r\n"


@st.composite
def http_exchanges(draw: st.DrawFn) -> HttpExchange:
    """One request, or a few behind each other; one exchange in eight is no HTTP, or does not end where it says."""
    requests = draw(
        st.lists(_requests(), min_size=1, max_size=3)
        if draw(st.integers(0, 4)) == 0
        else _requests().map(lambda each: [each])
    )
    sent = b"".join(raw for raw, _ in requests)
    methods = tuple(method for _, method in requests)
    match draw(st.integers(0, 15)):
        case 0:
            return HttpExchange(draw(vocabulary.corrupted(sent)), methods, is_framed=False)
        case 1:
            junk = draw(
                st.binary(max_size=80)
                | st.sampled_from([b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01" + bytes(60), b"x" * 40_000])
                | st.sampled_from(["-1", "+5", "5, 5", "5, 6", "9" * 300, "0x5", ""]).map(
                    lambda length: _HEAD + f"Content-Length: {length}\r\n\r\n{{}}".encode()
                )
                | st.sampled_from(
                    [b"zz\r\n", b"-1\r\n", b"ffffffffffffffffff\r\n", b"5;" + b"x" * 20_000 + b"\r\n"]
                ).map(lambda chunk: _HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk)
            )
            return HttpExchange(junk, ("POST",), is_framed=False)
    return HttpExchange(sent, methods, is_framed=True)
