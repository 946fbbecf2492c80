"""Traces of requests by both doors, as a tritonserver was seen to write them into its file and to send them to a collector."""

from __future__ import annotations

import json
import queue
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
import tritonclient.http as triton_http

from tests.support.model_repositories import write_identity_model, write_python_model
from tests.support.server_process import ServerProcess, running_server
from tests.support.trace_collector import attributes_of, trace_collector
from tests.support.triton_requests import infer_input, refused

ROW = np.arange(4, dtype=np.float32).reshape(1, 4)
MODEL_EVENTS = ["REQUEST_START", "QUEUE_START", "REQUEST_END"]
COMPUTE_EVENTS = ["COMPUTE_START", "COMPUTE_INPUT_END", "COMPUTE_OUTPUT_START", "COMPUTE_END"]
EXECUTED = sorted([*MODEL_EVENTS, *COMPUTE_EVENTS])
GRPC_EVENTS = [
    "GRPC_WAITREAD_START",
    "GRPC_WAITREAD_END",
    "INFER_RESPONSE_COMPLETE",
    "GRPC_SEND_START",
    "GRPC_SEND_END",
]
HTTP_EVENTS = ["HTTP_RECV_START", "HTTP_RECV_END", "INFER_RESPONSE_COMPLETE", "HTTP_SEND_START", "HTTP_SEND_END"]
TRACE_ID, SPAN_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = {"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01"}
TENSORS = """
    input { name: "INPUT0" data_type: TYPE_FP32 dims: [4] }
    output { name: "OUTPUT0" data_type: TYPE_FP32 dims: [4] }
"""
FAILS = """
class TritonPythonModel:
    def execute(self, requests):
        return [pb_utils.InferenceResponse(error=pb_utils.TritonError("no")) for _ in requests]
"""
REPEAT = """
class TritonPythonModel:
    def execute(self, requests):
        for request in requests:
            sender, given = request.get_response_sender(), pb_utils.get_input_tensor_by_name(request, "INPUT0")
            for _ in range(3):
                sender.send(pb_utils.InferenceResponse([pb_utils.Tensor("OUTPUT0", given.as_numpy())]))
            sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A model, one that fails, a decoupled one, and ensembles of the first two."""
    folder = tmp_path / "models"
    write_identity_model(folder, "identity", [("0", "FP32", (4,))])
    write_python_model(folder, "fails", FAILS, "max_batch_size: 8" + TENSORS)
    write_python_model(
        folder, "repeat", REPEAT, "max_batch_size: 0 model_transaction_policy { decoupled: true }" + TENSORS
    )
    for name, second in (("chain", "identity"), ("broken_chain", "fails")):
        steps = "".join(
            f'step {{ model_name: "{model}" model_version: -1'
            f' input_map {{ key: "INPUT0" value: "{source}" }} output_map {{ key: "OUTPUT0" value: "{target}" }} }}'
            for model, source, target in (("identity", "INPUT0", "between"), (second, "between", "OUTPUT0"))
        )
        (folder / name / "1").mkdir(parents=True)
        config = f'platform: "ensemble" max_batch_size: 8 {TENSORS} ensemble_scheduling {{ {steps} }}'
        (folder / name / "config.pbtxt").write_text(config)
    return folder


def _ask(server: ServerProcess) -> None:
    """Ask each model once, by every way there is; the number of the request says which."""
    web = triton_http.InferenceServerClient(server.http)
    with triton.InferenceServerClient(server.grpc) as client:
        given = [infer_input("INPUT0", ROW)]
        client.infer("identity", given, request_id="1", headers=PARENT)
        web_given = triton_http.InferInput("INPUT0", [1, 4], "FP32")
        web_given.set_data_from_numpy(ROW)
        web.infer("identity", [web_given], request_id="2", headers=dict(PARENT))  # it adds to them
        client.infer("chain", given, request_id="3")
        with refused(grpc.StatusCode.INTERNAL, "no"):
            client.infer("fails", given, request_id="4")
        with refused(grpc.StatusCode.INTERNAL, "in ensemble 'broken_chain', no"):
            client.infer("broken_chain", given, request_id="5")
        with refused(grpc.StatusCode.INVALID_ARGUMENT, "[request id: 6] unexpected shape..."):
            client.infer("identity", [infer_input("INPUT0", ROW[0])], request_id="6")
        answers: queue.Queue[Any] = queue.Queue()
        client.start_stream(lambda result, error: answers.put(error))
        client.async_stream_infer(
            "repeat", [infer_input("INPUT0", ROW[0])], request_id="7", enable_empty_final_response=True
        )
        assert [answers.get(timeout=10) for _ in range(4)] == [None] * 4
        client.async_stream_infer("identity", given, request_id="8")
        assert answers.get(timeout=10) is None
        client.stop_stream()
    web.close()


def _stamps(events: Sequence[dict[str, Any]], number: int) -> list[tuple[int, str]]:
    return [
        (each["ns"], each["name"]) for event in events if event["id"] == number for each in event.get("timestamps", ())
    ]


def test_the_file_has_what_models_and_doors_did(repository: Path, tmp_path: Path) -> None:
    """Steps name the trace of their ensemble; failures, streams and decoupled requests are there; a refused request is not."""
    file = tmp_path / "trace.json"
    flags = [f"triton,file={file}", "level=TIMESTAMPS", "level=TENSORS", "rate=1"]
    with running_server(repository, *(f"--trace-config={each}" for each in flags)) as server:
        _ask(server)
        server.stop()
    events = json.loads(file.read_text())
    heads = [event for event in events if "model_name" in event]
    by_request = {head["request_id"]: head["id"] for head in heads if "parent_id" not in head}
    assert sorted(by_request) == ["1", "2", "3", "4", "5", "7", "8"]
    steps = {(head["model_name"], head["parent_id"]): head["id"] for head in heads if "parent_id" in head}
    assert set(steps) == {
        ("identity", by_request["3"]),
        ("identity", by_request["5"]),
        ("fails", by_request["5"]),
    }
    assert len([head for head in heads if head.get("parent_id") == by_request["3"]]) == 2
    names = {
        number: [name for _, name in _stamps(events, number)] for number in (*by_request.values(), *steps.values())
    }
    for request in ("1", "4", "8"):
        assert sorted(names[by_request[request]]) == sorted([*EXECUTED, *GRPC_EVENTS])
    assert sorted(names[by_request["2"]]) == sorted([*EXECUTED, *HTTP_EVENTS])
    for request in ("3", "5"):
        assert sorted(names[by_request[request]]) == sorted([*MODEL_EVENTS, *GRPC_EVENTS])
    for step in steps.values():
        assert sorted(names[step]) == EXECUTED
    assert names[by_request["7"]].count("GRPC_SEND_END") == 4
    assert sorted(set(names[by_request["7"]])) == sorted([*EXECUTED, *GRPC_EVENTS])
    order = [
        "GRPC_WAITREAD_START",
        "GRPC_WAITREAD_END",
        *MODEL_EVENTS[:2],
        *COMPUTE_EVENTS,
        "REQUEST_END",
        "GRPC_SEND_END",
    ]
    of_one = [name for _, name in sorted(_stamps(events, by_request["1"]), key=lambda stamp: stamp[0])]
    assert [name for name in of_one if name in order] == order
    tensors = [
        (event["activity"], event["tensor"]) for event in events if event["id"] == by_request["1"] and "tensor" in event
    ]
    described = {"data": "0,1,2,3", "shape": "1,4", "dtype": "FP32"}
    assert tensors == [
        ("TENSOR_QUEUE_INPUT", {"name": "INPUT0", **described}),
        ("TENSOR_BACKEND_OUTPUT", {"name": "OUTPUT0", **described}),
    ]


def test_spans_go_to_a_collector(repository: Path) -> None:
    """A request, its model and its computation are spans within each other, those of an ensemble's steps within the ensemble's."""
    with trace_collector() as collector:
        flags = [
            *("mode=opentelemetry", "level=TIMESTAMPS", "rate=1", f"opentelemetry,url={collector.url}"),
            *("opentelemetry,resource=service.name=shop", "opentelemetry,bsp_schedule_delay=100"),
        ]
        with running_server(repository, *(f"--trace-config={each}" for each in flags)) as server:
            with triton.InferenceServerClient(server.grpc) as client:
                settings = client.get_trace_settings(as_json=True)["settings"]
            assert settings["trace_mode"] == {"value": ["opentelemetry"]}
            assert settings["resource"] == {"value": ["service.name=shop"]}
            _ask(server)
            server.stop()
        assert collector.resource["service.name"] == "shop"
        requests: dict[Any, Any] = {}
        for span in collector.spans:
            assert span.kind == span.SPAN_KIND_SERVER
            if span.name == "InferRequest":
                (model,) = collector.within(span)
                requests[attributes_of(model)["triton.request_id"]] = span, model
        assert sorted(requests) == ["1", "2", "3", "4", "5", "7", "8"]
        first, model = requests["1"]
        assert (first.trace_id.hex(), first.parent_span_id.hex()) == (TRACE_ID, SPAN_ID)
        assert sorted(event.name for event in first.events) == sorted(GRPC_EVENTS)
        assert sorted(event.name for event in requests["2"][0].events) == sorted(HTTP_EVENTS)
        assert requests["2"][0].trace_id.hex() == TRACE_ID
        assert not requests["3"][0].parent_span_id
        assert model.name == "identity"
        assert attributes_of(model) == {
            "triton.model_name": "identity",
            "triton.model_version": 1,
            "triton.trace_id": 1,
            "triton.trace_parent_id": 0,
            "triton.request_id": "1",
        }
        assert sorted(event.name for event in model.events) == sorted(MODEL_EVENTS)
        (compute,) = collector.within(model)
        assert (compute.name, [event.name for event in compute.events]) == ("compute", COMPUTE_EVENTS)
        assert model.start_time_unix_nano <= compute.start_time_unix_nano <= compute.end_time_unix_nano
        ensemble = requests["3"][1]
        steps = collector.within(ensemble)
        assert [step.name for step in steps] == ["identity", "identity"]
        number = attributes_of(ensemble)["triton.trace_id"]
        assert [attributes_of(step)["triton.trace_parent_id"] for step in steps] == [number, number]
        assert [step.name for step in collector.within(requests["5"][1])] == ["identity", "fails"]
        assert [event.name for event in requests["7"][0].events].count("GRPC_SEND_END") == 4


def test_a_caller_who_traces_is_traced_whatever_the_rate(repository: Path) -> None:
    """One who does not goes by the rate; a header that is no parent is passed over; a collector that is away delays nobody."""
    flags = ["mode=opentelemetry", "level=TIMESTAMPS", "rate=1000"]
    with trace_collector() as collector:
        with running_server(
            repository, *(f"--trace-config={each}" for each in (*flags, f"opentelemetry,url={collector.url}"))
        ) as server:
            with triton.InferenceServerClient(server.grpc) as client:
                for headers in (
                    None,
                    PARENT,
                    {"traceparent": "00-nonsense-01"},
                    {"traceparent": PARENT["traceparent"][:-1] + "0"},
                ):
                    client.infer("identity", [infer_input("INPUT0", ROW)], headers=headers)
            server.stop()
        assert [span.trace_id.hex() for span in collector.spans] == [TRACE_ID] * 3
    with running_server(
        repository, *(f"--trace-config={each}" for each in (*flags, f"opentelemetry,url={collector.url}"))
    ) as server:
        with triton.InferenceServerClient(server.grpc) as client:
            client.infer("identity", [infer_input("INPUT0", ROW)], headers=PARENT, client_timeout=5)
        assert server.stop() == 0
