"""Loading and unloading models with NVIDIA's client: every control mode, every text.

Numbers are those of `tests/support/triton_books.py`.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import numpy as np
import onnx
import pytest
import tritonclient.grpc as triton
import tritonclient.http as triton_http
from onnx import TensorProto, helper
from tritonclient.grpc import service_pb2 as pb
from tritonclient.utils import InferenceServerException

from tests.support.model_directories import chain, write_model
from tests.support.model_repositories import write_identity_model
from tests.support.server_process import ServerProcess, running_server
from tests.support.triton_requests import ROW, refused, row_input

INVALID, INTERNAL = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.INTERNAL
UNAVAILABLE, UNIMPLEMENTED = grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNIMPLEMENTED
NOT_FOUND = grpc.StatusCode.NOT_FOUND
NOT_ALLOWED = "explicit model load / unload is not allowed if polling is enabled"
PYTHON_MODEL = """
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    @staticmethod
    def auto_complete_config(config):
        config.set_max_batch_size(4)
        config.add_input({"name": "X", "data_type": "TYPE_INT32", "dims": [2]})
        config.add_output({"name": "Y", "data_type": "TYPE_INT32", "dims": [2]})
        return config

    def execute(self, requests):
        return [
            pb_utils.InferenceResponse([pb_utils.Tensor("Y", pb_utils.get_input_tensor_by_name(each, "X").as_numpy() * 2)])
            for each in requests
        ]
"""


class Explicit(NamedTuple):
    """A server whose models callers load, its repository, and a client."""

    process: ServerProcess
    repository: Path
    client: triton.InferenceServerClient

    def index(self) -> dict[tuple[str, str], tuple[str, str]]:
        """(Model, version) -> (state, reason)."""
        models = self.client.get_model_repository_index().models
        return {(each.name, each.version): (each.state, each.reason) for each in models}

    def wait(self, is_so: Callable[[], bool]) -> None:
        """Return when something has come true; what is unloaded leaves in the background."""
        deadline = time.monotonic() + 20
        while not is_so():
            assert time.monotonic() < deadline, self.index()
            time.sleep(0.02)

    def stub_load(self, name: str, **parameters: pb.ModelRepositoryParameter) -> None:
        """Load by a message of one's own."""
        with grpc.insecure_channel(self.process.grpc) as channel:
            request = pb.RepositoryModelLoadRequest(
                model_name=name, parameters={key.replace("__", ":"): value for key, value in parameters.items()}
            )
            method = "/inference.GRPCInferenceService/RepositoryModelLoad"
            channel.unary_unary(method, request.SerializeToString, pb.RepositoryModelLoadResponse.FromString)(
                request, timeout=20
            )


@pytest.fixture(scope="module")
def explicit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Explicit]:
    """A server in explicit mode that takes files too. Each test has models of its own."""
    repository = tmp_path_factory.mktemp("explicit")
    flags = ("--model-control-mode=explicit", "--allow-file-override=true", "--strict-readiness=false")
    with running_server(repository, *flags) as process, triton.InferenceServerClient(process.grpc) as client:
        yield Explicit(process, repository, client)


def config_json(**fields: Any) -> str:
    """A configuration of an identity model as JSON."""
    tensor = {"data_type": "TYPE_FP32", "dims": [16]}
    return json.dumps(
        {
            "backend": "identity",
            "max_batch_size": 8,
            "input": [{"name": "INPUT0", **tensor}],
            "output": [{"name": "OUTPUT0", **tensor}],
            **fields,
        }
    )


def later(path: Path, seconds: int = 5) -> None:
    """Make a file or directory younger than it was."""
    now_ns = path.stat().st_mtime_ns + seconds * 1_000_000_000
    os.utime(path, ns=(now_ns, now_ns))


def failed_to_poll(name: str) -> str:
    """What a load is told that finds nothing to load."""
    return f"failed to load '{name}', failed to poll from model repository"


def test_d04_b22_b25_a_model_is_loaded_asked_and_unloaded(explicit: Explicit) -> None:
    """A model that nobody loaded is a name; loaded it answers; unloaded it says so, and is not found any more."""
    write_identity_model(explicit.repository, "life")
    assert explicit.index()["life", ""] == ("", "")
    with refused(NOT_FOUND, "Request for unknown model: 'life' is not found"):
        explicit.client.infer("life", row_input())
    explicit.client.load_model("life")
    assert explicit.client.is_model_ready("life")
    assert explicit.index()["life", "1"] == ("READY", "")
    np.testing.assert_array_equal(explicit.client.infer("life", row_input()).as_numpy("OUTPUT0"), ROW)
    explicit.client.load_model("life")  # unchanged: nothing happens
    explicit.client.unload_model("life")
    explicit.wait(lambda: explicit.index()["life", "1"] == ("UNAVAILABLE", "unloaded"))
    assert not explicit.client.is_model_ready("life")
    with refused(NOT_FOUND, "Request for unknown model: 'life' has no available versions"):
        explicit.client.infer("life", row_input())
    with refused(UNAVAILABLE, "Request for unknown model: 'life' version 1 is not at ready state"):
        explicit.client.infer("life", row_input(), model_version="1")
    explicit.client.load_model("life")
    assert explicit.client.infer("life", row_input()).get_response().model_version == "1"


@pytest.mark.parametrize("name", ["../etc", "a/../b", "/etc/passwd", "model/", "..", " ..", ".. "])
def test_d70_d72_b13_a_name_that_could_lead_out_is_refused(explicit: Explicit, name: str) -> None:
    """Such a name is never looked for; to unload it is no error."""
    text = f"invalid model name '{name}', model name must not contain path traversal characters"
    with refused(INVALID, text):
        explicit.client.load_model(name)
    explicit.client.unload_model(name)


@pytest.mark.parametrize("name", ["", " ", "\t", "\r\f\v"])
def test_d71_d72_b12_an_empty_name_is_refused(explicit: Explicit, name: str) -> None:
    """A blank name is told what is missing; to unload it is no error."""
    with refused(INVALID, "Model name cannot be empty. Please enter a valid name to deploy."):
        explicit.client.load_model(name)
    explicit.client.unload_model(name)


@pytest.mark.parametrize("name", ["...", "model..1", *(f"name{each}" for each in ";|&$`<>(){}\\\"'*~!"), "nothing"])
def test_d70_d73_b29_a_name_that_nobody_has_is_not_found(explicit: Explicit, name: str) -> None:
    """Whatever the characters, a name is looked for among the directories and is nothing else."""
    with refused(INTERNAL, failed_to_poll(name)):
        explicit.client.load_model(name)
    explicit.client.unload_model(name)


def test_d73_a_name_may_have_the_characters_of_a_shell(explicit: Explicit) -> None:
    """A directory may be called so, and its model is loaded."""
    name = ";|&$`<>(){}\"'*~! x"
    write_identity_model(explicit.repository, "plain")
    (explicit.repository / "plain").rename(explicit.repository / name)
    config = explicit.repository / name / "config.pbtxt"
    config.write_text(config.read_text().replace('name: "plain"\n', ""))
    explicit.client.load_model(name)
    assert explicit.client.is_model_ready(name)


@pytest.mark.parametrize("parameters", [{"config": config_json()}, {}])
def test_d78_a_parameter_of_the_wrong_type_or_name_is_refused(explicit: Explicit, parameters: dict[str, str]) -> None:
    """The texts say which parameter, and what it should have been."""
    text, raw = pb.ModelRepositoryParameter(string_param="x"), pb.ModelRepositoryParameter(bytes_param=b"x")
    for given, message in (
        ({"config": raw}, "invalid value type for load parameter 'config', expected string_param."),
        ({"file__1/x": text}, "invalid value type for load parameter 'file:1/x', expected bytes_param."),
        ({"bogus": text}, "unrecognized load parameter 'bogus'."),
    ):
        with refused(INVALID, message):
            explicit.stub_load("parameters", **given)


def test_a_repository_cannot_be_named(explicit: Explicit) -> None:
    """Load and unload know no repositories by name."""
    with grpc.insecure_channel(explicit.process.grpc) as channel:
        for rpc, kind in (("Load", pb.RepositoryModelLoadRequest), ("Unload", pb.RepositoryModelUnloadRequest)):
            request = kind(repository_name="r", model_name="m")
            call = channel.unary_unary(f"/inference.GRPCInferenceService/RepositoryModel{rpc}", kind.SerializeToString)
            with refused(UNIMPLEMENTED, "'repository_name' specification is not supported"):
                call(request, timeout=20)
        kind = pb.RepositoryModelUnloadRequest
        request = kind(model_name="m", parameters={"unload_dependents": pb.ModelRepositoryParameter(int64_param=1)})
        call = channel.unary_unary("/inference.GRPCInferenceService/RepositoryModelUnload", kind.SerializeToString)
        with refused(INVALID, "invalid value type for 'unload_dependents' parameter, expected bool_param."):
            call(request, timeout=20)


def test_d84_d85_b10_a_load_that_fails_fails_each_time_and_is_mended_by_the_next(explicit: Explicit) -> None:
    """The reason is told each time and stands in the index; a load of what has been mended succeeds."""
    path = write_identity_model(explicit.repository, "broken", parameters={"execute_delay_ms": "soon"})
    reason = "Invalid argument: parameter 'execute_delay_ms' of model 'broken' is 'soon'; expected a number that is not negative"
    for _ in range(3):
        with refused(INVALID, f"load failed for model 'broken': version 1 is at UNAVAILABLE state: {reason};\n"):
            explicit.client.load_model("broken")
        assert explicit.index()["broken", "1"] == ("UNAVAILABLE", reason)
    config = path / "config.pbtxt"
    whole = config.read_text()
    config.write_text("batch: 1")
    for _ in range(2):
        with refused(INTERNAL, failed_to_poll("broken")):
            explicit.client.load_model("broken")
    config.write_text(whole.replace("soon", "0"))
    explicit.client.load_model("broken")
    assert explicit.index()["broken", "1"] == ("READY", "")


def test_d86_a_reload_that_fails_leaves_the_old_version_in_service(explicit: Explicit) -> None:
    """Neither a version that cannot be loaded nor a configuration that cannot be read disturbs what is served."""
    path = write_identity_model(explicit.repository, "steady")
    explicit.client.load_model("steady")
    config = path / "config.pbtxt"
    whole = config.read_text()
    (path / "2").mkdir()
    config.write_text(whole + 'parameters { key: "execute_delay_ms" value { string_value: "soon" } }')
    with refused(INVALID, "load failed for model 'steady': version 2 is at UNAVAILABLE state: Invalid argument: ..."):
        explicit.client.load_model("steady")
    config.write_text("batch: 1")
    with refused(INTERNAL, failed_to_poll("steady")):
        explicit.client.load_model("steady")
    assert explicit.client.infer("steady", row_input()).get_response().model_version == "1"
    assert explicit.index()["steady", "1"] == ("READY", "")
    config.write_text(whole)
    explicit.client.load_model("steady")
    assert explicit.client.infer("steady", row_input()).get_response().model_version == "2"


@pytest.mark.parametrize(
    ("name", "versions"), [("zeros", ("01", "abc", "3")), ("empty_version", ("abc",))], ids=["some", "none"]
)
def test_d82_a_directory_that_is_no_version_is_passed_over(
    explicit: Explicit, name: str, versions: tuple[str, ...]
) -> None:
    """A leading zero or a word makes no version; with no version at all there is nothing to load."""
    path = write_identity_model(explicit.repository, name)
    (path / "1").rmdir()
    for version in versions:
        (path / version).mkdir()
    if "3" in versions:
        explicit.client.load_model(name)
        assert list(explicit.client.get_model_metadata(name).versions) == ["3"]
    else:
        text = f"at least one version must be available under the version policy of model '{name}'"
        with refused(INVALID, f"load failed for model '{name}': {text}"):
            explicit.client.load_model(name)
        assert explicit.index()[name, ""] == ("UNAVAILABLE", f"Invalid argument: {text}")
        with refused(NOT_FOUND, f"Request for unknown model: '{name}' has no available versions"):
            explicit.client.infer(name, row_input())


def test_d83_a_configuration_must_bear_the_name_of_its_directory(explicit: Explicit) -> None:
    """The index tells the two names, the caller that it could not be read."""
    write_identity_model(explicit.repository, "one_name")
    (explicit.repository / "one_name").rename(explicit.repository / "other_name")
    with refused(INTERNAL, failed_to_poll("other_name")):
        explicit.client.load_model("other_name")
    assert explicit.index()["other_name", ""] == (
        "UNAVAILABLE",
        "Invalid argument: unexpected directory name 'other_name' for model 'one_name', directory name must equal model name",
    )


def test_d79_a_label_file_outside_the_model_is_refused(explicit: Explicit) -> None:
    """Labels are read from the model directory and nowhere else."""
    path = write_identity_model(explicit.repository, "nosy", labels=["a"])
    config = path / "config.pbtxt"
    config.write_text(config.read_text().replace("labels.txt", "../../../etc/passwd"))
    with refused(
        INVALID,
        "load failed for model 'nosy': version 1 is at UNAVAILABLE state: Unsupported: label file path"
        " '../../../etc/passwd' for output 'OUTPUT0' in model 'nosy' is outside model directory;\n",
    ):
        explicit.client.load_model("nosy")


def test_a_configuration_may_come_with_the_load(explicit: Explicit) -> None:
    """It replaces config.pbtxt entirely, stays while the files are unchanged, and goes with a change or an unload."""
    path = write_identity_model(explicit.repository, "override", versions=(1, 2), labels=["x"])
    explicit.client.load_model("override", config=config_json(max_batch_size="4"))
    config = explicit.client.get_model_config("override").config
    assert (config.max_batch_size, config.name, config.output[0].label_filename) == (4, "override", "")
    explicit.client.load_model("override")
    assert explicit.client.get_model_config("override").config.max_batch_size == 4
    explicit.client.load_model("override", config=config_json(max_batch_size=2, version_policy={"all": {}}))
    assert sorted(explicit.client.get_model_metadata("override").versions) == ["1", "2"]
    later(path / "config.pbtxt")
    explicit.client.load_model("override")
    assert explicit.client.get_model_config("override").config.max_batch_size == 8
    explicit.client.load_model("override", config=config_json(max_batch_size=3))
    explicit.client.unload_model("override")
    explicit.client.load_model("override")
    assert explicit.client.get_model_config("override").config.max_batch_size == 8


@pytest.mark.parametrize(
    "config",
    [
        "",
        "{",
        "[]",
        '{"max_batch_size": 1e400}',
        '{"max_batch_size": "many"}',
        '{"no_such_field": 1}',
        '{"name": "other", "backend": "identity"}',
        '{"backend": "identity", "max_batch_size": -1}',
        '{"parameters": ' * 5000 + "1",
        "[" * 100000,
        " " * 2_000_000,
    ],
    ids=range(11),
)
def test_d77_a_configuration_that_cannot_be_read_changes_nothing(explicit: Explicit, config: str) -> None:
    """JSON that is malformed, nested too deeply, too long, or no model configuration; what is served stays."""
    if not (explicit.repository / "calm").exists():
        write_identity_model(explicit.repository, "calm")
    explicit.client.load_model("calm")
    with refused(INTERNAL, failed_to_poll("calm")):
        explicit.stub_load("calm", config=pb.ModelRepositoryParameter(string_param=config))
    assert explicit.client.get_model_config("calm").config.max_batch_size == 8
    assert explicit.client.infer("calm", row_input()).as_numpy("OUTPUT0") is not None


def test_files_may_come_with_the_load(explicit: Explicit) -> None:
    """The model is made of those files alone, autocompleted as one from disk, until it is unloaded."""
    write_identity_model(explicit.repository, "sent")
    explicit.client.load_model("sent")
    files = {"file:3/model.py": PYTHON_MODEL.encode()}
    explicit.client.load_model("sent", config='{"backend": "python"}', files=files)
    assert list(explicit.client.get_model_metadata("sent").versions) == ["3"]
    given = triton.InferInput("X", [1, 2], "INT32")
    given.set_data_from_numpy(np.array([[3, 4]], np.int32))
    answer = explicit.client.infer("sent", [given])
    np.testing.assert_array_equal(answer.as_numpy("Y"), [[6, 8]])
    explicit.client.load_model("sent")  # the directory is ignored until the model is unloaded
    assert list(explicit.client.get_model_metadata("sent").versions) == ["3"]
    explicit.client.unload_model("sent")
    explicit.client.load_model("sent")
    assert list(explicit.client.get_model_metadata("sent").versions) == ["1"]


def test_a_model_may_come_as_files_alone(explicit: Explicit) -> None:
    """A model that no repository has is served, and not listed."""
    explicit.client.load_model(
        "nowhere", config=config_json(), files={"file:1/empty": b"", "file:labels.txt": b"a\nb\n"}
    )
    np.testing.assert_array_equal(explicit.client.infer("nowhere", row_input()).as_numpy("OUTPUT0"), ROW)
    assert not [name for name, _ in explicit.index() if name == "nowhere"]
    explicit.client.unload_model("nowhere")
    with refused(INTERNAL, failed_to_poll("nowhere")):
        explicit.client.load_model("nowhere")


@pytest.mark.parametrize(
    "path",
    ["../../evil", "1/../../evil", "/tmp/evil", "..", "", "1/" + "x" * 300, "1/a\0b", "1/model.py/x"],
    ids=range(8),
)
def test_d74_d75_a_file_that_would_lie_elsewhere_is_refused(explicit: Explicit, path: str) -> None:
    """A path that leads out, is too long, or runs through a file; nothing is written, and what is served stays."""
    if not (explicit.repository / "guarded").exists():
        write_identity_model(explicit.repository, "guarded")
    explicit.client.load_model("guarded")
    content = pb.ModelRepositoryParameter(bytes_param=b"evil")
    config = pb.ModelRepositoryParameter(string_param=config_json())
    with refused(INTERNAL, failed_to_poll("guarded")):
        explicit.stub_load("guarded", config=config, **{"file__1/model.py": content, f"file__{path}": content})
    assert explicit.client.infer("guarded", row_input()).as_numpy("OUTPUT0") is not None
    assert not list(explicit.repository.rglob("evil"))


def test_d76_files_without_a_configuration_are_refused(explicit: Explicit) -> None:
    """Whoever sends files must say what they are; the directory is not asked."""
    write_identity_model(explicit.repository, "mute")
    with refused(INTERNAL, failed_to_poll("mute")):
        explicit.stub_load("mute", **{"file__1/x": pb.ModelRepositoryParameter(bytes_param=b"")})
    assert explicit.index()["mute", ""] == ("", "")


def test_an_ensemble_comes_and_goes_with_its_models(explicit: Explicit) -> None:
    """Models come with an ensemble; it leaves with one of them, comes back with it, and takes along whom nobody else wants."""
    for name in ("step_one", "step_two"):
        write_model(explicit.repository, name)
    write_model(explicit.repository, "line", chain("step_one", "step_two"))
    rows = [triton.InferInput("INPUT0", [1, 4], "FP32")]
    rows[0].set_data_from_numpy(np.ones((1, 4), np.float32))
    explicit.client.load_model("line")
    assert explicit.client.infer("line", rows).as_numpy("OUTPUT0") is not None
    explicit.client.unload_model("step_one")
    explicit.wait(lambda: not explicit.client.is_model_ready("line"))
    assert explicit.client.is_model_ready("step_two")
    explicit.client.load_model("step_one")
    assert explicit.client.infer("line", rows).as_numpy("OUTPUT0") is not None
    explicit.client.unload_model("line", unload_dependents=True)
    explicit.wait(lambda: explicit.index()["step_two", "1"] == ("UNAVAILABLE", "unloaded"))
    assert explicit.client.is_model_ready("step_one")  # somebody loaded it by name
    explicit.client.load_model("line")
    explicit.client.unload_model("line")
    assert explicit.client.is_model_ready("step_two")


def test_instances_change_while_requests_are_answered(explicit: Explicit) -> None:
    """A change of the instance group alone loads nothing anew: the books go on, and more instances do more at once."""
    path = write_identity_model(
        explicit.repository,
        "grow",
        parameters={"execute_delay_ms": "150"},
        max_batch_size=1,
        extra="instance_group { count: 1 }",
    )
    explicit.client.load_model("grow")

    def seconds_for_four() -> float:
        started = time.monotonic()
        with ThreadPoolExecutor(4) as callers:
            list(callers.map(lambda _: explicit.client.infer("grow", row_input()), range(4)))
        return time.monotonic() - started

    assert seconds_for_four() >= 0.55
    config = path / "config.pbtxt"
    config.write_text(config.read_text().replace("count: 1", "count: 4"))
    explicit.client.load_model("grow")
    assert explicit.client.get_model_config("grow").config.instance_group[0].count == 4
    assert seconds_for_four() < 0.5
    config.write_text(config.read_text().replace("count: 4", "count: 1"))
    explicit.client.load_model("grow")
    assert seconds_for_four() >= 0.55
    assert explicit.client.get_inference_statistics("grow").model_stats[0].inference_count == 12


def test_models_are_loaded_over_http_as_over_grpc(explicit: Explicit) -> None:
    """The same model, configuration, files and texts, by the other door."""
    write_identity_model(explicit.repository, "by_http")
    with triton_http.InferenceServerClient(explicit.process.http) as web:
        web.load_model("by_http")
        assert explicit.client.is_model_ready("by_http")
        web.load_model("by_http", config=config_json(max_batch_size=3))
        assert web.get_model_config("by_http")["max_batch_size"] == 3
        web.load_model("by_http", config=config_json(), files={"file:9/empty": b""})
        assert web.get_model_metadata("by_http")["versions"] == ["9"]
        with pytest.raises(InferenceServerException) as caught:
            web.load_model("not_there")
        assert (caught.value.status(), caught.value.message()) == ("500", failed_to_poll("not_there"))
        web.unload_model("by_http")
        assert not explicit.client.is_model_ready("by_http")
        assert "by_http" in {line["name"] for line in web.get_model_repository_index()}


@pytest.mark.parametrize("mode", ["none", "poll"])
def test_d89_b27_models_cannot_be_changed_by_callers_unless_that_is_said(tmp_path: Path, mode: str) -> None:
    """Without explicit control a load is refused, after its name has been looked at."""
    write_identity_model(tmp_path, "identity")
    with (
        running_server(tmp_path, f"--model-control-mode={mode}") as process,
        triton.InferenceServerClient(process.grpc) as client,
    ):
        for change in (client.load_model, client.unload_model):
            with refused(UNAVAILABLE, NOT_ALLOWED):
                change("identity")
        with refused(INVALID, "Model name cannot be empty. Please enter a valid name to deploy."):
            client.load_model(" ")
        assert client.is_model_ready("identity")


def test_files_are_refused_unless_their_own_flag_is_on(tmp_path: Path) -> None:
    """Explicit control alone takes configurations, not files."""
    write_identity_model(tmp_path, "identity")
    write_identity_model(tmp_path, "other")
    with (
        running_server(tmp_path, "--model-control-mode=explicit", "--load-model=identity") as process,
        triton.InferenceServerClient(process.grpc) as client,
    ):
        assert client.is_model_ready("identity")
        assert not client.is_model_ready("other")
        with refused(
            UNIMPLEMENTED, "file override is disabled. Start the server with '--allow-file-override=true' to enable."
        ):
            client.load_model("identity", config=config_json(), files={"file:1/x": b""})
        client.load_model("identity", config=config_json(max_batch_size=2))
        assert client.get_model_config("identity").config.max_batch_size == 2


def test_a_star_loads_every_model(tmp_path: Path) -> None:
    """`--load-model=*` is every model there is at the start."""
    write_identity_model(tmp_path, "a")
    write_identity_model(tmp_path, "b")
    with (
        running_server(tmp_path, "--model-control-mode=explicit", "--load-model=*") as process,
        triton.InferenceServerClient(process.grpc) as client,
    ):
        assert client.is_model_ready("a")
        assert client.is_model_ready("b")


def test_d81_b38_a_model_in_two_repositories_is_not_available(tmp_path: Path) -> None:
    """Nobody can tell which is meant. The index says so as soon as there are two, a load takes the model out of service."""
    one, two = tmp_path / "one", tmp_path / "two"
    two.mkdir()
    write_identity_model(one, "twin")
    write_identity_model(two, "single")
    flags = (f"--model-repository={two}", "--model-control-mode=explicit", "--load-model=*")
    with running_server(one, *flags) as process, triton.InferenceServerClient(process.grpc) as client:
        assert client.is_model_ready("twin")
        shutil.copytree(one / "twin", two / "twin")
        lines = {
            each.name: (each.version, each.state, each.reason) for each in client.get_model_repository_index().models
        }
        assert lines["twin"] == ("", "UNAVAILABLE", "model appears in two or more repositories")
        assert client.is_model_ready("twin")
        with refused(INTERNAL, failed_to_poll("twin")):
            client.load_model("twin")
        assert not client.is_model_ready("twin")
        shutil.rmtree(one / "twin")
        client.load_model("twin")
        assert client.is_model_ready("twin")
        assert client.is_model_ready("single")


def test_a_polling_server_follows_its_repository(tmp_path: Path) -> None:
    """A model that is added is loaded, one that changes is loaded anew, one that is removed is unloaded; broken ones disturb none."""
    path = write_identity_model(tmp_path, "first")
    flags = ("--model-control-mode=poll", "--repository-poll-secs=1", "--strict-readiness=false")
    with running_server(tmp_path, *flags) as process, triton.InferenceServerClient(process.grpc) as client:
        explicit = Explicit(process, tmp_path, client)
        later(path / "1", -1000)  # older than it was is no change
        write_identity_model(tmp_path / "elsewhere", "second")
        (tmp_path / "elsewhere" / "second").rename(tmp_path / "second")
        explicit.wait(lambda: client.is_model_ready("second"))
        assert sum("model 'first' version 1 loaded" in line for line in process.log) == 1
        (path / "7").mkdir()
        explicit.wait(lambda: client.is_model_ready("first", "7"))
        config = path / "config.pbtxt"
        whole = config.read_text()
        config.write_text("batch: 1")
        process.wait_for_line("model 'first' cannot be loaded")
        assert client.is_model_ready("first", "7")
        config.write_text(whole.replace("max_batch_size: 8", "max_batch_size: 5"))
        explicit.wait(lambda: client.get_model_config("first").config.max_batch_size == 5)
        shutil.rmtree(tmp_path / "second")
        explicit.wait(lambda: not client.is_model_ready("second"))
        with pytest.raises(InferenceServerException):
            client.infer("second", row_input())
        assert "second" not in {name for name, _ in explicit.index()}


def test_what_the_process_fills_in_is_the_operators_choice(tmp_path: Path) -> None:
    """A model without a configuration has the default batch size of the process; a strict process refuses it."""
    graph = helper.make_graph(
        [helper.make_node("Neg", ["X"], ["Y"])],
        "negation",
        *([helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 2])] for name in "XY"),
    )
    (tmp_path / "bare" / "1").mkdir(parents=True)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, tmp_path / "bare" / "1" / "model.onnx")
    for setting, expected in (("default-max-batch-size=16", 16), ("onnxruntime,default-max-batch-size=0", 0)):
        with (
            running_server(tmp_path, f"--backend-config={setting}") as process,
            triton.InferenceServerClient(process.grpc) as client,
        ):
            assert client.get_model_config("bare").config.max_batch_size == expected
    strict = ("--disable-auto-complete-config=true", "--exit-on-error=false", "--strict-readiness=false")
    with (
        running_server(tmp_path, *strict) as process,
        triton.InferenceServerClient(process.grpc) as client,
    ):
        (line,) = client.get_model_repository_index().models
        assert line.reason == (
            "Invalid argument: model 'bare' has no config.pbtxt, and --disable-auto-complete-config is on"
        )


def test_d88_the_server_stops_while_models_load_and_leave(tmp_path: Path) -> None:
    """A load under way is finished, a model that is leaving is waited for, and the process ends in good order."""
    write_identity_model(tmp_path, "late", parameters={"creation_delay_sec": "2"}, extra="instance_group { count: 1 }")
    write_identity_model(tmp_path, "busy", parameters={"execute_delay_ms": "1500"})
    outcomes: list[Any] = []
    with (
        running_server(tmp_path, "--model-control-mode=explicit", "--load-model=busy") as process,
        triton.InferenceServerClient(process.grpc) as client,
        grpc.insecure_channel(process.grpc) as channel,
    ):
        client.async_infer("busy", row_input(), callback=lambda result, error: outcomes.append(error or result))
        time.sleep(0.3)
        client.unload_model("busy")
        kind = pb.RepositoryModelLoadRequest
        load = channel.unary_unary("/inference.GRPCInferenceService/RepositoryModelLoad", kind.SerializeToString)
        loading = load.future(kind(model_name="late"), timeout=20)
        time.sleep(0.3)
        assert process.stop() == 0
        assert loading.exception(timeout=5) is None
        assert [type(outcome) for outcome in outcomes] == [triton.InferResult]


def test_a_load_goes_on_when_its_caller_leaves(tmp_path: Path) -> None:
    """A caller whose deadline is too short finds the model ready later."""
    write_identity_model(tmp_path, "late", parameters={"creation_delay_sec": "2"}, extra="instance_group { count: 1 }")
    with (
        running_server(tmp_path, "--model-control-mode=explicit") as process,
        triton.InferenceServerClient(process.grpc) as client,
    ):
        with refused(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded"):
            client.load_model("late", client_timeout=0.5)
        Explicit(process, tmp_path, client).wait(lambda: client.is_model_ready("late"))
