"""Words, numbers and bytes that requests are made of: those that mean something to the server, and those that should not."""

from __future__ import annotations

import os
from typing import Any, Final

from hypothesis import strategies as st

from aisle_protocol.datatypes import DATATYPES
from tests.fuzz.served_models import MODELS, VISITOR

SHARED_MEMORY_KEY: Final = f"aisle_fuzz_{os.getpid()}"
SHARED_MEMORY_BYTES: Final = 256
REGIONS: Final = ("region", "other")
_NAMES: Final = sorted(
    {model.name for model in MODELS}
    | {each.name for model in MODELS for each in model.inputs}
    | {name for model in MODELS for name in model.outputs}
)
PARAMETERS: Final = (
    "classification",
    "priority",
    "timeout",
    "sequence_id",
    "sequence_start",
    "sequence_end",
    "shared_memory_region",
    "shared_memory_byte_size",
    "shared_memory_offset",
    "binary_data",
    "binary_data_size",
    "binary_data_output",
    "triton_enable_empty_final_response",
    "triton_reserved",
    "config",
    "file:1/model.py",
    "file:../../escaped",
    "unload_dependents",
)
SETTINGS: Final = (
    *("trace_level", "trace_rate", "trace_count", "log_frequency", "trace_file", "trace_mode"),
    *("log_file", "log_info", "log_warning", "log_error", "log_verbose_level", "log_format"),
)
_VALUES: Final = ("TIMESTAMPS", "TENSORS", "OFF", "ISO8601", "default", "1", "-1", "0", "12", "1.5", "true")
_AWKWARD: Final = (
    *("", " ", "\t", "..", "../etc", "a/../b", "/etc/passwd", "model/", "...", "\x00", "\n", "%s%n", "{0}", "${HOME}"),
    *(";|&$`<>(){}\\\"'*~!", "\u202egnirts", "\U0001f45f", "x" * 300, "9" * 400, "1abc", "-2", "99999999999999999999"),
)
_CONFIGS: Final = (
    "{}",
    '{"backend": "identity", "max_batch_size": 8}',
    '{"backend": "identity", "max_batch_size": -1}',
    '{"backend": "python"}',
    '{"backend": "nope"}',
    '{"platform": "ensemble", "ensemble_scheduling": {"step": [{"model_name": "visitor"}]}}',
    '{"backend": "identity", "input": [{"name": "INPUT0", "data_type": "TYPE_FP32", "dims": [4]}],'
    ' "output": [{"name": "OUTPUT0", "data_type": "TYPE_FP32", "dims": ["4"]}], "max_batch_size": 8}',
    '{"instance_group": [{"count": 1000000000}]}',
    "[" * 2000,
)

texts: st.SearchStrategy[str] = st.one_of(
    st.sampled_from(_NAMES),
    st.sampled_from([*PARAMETERS, *SETTINGS, *_VALUES, *REGIONS, SHARED_MEMORY_KEY, *sorted(DATATYPES)]),
    st.sampled_from(_AWKWARD),
    st.text(st.characters(codec="utf-8"), max_size=8),
)
configs: st.SearchStrategy[str] = st.sampled_from(_CONFIGS) | texts
# Loads and unloads of any other model would leave nothing to ask.
changed_models: st.SearchStrategy[str] = st.sampled_from([VISITOR, VISITOR, "nobody", "chain", *_AWKWARD])
_EDGES: Final = (
    0,
    1,
    -1,
    2,
    4,
    8,
    9,
    16,
    127,
    128,
    255,
    256,
    2**15,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**62,
    2**63 - 1,
    -(2**63),
    2**64 - 1,
)


def numbers(least: int, most: int) -> st.SearchStrategy[int]:
    """Numbers of a range: mostly small, or where one bit decides."""
    return st.sampled_from([each for each in _EDGES if least <= each <= most]) | st.integers(
        max(least, -4), min(most, 20)
    )


int64s = numbers(-(2**63), 2**63 - 1)
shapes: st.SearchStrategy[list[int]] = st.lists(st.integers(0, 5) | int64s, max_size=5)
blobs: st.SearchStrategy[bytes] = st.one_of(
    st.binary(max_size=40),
    st.integers(0, 70).map(bytes),
    st.sampled_from([b"\x01\x00\x00\x00a", b"\xff\xff\xff\xff", b"\x04\x00\x00\x00abc", b"\x00\x00\xc0\x7f" * 4]),
)
json_junk: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([*_EDGES, 2**70, 1.5, -0.0, 1e308, float("nan"), float("inf"), "\ud800"]),
    texts,
    shapes,
    st.just([[[[[1.0]]]]]),
    st.just([[]] * 50),
    st.dictionaries(texts, int64s, max_size=3),
)


@st.composite
def corrupted(draw: st.DrawFn, raw: bytes) -> bytes:
    """Some bytes, changed in a few places: overwritten, put in, cut out or cut off."""
    data = bytearray(raw)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        match draw(st.integers(0, 3)):
            case 0:
                data[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
            case 1:
                data[at:at] = draw(st.binary(min_size=1, max_size=8))
            case 2:
                del data[at : at + draw(st.integers(1, 12))]
            case _:
                del data[at:]
    return bytes(data)
