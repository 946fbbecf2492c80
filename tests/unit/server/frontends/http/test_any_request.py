"""Whatever comes over HTTP is answered, and an INTERNAL error is never the answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aisle_server.frontends.grpc.servicer import InferenceServicer
from aisle_server.frontends.http.routes import inference_app
from aisle_server.options import HttpOptions
from tests.support.asgi import ask
from tests.support.fake_inference_server import FakeInferenceServer

_SERVER = FakeInferenceServer()
_ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5) | st.just("\ud800"),
    lambda each: st.lists(each, max_size=4) | st.dictionaries(st.text(max_size=3), each, max_size=3),
    max_leaves=8,
)


def _or_any(usual: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return usual | usual | usual | _ANY


_PARAMETERS = st.dictionaries(
    st.sampled_from(
        [
            *(
                "binary_data_size",
                "binary_data",
                "binary_data_output",
                "classification",
                "priority",
                "timeout",
                "sequence_id",
            ),
            *("shared_memory_region", "shared_memory_byte_size", "shared_memory_offset", "triton_x", "x"),
        ]
    ),
    _or_any(st.integers(-2, 70)),
    max_size=3,
)
_TENSOR = st.fixed_dictionaries(
    {},
    optional={
        "name": _or_any(st.sampled_from(["INPUT0", "OUTPUT0", "", "x"])),
        "datatype": _or_any(st.sampled_from(["FP32", "BYTES", "BOOL", "FP16", "INT8", "nope"])),
        "shape": _or_any(st.lists(st.integers(-2, 20), max_size=3) | st.just([1, 16])),
        "data": _or_any(st.lists(st.floats(), min_size=16, max_size=16) | st.just([[0.5] * 16])),
        "parameters": _or_any(_PARAMETERS),
    },
)
_REQUEST = st.fixed_dictionaries(
    {"inputs": _or_any(st.lists(_TENSOR, max_size=2))},
    optional={
        "id": _or_any(st.text(max_size=3)),
        "parameters": _or_any(_PARAMETERS),
        "outputs": _or_any(st.lists(_TENSOR, max_size=2)),
    },
)


async def _posted(path: str, body: bytes, headers: dict[str, str]) -> int:
    app = inference_app(_SERVER, InferenceServicer(_SERVER), HttpOptions(max_input_size=10_000))
    return (await ask(app, path, "POST", body, headers)).status


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_or_any(_REQUEST), st.binary(max_size=80), st.booleans())
async def test_any_inference_is_answered_or_refused(fields: Any, binary: bytes, has_binary: bool) -> None:
    """Any JSON, with anything behind it."""
    header = json.dumps(fields).encode()
    headers = {"Inference-Header-Content-Length": str(len(header))} if has_binary else {}
    body = header + binary if has_binary else header
    assert await _posted("/v2/models/identity/infer", body, headers) in (200, 400, 404)


@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=200),
    st.sampled_from(["", "gzip", "deflate", "br"]),
    st.none() | st.integers(-1, 200).map(str) | st.text("0123456789ex+- .", max_size=20),
)
async def test_any_bytes_are_answered_or_refused(body: bytes, coding: str, length: str | None) -> None:
    """No JSON at all, wrong encodings and wrong lengths."""
    headers = {"Content-Encoding": coding} | ({} if length is None else {"Inference-Header-Content-Length": length})
    assert await _posted("/v2/models/identity/infer", body, headers) in (200, 400, 415)


@pytest.mark.parametrize(
    "path",
    [
        "/v2/logging",
        "/v2/trace/setting",
        "/v2/models/identity/trace/setting",
        "/v2/repository/index",
        "/v2/systemsharedmemory/region/r/register",
        "/v2/systemsharedmemory/unregister",
        "/v2/cudasharedmemory/region/r/register",
    ],
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    fields=_or_any(
        st.dictionaries(
            st.sampled_from(
                ["log_info", "log_verbose_level", "trace_level", "trace_rate", "ready", "key", "offset", "byte_size"]
            ),
            _ANY,
        )
    )
)
async def test_any_setting_is_taken_or_refused(path: str, fields: Any) -> None:
    """The other paths that have a body."""
    assert await _posted(path, json.dumps(fields).encode(), {}) in (200, 400, 501)
