"""`generate` and `generate_stream`, asked as curl asks; answers are those of tritonserver 2.51 to the same models."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import tritonclient.grpc as triton

from tests.support.model_repositories import write_identity_model, write_python_model
from tests.support.server_process import ServerProcess, running_server

# Answers REPEAT times with the text, the number of the response, and the request's parameters; NEGATIVE numbers fail.
REPEATS = """
class TritonPythonModel:
    def execute(self, requests):
        answers = [self.answers(each) for each in requests]
        if not DECOUPLED:
            return [each[0] for each in answers]
        for request, responses in zip(requests, answers):
            sender = request.get_response_sender()
            for response in responses:
                sender.send(response)
                time.sleep(0.05)
            sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)

    def answers(self, request):
        text = pb_utils.get_input_tensor_by_name(request, "TEXT").as_numpy().reshape(-1)[0]
        repeat = pb_utils.get_input_tensor_by_name(request, "REPEAT")
        count = 1 if repeat is None else int(repeat.as_numpy()[0])
        error = pb_utils.TritonError("no such number", pb_utils.TritonError.INVALID_ARG)
        told = np.array([request.parameters().encode()], np.object_)
        return [
            pb_utils.InferenceResponse(
                [
                    pb_utils.Tensor("TEXT", np.array([text], np.object_)),
                    pb_utils.Tensor("COUNT", np.array([index], np.int32)),
                    pb_utils.Tensor("PARAMETERS", told),
                ]
            )
            for index in range(abs(count))
        ] + ([pb_utils.InferenceResponse(error=error)] if count < 0 else [])
"""
TENSORS = """
input { name: "TEXT" data_type: TYPE_STRING dims: 1 } input { name: "REPEAT" data_type: TYPE_INT32 dims: 1 optional: true }
output { name: "TEXT" data_type: TYPE_STRING dims: 1 } output { name: "COUNT" data_type: TYPE_INT32 dims: 1 }
output { name: "PARAMETERS" data_type: TYPE_STRING dims: 1 }
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server of models that write."""
    repository = tmp_path_factory.mktemp("generate")
    write_python_model(repository, "once", REPEATS.replace("DECOUPLED", "False"), TENSORS)
    often = "model_transaction_policy { decoupled: true }"
    write_python_model(repository, "often", REPEATS.replace("DECOUPLED", "True"), TENSORS + often)
    write_identity_model(repository, "rows", [("0", "FP32", (2,))])
    write_identity_model(repository, "any_size", [("0", "FP32", (-1,))], max_batch_size=0)
    write_identity_model(repository, "two_open", [("0", "INT32", (-1, -1))], max_batch_size=0)
    with running_server(repository) as process:
        yield process


def ask(server: ServerProcess, path: str, fields: Any) -> tuple[int, str, str]:
    """Post a JSON object: status, media type, body."""
    host, _, port = server.http.rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=30)
    try:
        connection.request("POST", f"/v2/models/{path}", fields if isinstance(fields, bytes) else json.dumps(fields))
        answer = connection.getresponse()
        return answer.status, answer.getheader("content-type", "").partition(";")[0], answer.read().decode()
    finally:
        connection.close()


def generated(server: ServerProcess, model: str, fields: Any) -> Any:
    """The fields of an answer."""
    status, media_type, body = ask(server, f"{model}/generate", fields)
    assert (status, media_type) == (200, "application/json")
    return json.loads(body)


def streamed(server: ServerProcess, model: str, fields: Any) -> list[Any]:
    """The fields of each event."""
    status, media_type, body = ask(server, f"{model}/generate_stream", fields)
    assert (status, media_type) == (200, "text/event-stream")
    events = body.split("\n\n")
    assert events.pop() == ""
    return [json.loads(event.removeprefix("data: ")) for event in events]


@pytest.mark.parametrize("model", ["once", "often"])
def test_fields_are_inputs_outputs_and_parameters(server: ServerProcess, model: str) -> None:
    """Fields with the names of inputs are tensors, within `parameters` too, all others are parameters; one element comes alone."""
    fields = {"TEXT": "é\n", "id": "7", "x": 1, "parameters": {"REPEAT": [1], "y": "s", "z": True, "w": 0.5}}
    expected = {"TEXT": "é\n", "COUNT": 0, "id": "7", "model_name": model, "model_version": "1"}
    for answer in (generated(server, model, fields), *streamed(server, model, fields)):
        assert json.loads(answer.pop("PARAMETERS")) == {"x": 1, "y": "s", "z": True, "w": 0.5}
        assert answer == expected
    status, _, body = ask(server, f"{model}/versions/1/generate", {"TEXT": ["one"]})
    assert (status, json.loads(body)["TEXT"]) == (200, "one")


def test_a_decoupled_model_answers_as_often_as_it_likes(server: ServerProcess) -> None:
    """An event for each response, none when there is none; `generate` wants one."""
    assert [each["COUNT"] for each in streamed(server, "often", {"TEXT": "x", "REPEAT": 3})] == [0, 1, 2]
    assert streamed(server, "often", {"TEXT": "x", "REPEAT": 0}) == []
    text = "generate expects model to produce exactly 1 response, use generate stream for model that generates various number of responses"
    for count in (0, 3):
        status, _, body = ask(server, "often/generate", {"TEXT": "x", "REPEAT": count})
        assert (status, json.loads(body)) == (400, {"error": f"{text}, got {count}"})


def test_an_error_behind_a_response_is_an_event(server: ServerProcess) -> None:
    """And the last one."""
    *answers, error = streamed(server, "often", {"TEXT": "x", "REPEAT": -2})
    assert [each["COUNT"] for each in answers] == [0, 1]
    assert error == {"error": "no such number"}


def test_the_shape_follows_from_the_number_of_elements(server: ServerProcess) -> None:
    """Rows are counted off flat or nested elements; an output of several elements is a flat list."""
    for data in ([1, 2, 3, 4], [[1, 2], [3, 4]]):
        assert generated(server, "rows", {"INPUT0": data})["OUTPUT0"] == [1, 2, 3, 4]
    assert generated(server, "any_size", {"INPUT0": 1.5})["OUTPUT0"] == 1.5


@pytest.mark.parametrize("verb", ["generate", "generate_stream"])
@pytest.mark.parametrize(
    ("path", "fields", "status", "text"),
    [
        ("nope", {}, 404, "Request for unknown model: 'nope' is not found"),
        ("once/versions/9", {}, 404, "Request for unknown model: 'once' version 9 is not found"),
        (
            "once",
            {},
            400,
            "[request id: <id_unknown>] expected number of inputs between 1 and 2 but got 0 inputs for model 'once'. Got input(s) [],"
            " but missing required input(s) ['TEXT']. Please provide all required input(s).",
        ),
        ("once", {"TEXT": ["a", "b"]}, 400, "The schema can not convert input 'TEXT' to tensor with proper shape, got 2..."),
        ("once", {"TEXT": []}, 400, "The schema can not convert input 'TEXT' to tensor with proper shape, got 0..."),
        ("rows", {"INPUT0": [1, 2, 3]}, 400, "The schema can not convert input 'INPUT0' to tensor with proper shape, got 3..."),
        ("two_open", {"INPUT0": [[1]]}, 400, "The schema can not convert input 'INPUT0' to tensor with proper shape, got 1..."),
        ("once", {"TEXT": 1}, 400, "Unable to parse 'data': an element of input 'TEXT' is a number, which is no BYTES"),
        ("once", {"TEXT": "x", "REPEAT": 1.5}, 400, "Unable to parse 'data': ..."),
        (
            "once",
            {"TEXT": "x", "o": {"a": 1}},
            400,
            "parameter 'o' has invalid type. It should be either 'int', 'bool', or 'string'. Got an object",
        ),
        ("once", {"TEXT": "x", "id": 7}, 400, "Unable to parse 'id': attempt to access JSON non-string as string, got a number"),
        ("once", {"TEXT": "x", "parameters": []}, 400, "Unable to parse 'parameters': ..."),
        ("once", {"TEXT": "x", "triton_x": 1}, 400, "parameter keys starting with 'triton_' are reserved for Triton usage...."),
        ("once", b"{", 400, "failed to parse the request JSON buffer: ..."),
    ],
)  # fmt: skip
def test_wrong_requests_are_refused(
    server: ServerProcess, verb: str, path: str, fields: Any, status: int, text: str
) -> None:
    """With a status, before any event."""
    told, media_type, body = ask(server, f"{path}/{verb}", fields)
    assert (told, media_type) == (status, "application/json")
    error = json.loads(body)["error"]
    assert error.startswith(text[:-3]) if text.endswith("...") else error == text


def test_a_reader_who_leaves_ends_the_stream(server: ServerProcess) -> None:
    """The model's request is given up, long before its forty responses, and the next one is answered."""
    host, _, port = server.http.rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=30)

    def failures() -> int:
        with triton.InferenceServerClient(server.grpc) as client:
            return int(client.get_inference_statistics("often").model_stats[0].inference_stats.fail.count)

    before = failures()
    connection.request("POST", "/v2/models/often/generate_stream", json.dumps({"TEXT": "x" * 1000, "REPEAT": 40}))
    answer = connection.getresponse()
    assert answer.read(6) == b"data: "
    answer.close()
    connection.close()
    left_s = time.monotonic()
    while failures() == before:
        assert time.monotonic() - left_s < 1.5  # forty take two seconds
        time.sleep(0.02)
    assert [each["COUNT"] for each in streamed(server, "often", {"TEXT": "x", "REPEAT": 2})] == [0, 1]
