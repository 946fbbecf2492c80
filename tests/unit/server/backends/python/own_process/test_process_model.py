"""Models in processes of their own: what happens when a process ends at the wrong time."""

import logging
import os
import signal
import textwrap
import time
from dataclasses import replace

import numpy as np
import pytest

from aisle_server.backends.backend import BackendOptions, Device
from aisle_server.backends.python.own_process import process_model
from aisle_server.backends.registry import open_model
from aisle_server.errors import InternalError, InvalidArgumentError, UnavailableError, UnsupportedError
from aisle_server.model_config.schema import ModelConfig, ModelInput, ModelOutput
from tests.support.inference_requests import inference_request

CONFIG = ModelConfig(
    "m",
    backend="python",
    max_batch_size=8,
    inputs=(ModelInput("X", "FP32", (1,)),),
    outputs=(ModelOutput("Y", "FP32", (1,)),),
    parameters={"EXECUTION_PROCESS": "own"},
)
# Answers with its process id; ends when it is told a negative number. A file that the test writes keeps it from starting.
CODE = """
import os
import numpy as np
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def initialize(self, args):
        if os.path.exists(os.path.join(pb_utils.get_model_dir(), "stay_away")):
            raise pb_utils.TritonModelException("told to stay away")

    def execute(self, requests):
        values = requests[0].inputs()[0].as_numpy()
        if values[0, 0] < 0:
            os._exit(3)
        return [pb_utils.InferenceResponse([pb_utils.Tensor("Y", np.array([[os.getpid()]], np.float32))])]
"""


@pytest.fixture
def directory(tmp_path):
    """The version directory of a model."""
    directory = tmp_path / "m" / "1"
    directory.mkdir(parents=True)
    (directory / "model.py").write_text(textwrap.dedent(CODE))
    return directory


@pytest.fixture
def instance(directory):
    """An instance of the model."""
    model = open_model(CONFIG, 1, directory, BackendOptions())
    made = model.create_instance("m_0", Device())
    yield made
    made.finalize()
    model.close()


def row(value):
    """A request."""
    return [inference_request(1, X=np.array([[value]], np.float32))]


def pid_of(instance):
    """The process that answers."""
    (result,) = instance.execute(row(1)).results
    return int(result.output("Y").data[0, 0])


def test_what_a_process_was_doing_when_it_ended_is_an_error(instance, caplog):
    """The batch fails, the log says how the process ended, and the next batch waits for the new process."""
    pid = pid_of(instance)
    with pytest.raises(InternalError, match="the process of its instance has ended"):
        instance.execute(row(-1))
    assert pid_of(instance) not in (pid, os.getpid())
    assert instance.is_healthy()
    assert f"process {pid} of instance 'm_0' of model 'm' ended: exit status 3" in caplog.text


def test_a_process_that_cannot_start_again_is_tried_again_and_again(instance, directory, caplog, monkeypatch):
    """Delays grow from one try to the next; until one succeeds, the instance is unhealthy and batches are refused."""
    monkeypatch.setattr(process_model, "LONGEST_WAIT_S", 0.2)
    caplog.set_level(logging.INFO)
    (directory / "stay_away").touch()
    os.kill(pid_of(instance), signal.SIGKILL)
    deadline = time.monotonic() + 20
    while "is restarted in 0.4 s" not in caplog.text and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not instance.is_healthy()
    with pytest.raises(UnavailableError, match="has ended and is being restarted"):
        instance.execute(row(1))
    assert "could not be restarted: model 'm' version 1 failed to initialize: told to stay away" in caplog.text
    (directory / "stay_away").unlink()
    while not instance.is_healthy() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert pid_of(instance)


def test_an_instance_can_be_finalized_while_its_process_is_down(directory):
    """A stop does not wait for a restart that is hours away."""
    model = open_model(CONFIG, 1, directory, BackendOptions())
    made = model.create_instance("m_0", Device())
    (directory / "stay_away").touch()
    os.kill(pid_of(made), signal.SIGKILL)
    made.finalize()
    model.close()
    assert not made.is_healthy()


def test_a_model_that_is_never_used_leaves_no_process(directory):
    """The process that completed the configuration ends with the model."""
    model = open_model(replace(CONFIG, max_batch_size=4), 1, directory, BackendOptions())
    (worker,) = model._spare
    assert model.config.max_batch_size == 4
    model.close()
    assert worker.has_ended


@pytest.mark.parametrize(
    ("parameters", "error_class", "text"),
    [
        ({"EXECUTION_PROCESS": "moon"}, InvalidArgumentError, "is 'moon'; expected 'own' or 'server'"),
        ({"EXECUTION_ENV_PATH": "env.tar.gz"}, UnsupportedError, "names a packed environment"),
    ],
)
def test_a_place_that_cannot_be_had_is_refused(directory, parameters, error_class, text):
    """Another place than the server's process or one of its own is told to whoever loads the model."""
    with pytest.raises(error_class, match=text):
        open_model(replace(CONFIG, parameters=parameters), 1, directory, BackendOptions())
