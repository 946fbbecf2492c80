"""Settings of the log and of the tracer, and what is traced."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aisle_protocol.generated import grpc_service_pb2 as pb
from aisle_server.errors import InvalidArgumentError, UnsupportedError
from aisle_server.frontends.grpc.servicer import InferenceServicer
from aisle_server.frontends.log_settings import LogSettings, LogValues
from aisle_server.frontends.tracing import Tracer, parse_trace_config
from aisle_server.inference import ComputeTimes, InferenceRequest, InferenceResponse
from aisle_server.options import TraceValues
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


def _traced(tracer: Tracer, requests: int, model: str = "m") -> int:
    return sum(tracer.takes(model) for _ in range(requests))


def test_one_in_so_many_is_traced_and_no_more_than_were_asked() -> None:
    """`trace_rate` and `trace_count` choose."""
    assert _traced(Tracer(), 2000) == 0
    assert _traced(Tracer(TraceValues("TIMESTAMPS", rate=10)), 100) == 10
    assert _traced(Tracer(TraceValues("TIMESTAMPS", rate=2, count=3)), 100) == 3


def test_a_model_has_settings_of_its_own() -> None:
    """They stand over those of all, until an empty value clears them."""
    tracer = Tracer()
    tracer.update("m", {"trace_level": ["TIMESTAMPS"], "trace_rate": ["1"]})
    assert (_traced(tracer, 5), _traced(tracer, 5, "other")) == (5, 0)
    tracer.update("", {"trace_rate": ["3"], "log_frequency": ["9"]})
    assert (tracer.values("m").rate, tracer.values("m").log_frequency, tracer.values("other").rate) == (1, 9, 3)
    tracer.update("m", {"trace_level": [], "trace_rate": []})
    assert tracer.values("m") == tracer.values()
    tracer.update("", {"trace_rate": [], "log_frequency": []})
    assert tracer.values() == TraceValues()


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"trace_file": ["x"]}, UnsupportedError),
        ({"trace_level": ["OFF", "TIMESTAMPS"]}, InvalidArgumentError),
        ({"trace_level": ["TENSORS"]}, InvalidArgumentError),
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


def test_traces_are_tritons_json(tmp_path: Path) -> None:
    """First who was asked, then each time stamp, in order; a file of its own after every `log_frequency` traces."""
    file = tmp_path / "trace.json"
    tracer = Tracer(TraceValues("TIMESTAMPS", rate=1, log_frequency=2, file=str(file)))
    response = InferenceResponse("m", 3).timed(ComputeTimes(1, 10, 100), (1_000, 2_000))
    for _ in range(3):
        tracer.record(InferenceRequest("m", {}, id="7"), response, 500)
    tracer.close()
    first, last = (json.loads((tmp_path / f"trace.json.{index}").read_text()) for index in (0, 1))
    assert first[0] == {"id": 1, "model_name": "m", "model_version": 3, "request_id": "7"}
    stamps = [(each["timestamps"][0]["name"], each["timestamps"][0]["ns"]) for each in first[1:9]]
    assert stamps[:6] == [
        ("REQUEST_START", 500),
        ("QUEUE_START", 1_000),
        ("COMPUTE_START", 2_000),
        ("COMPUTE_INPUT_END", 2_001),
        ("COMPUTE_OUTPUT_START", 2_011),
        ("COMPUTE_END", 2_111),
    ]
    assert [name for name, _ in stamps[6:]] == ["INFER_RESPONSE_COMPLETE", "REQUEST_END"]
    assert [event["id"] for event in last if "model_name" in event] == [3]


def test_trace_flags_are_read() -> None:
    """With tritonserver's names, and its prefix where one writes it; what traces nowhere is refused."""
    texts = ["level=TIMESTAMPS", "triton,file=/x", "rate=5", "count=9", "log-frequency=2", "mode=triton"]
    assert parse_trace_config(texts) == TraceValues("TIMESTAMPS", 5, 9, 2, "/x")
    for wrong in ("level=TIMESTAMPS", "rate=0", "nope=1", "mode=opentelemetry", "file="):
        with pytest.raises(ValueError, match="--trace-config"):
            parse_trace_config([wrong])
