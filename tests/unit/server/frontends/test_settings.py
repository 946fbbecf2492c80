"""Settings of the log and of the tracer, and what is traced."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aisle_protocol.generated import grpc_service_pb2 as pb
from aisle_server.errors import InvalidArgumentError, UnsupportedError
from aisle_server.frontends.grpc.call import Call
from aisle_server.frontends.grpc.servicer import InferenceServicer
from aisle_server.frontends.log_settings import LogSettings, LogValues
from aisle_server.frontends.trace_file import TraceFile
from aisle_server.frontends.trace_settings import parse_trace_config
from aisle_server.frontends.trace_spans import check_installed
from aisle_server.frontends.tracing import TracedRequest, TraceParent, Tracer
from aisle_server.inference import ComputeTimes, InferenceRequest, InferenceResponse, Tensor
from aisle_server.options import SpanExport, TraceValues
from tests.support.fake_call import FakeCall
from tests.support.fake_inference_server import FakeInferenceServer


def test_log_settings_are_changed_as_one() -> None:
    """What is named changes, what is unknown is passed over, and a wrong value leaves all as it was."""
    applied: list[LogValues] = []
    settings = LogSettings(apply=applied.append)
    settings.update({"log_verbose_level": 2, "log_info": False, "no_such": 1})
    assert applied == [LogValues(log_info=False, log_verbose_level=2)]
    with pytest.raises(InvalidArgumentError):
        settings.update({"log_info": True, "log_format": "XML"})
    assert applied == [LogValues(log_info=False, log_verbose_level=2)]


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("log_file", "x", UnsupportedError),
        ("log_info", 1, InvalidArgumentError),
        ("log_verbose_level", True, InvalidArgumentError),
        ("log_verbose_level", -1, InvalidArgumentError),
        ("log_format", "xml", InvalidArgumentError),
    ],
)
def test_wrong_log_settings_are_refused(name: str, value: Any, error: Any) -> None:
    """A value of another kind, or one that there is not; and the log's place is not for callers to choose."""
    with pytest.raises(error):
        LogSettings().update({name: value})


async def test_all_six_log_settings_are_told() -> None:
    """Each in the field of its kind."""
    response = await InferenceServicer(FakeInferenceServer()).log_settings(pb.LogSettingsRequest(), FakeCall())
    assert {name: each.WhichOneof("parameter_choice") for name, each in response.settings.items()} == {
        "log_file": "string_param",
        "log_info": "bool_param",
        "log_warning": "bool_param",
        "log_error": "bool_param",
        "log_verbose_level": "uint32_param",
        "log_format": "string_param",
    }


class _Sink:
    """Keeps traces; its callers are sampled when the test says so."""

    def __init__(self, *, is_sampled: bool = False) -> None:
        self.parent = TraceParent("", is_sampled)
        self.written: list[TracedRequest] = []

    def parent_of(self, call: Call) -> TraceParent:
        return self.parent

    def write(self, traced: TracedRequest, log_frequency: int) -> None:
        self.written.append(traced)

    def close(self) -> None:
        pass


def _begin(tracer: Tracer, model: str = "m") -> TracedRequest | None:
    return tracer.begin(model, FakeCall(), (1, 2))


def _traced(tracer: Tracer, requests: int, model: str = "m") -> int:
    return sum(_begin(tracer, model) is not None for _ in range(requests))


def test_one_in_so_many_is_traced_and_no_more_than_were_asked() -> None:
    """`trace_rate` and `trace_count` choose; a request whose caller traces it is traced whatever the rate, but not the count."""
    assert _traced(Tracer(TraceValues(), _Sink()), 2000) == 0
    assert _traced(Tracer(TraceValues(("TIMESTAMPS",), rate=10), _Sink()), 100) == 10
    assert _traced(Tracer(TraceValues(("TIMESTAMPS",), rate=2, count=3), _Sink()), 100) == 3
    assert _traced(Tracer(TraceValues(("TIMESTAMPS",), rate=10, count=30), _Sink(is_sampled=True)), 100) == 30
    assert _traced(Tracer(TraceValues(("TIMESTAMPS",), rate=1)), 10) == 0  # nowhere to go


def test_a_model_has_settings_of_its_own() -> None:
    """They stand over those of all, until an empty value clears them."""
    tracer = Tracer(sink=_Sink())
    tracer.update("m", {"trace_level": ["TIMESTAMPS"], "trace_rate": ["1"]})
    assert (_traced(tracer, 5), _traced(tracer, 5, "other")) == (5, 0)
    tracer.update("", {"trace_rate": ["3"], "log_frequency": ["9"]})
    assert (tracer.values("m").rate, tracer.values("m").log_frequency, tracer.values("other").rate) == (1, 9, 3)
    tracer.update("m", {"trace_level": [], "trace_rate": []})
    assert tracer.values("m") == tracer.values()
    tracer.update("", {"trace_rate": [], "log_frequency": []})
    assert tracer.values() == TraceValues()


def test_a_trace_is_written_when_model_and_door_are_done_with_it() -> None:
    """Whichever is last; one that no model got is not written."""
    sink = _Sink()
    tracer = Tracer(TraceValues(("TIMESTAMPS",), rate=1), sink)
    for model_first in (True, False):
        traced = _begin(tracer)
        assert traced is not None
        traced.trace.begin(InferenceRequest("m", {}), 1)
        for end in (traced.trace.let_go, traced.close) if model_first else (traced.close, traced.trace.let_go):
            assert traced not in sink.written
            end()
        assert traced in sink.written
    refused = _begin(tracer)
    assert refused is not None
    refused.close()
    assert len(sink.written) == 2


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"trace_file": ["x"]}, UnsupportedError),
        ({"trace_level": ["OFF", "TENSORS"]}, InvalidArgumentError),
        ({"trace_level": ["X"]}, InvalidArgumentError),
        ({"trace_rate": ["0"]}, InvalidArgumentError),
        ({"trace_rate": ["1", "2"]}, InvalidArgumentError),
        ({"trace_count": ["-2"]}, InvalidArgumentError),
        ({"trace_count": ["9" * 5000]}, InvalidArgumentError),
        ({"log_frequency": ["x"]}, InvalidArgumentError),
    ],
)
def test_wrong_trace_settings_are_refused(changes: dict[str, list[str]], error: Any) -> None:
    """And nothing changes."""
    tracer = Tracer()
    with pytest.raises(error):
        tracer.update("", {"trace_level": ["TIMESTAMPS"], **changes})
    assert tracer.values() == TraceValues()


def test_what_is_no_setting_is_passed_over() -> None:
    """Unknown names, and the mode, which only the process chooses."""
    tracer = Tracer()
    tracer.update("", {"trace_mode": ["opentelemetry"], "nope": ["x"], "trace_rate": ["3"]})
    assert tracer.values() == replace(TraceValues(), rate=3)


async def test_an_unknown_model_has_no_trace_settings() -> None:
    """The text is Triton's."""
    servicer = InferenceServicer(FakeInferenceServer())
    with pytest.raises(InvalidArgumentError, match="^Request for unknown model : does-not-exist$"):
        await servicer.trace_setting(pb.TraceSettingRequest(model_name="does-not-exist"), FakeCall())


@pytest.mark.parametrize("changes", [{"trace_level": ["TENSORS"]}, {"log_frequency": ["3"]}])
def test_settings_of_files_are_refused_where_traces_are_spans(changes: dict[str, list[str]]) -> None:
    """What would have no effect."""
    with pytest.raises(InvalidArgumentError, match="is of mode triton, and the mode is opentelemetry"):
        Tracer(TraceValues(mode="opentelemetry")).update("", changes)


def _answered(tracer: Tracer, request: InferenceRequest, response: InferenceResponse) -> None:
    """A request that a model with two steps answered, and whose answer was sent."""
    traced = _begin(tracer)
    assert traced is not None
    traced.trace.begin(request, 3)
    step = traced.trace.child()
    step.begin(request.changed(model_name="step"), 1)
    traced.trace.child()  # is refused
    step.add_execution(2_000, 2_111, ComputeTimes(1, 10, 100))
    step.let_go()
    traced.trace.add_response(response)
    traced.trace.let_go()
    traced.send()
    traced.sent()
    traced.close()


def test_traces_are_tritons_json(tmp_path: Path) -> None:
    """Steps first, each with its model, its times and the trace that it is part of; a file after every `log_frequency` traces."""
    file = tmp_path / "trace.json"
    tracer = Tracer(TraceValues(("TIMESTAMPS",), rate=1, log_frequency=2, file=str(file)), TraceFile(str(file)))
    for _ in range(3):
        _answered(tracer, InferenceRequest("m", {}, id="7"), InferenceResponse("m", 3))
    tracer.close()
    first, last = (json.loads((tmp_path / f"trace.json.{index}").read_text()) for index in (0, 1))
    heads = [event for event in first if "model_name" in event]
    assert heads[:2] == [
        {"id": 2, "model_name": "step", "model_version": 1, "request_id": "7", "parent_id": 1},
        {"id": 1, "model_name": "m", "model_version": 3, "request_id": "7"},
    ]
    stamps = [(each["id"], each["timestamps"][0]["name"]) for each in first if "timestamps" in each]
    of_step = [
        "COMPUTE_START",
        "COMPUTE_INPUT_END",
        "COMPUTE_OUTPUT_START",
        "COMPUTE_END",
        "REQUEST_START",
        "REQUEST_END",
    ]
    of_door = [
        "GRPC_WAITREAD_START",
        "GRPC_WAITREAD_END",
        "INFER_RESPONSE_COMPLETE",
        "GRPC_SEND_START",
        "GRPC_SEND_END",
    ]
    assert stamps[: len(of_step)] == [(2, name) for name in of_step]
    assert stamps[6:13] == [(1, name) for name in ("REQUEST_START", "REQUEST_END", *of_door)]
    assert [each["timestamps"][0]["ns"] for each in first if "timestamps" in each][:4] == [2_000, 2_001, 2_011, 2_111]
    assert [event["id"] for event in last if "model_name" in event] == [8, 7]


@pytest.mark.parametrize(
    ("datatype", "array", "text"),
    [
        ("FP32", np.array([[1 / 3, np.nan]], np.float32), "0.333333,nan"),
        ("BOOL", np.array([True, False]), "1,0"),
        ("INT8", np.array([-1, 5], np.int8), "-1,5"),
        ("BF16", np.array([0x3F80], np.uint16), "1"),
        ("BYTES", np.array([b'a"b', b"\xff", b"x" * 2000], object), '"a"b","\\xff","' + "x" * 1024 + '..."'),
        ("UINT8", np.zeros(2000, np.uint8), ",".join(["0"] * 1024) + ",..."),
    ],
)
def test_tensors_are_told_as_text_within_bounds(tmp_path: Path, datatype: str, array: Any, text: str) -> None:
    """Inputs as the model gets them, outputs as it gives them, no more than so many elements of each; times are not asked for."""
    file = tmp_path / "trace.json"
    tracer = Tracer(TraceValues(("TENSORS",), rate=1, file=str(file)), TraceFile(str(file)))
    tensor = Tensor("T", datatype, array)
    _answered(tracer, InferenceRequest("m", {"T": tensor}), InferenceResponse("m", 3, outputs=(tensor,)))
    tracer.close()
    events = json.loads(file.read_text())
    assert not any("timestamps" in event for event in events)
    described = {"name": "T", "data": text, "shape": ",".join(map(str, array.shape)), "dtype": datatype}
    assert [event for event in events if event["id"] == 1][1:] == [
        {"id": 1, "activity": "TENSOR_QUEUE_INPUT", "tensor": described},
        {"id": 1, "activity": "TENSOR_BACKEND_OUTPUT", "tensor": described},
    ]


def test_trace_flags_are_read() -> None:
    """With tritonserver's names, and its prefix where one writes it."""
    texts = [
        "level=TENSORS",
        "level=TIMESTAMPS",
        "triton,file=/x",
        "rate=5",
        "count=9",
        "log-frequency=2",
        "mode=triton",
    ]
    assert parse_trace_config(texts) == TraceValues(("TIMESTAMPS", "TENSORS"), 5, 9, "triton", 2, "/x")
    url = "http://collector:4318/v1/traces"
    spans = ["url=" + url, "resource=service.name=shop", "resource=a=b=c", "bsp_schedule_delay=10"]
    values = parse_trace_config(["mode=opentelemetry", *(f"opentelemetry,{each}" for each in spans)])
    resource = (("service.name", "shop"), ("a", "b=c"))
    assert values == TraceValues(mode="opentelemetry", spans=SpanExport(url, resource=resource, bsp_schedule_delay=10))


@pytest.mark.parametrize(
    "texts",
    [
        ["level=TIMESTAMPS"],
        ["level=OFF", "level=TIMESTAMPS"],
        ["rate=0"],
        ["nope=1"],
        ["mode=zipkin"],
        ["file="],
        ["opentelemetry,url=http://x"],
        ["mode=opentelemetry", "file=/x"],
        ["mode=opentelemetry", "level=TENSORS"],
        ["mode=opentelemetry", "opentelemetry,url=collector:4318"],
        ["mode=opentelemetry", "opentelemetry,resource=x"],
        ["mode=opentelemetry", "opentelemetry,bsp_max_queue_size=0"],
    ],
)
def test_wrong_trace_flags_are_refused(texts: list[str]) -> None:
    """What traces nowhere, and what contradicts the mode, too."""
    with pytest.raises(ValueError, match="--trace-config"):
        parse_trace_config(texts)


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """And what to install for them."""
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace.export", None)
    with pytest.raises(ValueError, match=r"pip install 'aisle\[telemetry\]'"):
        check_installed()
