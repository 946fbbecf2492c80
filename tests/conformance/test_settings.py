"""Log and trace settings, by NVIDIA's clients over both doors."""

from __future__ import annotations

import json
from pathlib import Path

import grpc
import pytest
import tritonclient.grpc as triton
import tritonclient.http as triton_http
from tritonclient.utils import InferenceServerException

from tests.support.model_repositories import write_identity_model
from tests.support.server_process import running_server
from tests.support.triton_requests import ROW, refused, row_input


def test_b33_log_settings_change_the_log(tmp_path: Path) -> None:
    """What is switched off is not told, over either door; the log's place cannot be moved."""
    write_identity_model(tmp_path, "identity")
    with running_server(tmp_path) as server, triton.InferenceServerClient(server.grpc) as client:
        web = triton_http.InferenceServerClient(server.http)
        assert set(web.get_log_settings()) == set(client.get_log_settings().settings)
        assert web.update_log_settings({"log_verbose_level": 1})["log_verbose_level"] == 1
        with pytest.raises(InferenceServerException):
            client.infer("nope", row_input())
        server.wait_for_line("Request for unknown model: 'nope' is not found")
        client.update_log_settings({"log_info": False, "log_format": "ISO8601"})
        assert web.get_log_settings()["log_info"] is False
        with refused(grpc.StatusCode.UNIMPLEMENTED, "log file location can not be updated through network protocol"):
            client.update_log_settings({"log_file": "/tmp/x"})
        web.close()
        server.stop()
        assert not any("SIGTERM: stopping" in line for line in server.log)


def test_b14_traces_are_written_when_asked(tmp_path: Path) -> None:
    """A caller switches tracing on for one model, and the file has its requests when the server has stopped."""
    repository = tmp_path / "models"
    write_identity_model(repository, "identity")
    write_identity_model(repository, "other")
    file = tmp_path / "trace.json"
    with (
        running_server(repository, f"--trace-config=file={file}") as server,
        triton.InferenceServerClient(server.grpc) as client,
    ):
        web = triton_http.InferenceServerClient(server.http)
        assert client.get_trace_settings(as_json=True)["settings"]["trace_level"] == {"value": ["OFF"]}
        told = web.update_trace_settings("identity", {"trace_level": ["TIMESTAMPS"], "trace_rate": "1"})
        assert (told["trace_level"], told["trace_rate"]) == (["TIMESTAMPS"], "1")
        client.infer("other", row_input())
        client.infer("identity", row_input(), request_id="7")
        given = triton_http.InferInput("INPUT0", [1, 16], "FP32")
        given.set_data_from_numpy(ROW)
        web.infer("identity", [given], request_id="8")
        client.update_trace_settings("identity", {"trace_level": []})
        client.infer("identity", row_input(), request_id="9")
        with refused(grpc.StatusCode.INVALID_ARGUMENT, "Request for unknown model : does-not-exist"):
            client.get_trace_settings("does-not-exist")
        web.close()
        server.stop()
    events = json.loads(file.read_text())
    assert [each["request_id"] for each in events if "request_id" in each] == ["7", "8"]
    names = [stamp["name"] for each in events if each["id"] == 1 for stamp in each.get("timestamps", ())]
    assert names[:3] == ["REQUEST_START", "QUEUE_START", "COMPUTE_START"]
    times = [stamp["ns"] for each in events if each["id"] == 1 for stamp in each.get("timestamps", ())]
    assert times[:7] == sorted(times[:7])
