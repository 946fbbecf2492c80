"""Python models: opened, completed, initialized, executed and finalized, with what goes wrong told to those it concerns."""

import json
import logging
import sys
import textwrap
import threading
from dataclasses import replace

import numpy as np
import pytest

from aisle_server.backends.backend import BackendOptions, Device
from aisle_server.backends.registry import open_model
from aisle_server.errors import (
    AlreadyExistsError,
    CancelledError,
    InternalError,
    InvalidArgumentError,
    NotFoundError,
    UnavailableError,
    UnknownError,
    UnsupportedError,
)
from aisle_server.model_config.schema import ModelConfig, ModelInput, ModelOutput
from tests.support.inference_requests import inference_request

CONFIG = ModelConfig(
    "m",
    backend="python",
    max_batch_size=8,
    inputs=(ModelInput("X", "FP32", (-1,), optional=True),),
    outputs=(ModelOutput("Y", "FP32", (-1,)), ModelOutput("TEXT", "BYTES", (1,))),
)
HEAD = """
import numpy as np
import triton_python_backend_utils as pb_utils

def respond(*tensors, **arguments):
    return pb_utils.InferenceResponse([pb_utils.Tensor(name, array) for name, array in tensors], **arguments)
"""


OPTIONS = BackendOptions()


@pytest.fixture
def opened(tmp_path):
    """Opens models from their code, and closes them at the end of the test."""
    models = []

    def open_(code, config=CONFIG, filename="model.py", options=OPTIONS):
        directory = tmp_path / "m" / "1"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / filename).write_text(HEAD + textwrap.dedent(code))
        models.append(open_model(config, 1, directory, options))
        return models[-1]

    yield open_
    for model in models:
        model.close()


@pytest.fixture
def execute(opened):
    """Executes requests on a model whose `execute` has this body."""

    def execute_(body, *requests, config=CONFIG):
        code = "class TritonPythonModel:\n    def execute(self, requests):\n" + textwrap.indent(
            textwrap.dedent(body), " " * 8
        )
        return opened(code, config).create_instance("m_0", Device()).execute(requests).results

    return execute_


def rows(*values):
    """Rows of one value."""
    return np.array([[value] for value in values], np.float32)


DOUBLED = """
responses = []
for request in requests:
    x = pb_utils.get_input_tensor_by_name(request, "X").as_numpy()
    responses.append(respond(("Y", x * 2), parameters={"rows": len(x)}))
return responses
"""


def test_each_request_gets_its_response(execute):
    """Requests are answered in order, with their ids and the parameters that the model set; an output left out is absent."""
    results = execute(
        DOUBLED, inference_request(1, X=rows(1)).changed(id="a"), inference_request(2, X=rows(2, 3)).changed(id="b")
    )
    assert [(result.id, result.output("Y").data.tolist()) for result in results] == [("a", [[2]]), ("b", [[4], [6]])]
    assert [dict(result.parameters) for result in results] == [{"rows": 1}, {"rows": 2}]
    assert [output.name for output in results[0].outputs] == ["Y"]
    assert (results[0].model_name, results[0].model_version) == ("m", 1)


def test_only_requested_outputs_come_back(execute):
    """Outputs that the caller did not ask for, and tensors that are no outputs, are dropped."""
    body = """
    return [respond(("Y", np.ones((1, 1), np.float32)), ("TEXT", np.array([["a"]], object)), ("EXTRA", np.zeros(3)))]
    """
    (asked,) = execute(body, inference_request(1).changed(requested_outputs=("TEXT",)))
    assert [(output.name, output.data.tolist()) for output in asked.outputs] == [("TEXT", [[b"a"]])]


@pytest.mark.parametrize(
    "array",
    ["np.array([['é']], object)", "np.array([['é'.encode()]], object)", "np.array([['é'.encode()]], np.bytes_)"],
)
def test_text_comes_back_as_bytes(execute, array):
    """A BYTES output may be text or bytes, as objects or as NumPy's own bytes."""
    (result,) = execute(f'return [respond(("TEXT", {array}))]', inference_request(1))
    (element,) = result.output("TEXT").data.reshape(-1)
    assert (type(element), element) == (bytes, "é".encode())


@pytest.mark.parametrize(
    ("array", "text"),
    [
        ("('Y', np.zeros((1, 1)))", r"returned output 'Y' as float64; expected FP32"),
        ("('Y', np.zeros((2, 1), np.float32))", r"returned output 'Y' of shape \[2,1\]; expected \[1,-1\]"),
        ("('Y', np.zeros(1, np.float32))", r"returned output 'Y' of shape \[1\]; expected \[1,-1\]"),
        ("('TEXT', np.array([['a', 'b']], object))", r"returned output 'TEXT' of shape \[1,2\]; expected \[1,1\]"),
        ("('TEXT', np.array([[None]], object))", r"returned output 'TEXT' with an element that is a NoneType"),
        ("('TEXT', np.zeros((1, 1), np.float32))", r"returned output 'TEXT' as float32; expected BYTES"),
    ],
)
def test_an_output_that_does_not_fit_fails_its_own_request(execute, array, text):
    """A wrong dtype, shape or element is told in words, to the caller concerned; the neighbour is answered."""
    body = f"return [respond({array}), respond(('Y', np.ones((1, 1), np.float32)))]"
    bad, good = execute(body, inference_request(1), inference_request(1))
    assert isinstance(bad, InternalError)
    with pytest.raises(InternalError, match=f"model 'm' {text}"):
        raise bad
    assert good.output("Y").data.tolist() == [[1]]


@pytest.mark.parametrize(
    ("code", "error_class"),
    [
        ("UNKNOWN", UnknownError),
        ("INTERNAL", InternalError),
        ("NOT_FOUND", NotFoundError),
        ("INVALID_ARG", InvalidArgumentError),
        ("UNAVAILABLE", UnavailableError),
        ("UNSUPPORTED", UnsupportedError),
        ("ALREADY_EXISTS", AlreadyExistsError),
        ("CANCELLED", CancelledError),
    ],
)
def test_an_error_response_fails_its_own_request(execute, code, error_class):
    """Each of Triton's codes becomes the server's error with the model's text, and the neighbours are answered."""
    body = f"""
    good = respond(("Y", np.ones((1, 1), np.float32)))
    return [good, pb_utils.InferenceResponse(error=pb_utils.TritonError("row 0 is blank", pb_utils.TritonError.{code})), good]
    """
    first, failed, last = execute(body, *[inference_request(1)] * 3)
    assert type(failed) is error_class
    assert failed.message == "row 0 is blank"
    assert [first.output("Y").data.item(), last.output("Y").data.item()] == [1, 1]


def test_an_error_without_a_code_is_internal(execute):
    """TritonError is INTERNAL unless it says otherwise."""
    body = "return [pb_utils.InferenceResponse(error=pb_utils.TritonError('broken'))]"
    (failed,) = execute(body, inference_request(1))
    assert type(failed) is InternalError


def test_what_is_no_response_fails_its_own_request(execute):
    """None in the list of responses is told to the caller concerned."""
    bad, good = execute("return [None, respond()]", inference_request(1), inference_request(1))
    assert isinstance(bad, InternalError)
    assert bad.message == "model 'm' returned a NoneType for the request; expected an InferenceResponse"
    assert good.outputs == ()


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("return []", "execute returned 0 responses for 2 requests; expected one for each"),
        ("return [respond()] * 3", "execute returned 3 responses for 2 requests; expected one for each"),
        ("return None", "execute returned a NoneType; expected a list of InferenceResponse"),
        ("raise pb_utils.TritonModelException('out of paper')", "out of paper"),
    ],
)
def test_a_call_that_fails_is_told_to_the_batch(execute, body, text):
    """A wrong number of responses and a TritonModelException fail the batch, with a text for its callers."""
    with pytest.raises(InternalError) as caught:
        execute(body, inference_request(1), inference_request(1))
    assert caught.value.message == f"Failed to process the request(s) for model 'm', message: {text}"


@pytest.mark.parametrize("body", ["raise ValueError('secret path')", "import sys; sys.exit(1)"])
def test_any_other_exception_goes_to_the_log_alone(execute, caplog, body):
    """The callers of a batch that broke learn that it broke; why stands in the log. sys.exit ends the batch, not the server."""
    with pytest.raises(InternalError) as caught:
        execute(body, inference_request(1))
    assert caught.value.message == "Failed to process the request(s) for model 'm'"
    assert caplog.records[0].exc_info is not None


def test_a_coroutine_is_awaited(execute):
    """`async def execute` is run to its end."""
    code = """
    class TritonPythonModel:
        async def execute(self, requests):
            import asyncio
            await asyncio.sleep(0)
            return [respond(("Y", np.ones((1, 1), np.float32)))]
    """
    body = textwrap.dedent(code).strip() + "\nreturn TritonPythonModel().execute(requests)"
    (result,) = execute(body, inference_request(1))
    assert result.output("Y").data.tolist() == [[1]]


def test_a_model_may_reuse_its_array(opened):
    """An answer on its way does not change when the model writes into its own array again."""
    instance = opened(
        """
        class TritonPythonModel:
            buffer = np.zeros((1, 1), np.float32)
            def execute(self, requests):
                self.buffer += 1
                return [respond(("Y", self.buffer)) for _ in requests]
        """
    ).create_instance("m_0", Device())
    (first,), (second,) = (instance.execute([inference_request(1)]).results for _ in range(2))
    assert (first.output("Y").data.item(), second.output("Y").data.item()) == (1, 2)


def test_a_model_without_a_batch_dimension_sees_the_shape_of_its_configuration(execute):
    """With max_batch_size 0 outputs have exactly the dims of the configuration."""
    config = ModelConfig("m", backend="python", outputs=(ModelOutput("Y", "FP32", (2,)),))
    good = 'return [respond(("Y", np.zeros(2, np.float32)))]'
    assert execute(good, inference_request(1), config=config)[0].output("Y").shape == (2,)


def test_initialize_is_told_what_triton_tells(opened, tmp_path):
    """The arguments of initialize have Triton's keys, all of them strings, with the completed configuration as JSON."""
    instance = opened(
        """
        import json
        class TritonPythonModel:
            def initialize(self, args):
                self.args = {**args, "dir": pb_utils.get_model_dir()}
            def execute(self, requests):
                return [respond(("TEXT", np.array([[json.dumps(self.args)]], object)))]
        """
    ).create_instance("m_3", Device())
    (result,) = instance.execute([inference_request(1)]).results
    arguments = json.loads(result.output("TEXT").data.item())
    config = json.loads(arguments.pop("model_config"))
    assert arguments == {
        "model_instance_kind": "CPU",
        "model_instance_name": "m_3",
        "model_instance_device_id": "0",
        "model_repository": str(tmp_path / "m"),
        "model_version": "1",
        "model_name": "m",
        "dir": str(tmp_path / "m" / "1"),
    }
    assert config["input"][0]["dims"] == [-1]
    assert config["max_batch_size"] == 8


def test_a_model_completes_its_configuration(opened):
    """auto_complete_config fills in what the config.pbtxt leaves open."""
    model = opened(
        """
        class TritonPythonModel:
            @staticmethod
            def auto_complete_config(config):
                config.add_input({"name": "X", "data_type": "TYPE_INT64", "dims": [-1]})
                config.add_output({"name": "Y", "data_type": "TYPE_INT64", "dims": [1]})
                config.set_max_batch_size(16)
                return config
            def execute(self, requests):
                return [respond(("Y", np.zeros((1, 1), np.int64)))]
        """,
        ModelConfig("m", backend="python"),
    )
    assert model.config.inputs == (ModelInput("X", "INT64", (-1,)),)
    assert model.config.max_batch_size == 16
    (result,) = model.create_instance("m_0", Device()).execute([inference_request(1)]).results
    assert result.output("Y").data.tolist() == [[0]]


def test_a_model_does_not_complete_its_configuration_in_a_strict_process(opened):
    """With --disable-auto-complete-config the model's own function is not asked either, wherever the model runs."""
    code = """
    class TritonPythonModel:
        @staticmethod
        def auto_complete_config(config):
            config.set_max_batch_size(16)
            return config
        def execute(self, requests):
            pass
    """
    for parameters in ({}, {"EXECUTION_PROCESS": "own"}):
        config = replace(CONFIG, parameters=parameters)
        assert opened(code, config).config.max_batch_size == 16
        assert opened(code, config, options=BackendOptions(auto_complete_config=False)).config == config


EXECUTE = "    def execute(self, requests): pass\n"


@pytest.mark.parametrize(
    ("code", "error_class", "text"),
    [
        (
            "import no_such_library",
            InvalidArgumentError,
            "failed to import: ModuleNotFoundError: No module named 'no_such",
        ),
        (
            "from .labels import read",
            InvalidArgumentError,
            r"failed to import: ModuleNotFoundError: No module named 'labels'",
        ),
        ("raise SystemExit(3)", InvalidArgumentError, "failed to import: SystemExit: 3"),
        ("def broken(:", InvalidArgumentError, "failed to import: SyntaxError"),
        ("class Other:\n" + EXECUTE, InvalidArgumentError, "has no class TritonPythonModel with a method execute"),
        ("class TritonPythonModel: pass", InvalidArgumentError, "has no class TritonPythonModel with a method execute"),
        (
            "class TritonPythonModel:\n    @staticmethod\n    def auto_complete_config(config): pass\n" + EXECUTE,
            InvalidArgumentError,
            "failed to complete its configuration: auto_complete_config returned a NoneType; expected the ModelConfig",
        ),
        (
            "class TritonPythonModel:\n    @staticmethod\n    def auto_complete_config(config):\n"
            "        config.set_max_batch_size(2)\n        return config\n" + EXECUTE,
            InvalidArgumentError,
            "failed to complete its configuration: ValueError: configuration specified max_batch_size 8",
        ),
    ],
)
def test_code_that_cannot_be_loaded_is_told(opened, code, error_class, text):
    """What is wrong with a model's code becomes the reason why it is not served, and nothing of it stays imported."""
    before = set(sys.modules) | {"triton_python_backend_utils"}
    with pytest.raises(error_class, match=text):
        opened(code)
    assert not {name for name in set(sys.modules) - before if name.startswith("triton_python_model")}


@pytest.mark.parametrize(
    ("raised", "text"),
    [
        ("pb_utils.TritonModelException('no labels')", "model 'm' version 1 failed to initialize: no labels"),
        ("OSError('no file: /a/b/c.txt')", "model 'm' version 1 failed to initialize: OSError: no file: c.txt"),
    ],
)
def test_a_model_that_cannot_be_initialized_is_told(opened, raised, text):
    """An exception of initialize fails the instance, with its text."""
    model = opened(f"class TritonPythonModel:\n    def initialize(self, args):\n        raise {raised}\n" + EXECUTE)
    with pytest.raises(InvalidArgumentError) as caught:
        model.create_instance("m_0", Device())
    assert caught.value.message == text


def test_instances_share_no_module_state(opened):
    """Each instance has global variables of its own, as on Triton where it has a process of its own."""
    model = opened(
        """
        calls = []
        class TritonPythonModel:
            def execute(self, requests):
                calls.append(1)
                return [respond(("Y", np.full((1, 1), len(calls), np.float32))) for _ in requests]
        """
    )
    first, second = (model.create_instance(f"m_{index}", Device()) for index in range(2))
    counts = [
        instance.execute([inference_request(1)]).results[0].output("Y").data.item()
        for instance in (first, first, second)
    ]
    assert counts == [1, 2, 1]


def test_instances_are_created_side_by_side(opened):
    """Instances that are created on threads of their own, all at once, get code of their own."""
    model = opened(
        "class TritonPythonModel:\n    def execute(self, requests):\n        return [respond() for _ in requests]"
    )
    created = []
    threads = [
        threading.Thread(target=lambda name=f"m_{index}": created.append(model.create_instance(name, Device())))
        for index in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert len(created) == 8
    assert all(instance.execute([inference_request(1)]).results[0].outputs == () for instance in created)


def test_finalize_is_the_last_call(opened, caplog):
    """Finalize is called at the end; what goes wrong there is logged and stops nothing."""
    model = opened(
        """
        class TritonPythonModel:
            def execute(self, requests): pass
            def finalize(self):
                pb_utils.Logger.log_info("bye")
                raise ValueError("too late")
        """
    )
    with caplog.at_level(logging.INFO):
        model.create_instance("m_0", Device()).finalize()
    said, failed = caplog.records
    assert (said.name, said.message) == ("aisle_server.python_models.m", "bye")
    assert failed.message == "model 'm' failed to finalize"


def test_the_model_file_may_have_another_name(opened):
    """default_model_filename names the file with the model's code."""
    config = ModelConfig("m", backend="python", default_model_filename="categorizer.py")
    model = opened("class TritonPythonModel:\n" + EXECUTE, config, filename="categorizer.py")
    assert model.config == config


@pytest.mark.parametrize("filename", ["../outside.py", "code/model.py", "model.txt"])
def test_a_model_file_elsewhere_is_refused(opened, tmp_path, filename):
    """The model's code lies in the version directory itself, in a python file."""
    directory = tmp_path / "m" / "1"
    (directory / "code").mkdir(parents=True)
    for path in (directory / filename, directory / "model.py"):
        path.write_text("class TritonPythonModel:\n" + EXECUTE)
    with pytest.raises(
        InvalidArgumentError, match=r"outside the directory|no python file in the version directory itself"
    ):
        opened("", ModelConfig("m", backend="python", default_model_filename=filename))
