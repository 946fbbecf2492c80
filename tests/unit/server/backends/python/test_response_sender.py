"""Response senders: of models that answer once, of models that answer often, and of models that forget to."""

import re
import textwrap
import threading
from queue import SimpleQueue

import numpy as np
import pytest

from aisle_server.backends.backend import BackendOptions, Device
from aisle_server.backends.registry import open_model
from aisle_server.errors import InternalError, InvalidArgumentError
from aisle_server.inference import InferenceResponse
from aisle_server.model_config.schema import ModelConfig, ModelInput, ModelOutput
from tests.support.inference_requests import inference_request

CONFIG = ModelConfig(
    "m",
    backend="python",
    max_batch_size=8,
    inputs=(ModelInput("X", "FP32", (1,)),),
    outputs=(ModelOutput("Y", "FP32", (1,)),),
)
DECOUPLED = ModelConfig(
    "m", backend="python", max_batch_size=8, inputs=CONFIG.inputs, outputs=CONFIG.outputs, decoupled=True
)
HEAD = """
import asyncio
import threading

import numpy as np
import triton_python_backend_utils as pb_utils

FINAL = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL

def respond(request):
    return pb_utils.InferenceResponse([pb_utils.Tensor("Y", request.inputs()[0].as_numpy())])

def refused(function, *arguments, **named):
    try:
        function(*arguments, **named)
    except pb_utils.TritonModelException as error:
        return pb_utils.InferenceResponse(error=pb_utils.TritonError(error.message(), pb_utils.TritonError.INVALID_ARG))
"""


class Collected:
    """A sender of the server that keeps what it is sent."""

    def __init__(self):
        self._sent = SimpleQueue()

    def send(self, result, *, is_final):
        self._sent.put((result, is_final))

    def next(self):
        """The next result: the value of its output, its error's text, or None; and the final flag."""
        result, is_final = self._sent.get(timeout=5)
        if isinstance(result, InferenceResponse):
            return float(result.output("Y").data[0, 0]), is_final
        return None if result is None else result.message, is_final


@pytest.fixture
def instance(tmp_path):
    """Makes the instance of a model whose `execute` is this, and finalizes it."""
    made = []

    def make(execute, config):
        directory = tmp_path / "m" / "1"
        directory.mkdir(parents=True)
        code = textwrap.indent(textwrap.dedent(execute), "    ")
        (directory / "model.py").write_text(f"{HEAD}\n\nclass TritonPythonModel:\n{code}")
        model = open_model(config, 1, directory, BackendOptions())
        made.extend((model.create_instance("m_0", Device()), model))
        return made[0]

    yield make
    if made:
        made[0].finalize()
        made[1].close()


def row(value):
    """A request with one row."""
    return inference_request(1, X=np.array([[value]], np.float32))


@pytest.mark.parametrize(
    "execute",
    [
        """
        def execute(self, requests):
            for request in requests:
                request.get_response_sender().send(respond(request), flags=FINAL)
        """,
        """
        def execute(self, requests):
            for request in requests[1:]:
                sender = request.get_response_sender()
                sender.send(respond(request))
                sender.send(flags=FINAL)
            return [respond(requests[0]), *(None for _ in requests[1:])]
        """,
        """
        def execute(self, requests):
            for request in requests:
                sender = request.get_response_sender()
                threading.Timer(0.02, sender.send, (respond(request), FINAL)).start()
            return None
        """,
    ],
)
def test_a_model_that_answers_once_may_do_so_by_sender(instance, execute):
    """All, some, or later: `execute` gives the response of each request, from its list or its sender."""
    results = instance(execute, CONFIG).execute([row(1), row(2)]).results
    assert [float(result.output("Y").data[0, 0]) for result in results] == [1, 2]


@pytest.mark.parametrize(
    ("call", "text"),
    [
        ("sender.send(respond(request)), refused(sender.send, respond(request))", "cannot send more than one response"),
        ("None, refused(sender.send, flags=FINAL)", "cannot send complete final before sending a response"),
        (
            "None, refused(sender.send)",
            "Inference Response object must be provided when the response flags is set to zero",
        ),
        ("None, refused(sender.send, respond(request), 2)", "Unsupported flag provided"),
        ("sender.send(respond(request), FINAL), refused(sender.send, flags=FINAL)", "Response sender has been closed"),
    ],
)
def test_a_wrong_use_is_told_to_the_model(instance, call, text):
    """What cannot be sent is refused where it is sent, in Triton's words."""
    execute = f"""
    def execute(self, requests):
        (request,) = requests
        sender = request.get_response_sender()
        return [({call})[1]]
    """
    (result,) = instance(execute, CONFIG).execute([row(1)]).results
    assert isinstance(result, InvalidArgumentError)
    assert text in result.message


def test_a_sender_that_is_dropped_answers_for_itself(instance):
    """A model that asks for a sender, sends nothing and returns nothing does not keep its caller waiting."""
    execute = "def execute(self, requests):\n    requests[0].get_response_sender()"
    (result,) = instance(execute, CONFIG).execute([row(1)]).results
    assert isinstance(result, InternalError)
    assert result.message == "the model ended without a final response to the request"


def test_a_response_that_does_not_fit_is_an_error(instance):
    """What a decoupled model sends is checked as what another one returns."""
    execute = """
    def execute(self, requests):
        sender = requests[0].get_response_sender()
        sender.send(pb_utils.InferenceResponse([pb_utils.Tensor("Y", np.zeros((1, 2), np.float32))]))
        sender.send("text", FINAL)
    """
    sender = Collected()
    instance(execute, DECOUPLED).execute_decoupled([row(1)], [sender])
    assert sender.next() == ("model 'm' returned output 'Y' of shape [1,2]; expected [1,1]", False)
    assert re.match("model 'm' returned a str for the request", sender.next()[0])


def test_coroutines_of_a_decoupled_model_take_turns(instance):
    """An `execute` that waits lets the next one run, and what it raises is told to its own requests."""
    execute = """
    async def execute(self, requests):
        (request,) = requests
        value = request.inputs()[0].as_numpy()[0, 0]
        if value == 1:
            self.has_second = asyncio.Event()
            await self.has_second.wait()
        if value == 3:
            raise pb_utils.TritonModelException("no")
        self.has_second.set()
        request.get_response_sender().send(respond(request), FINAL)
    """
    made = instance(execute, DECOUPLED)
    senders = [Collected() for _ in range(3)]
    for value, sender in enumerate(senders, 1):
        made.execute_decoupled([row(value)], [sender])
    assert [sender.next() for sender in senders] == [
        (1, True),
        (2, True),
        ("Failed to process the request(s) for model 'm', message: no", True),
    ]


def test_a_model_sees_that_its_caller_has_left(instance):
    """`is_cancelled` of request and sender turn true when the caller leaves, while the model executes."""
    execute = """
    def execute(self, requests):
        (request,) = requests
        before = request.is_cancelled()
        while not request.is_cancelled():
            pass
        cancelled = [before, request.is_cancelled(), request.get_response_sender().is_cancelled()]
        return [pb_utils.InferenceResponse(error=pb_utils.TritonError(str(cancelled)))]
    """
    request = row(1)
    threading.Timer(0.05, request.cancellation.request).start()
    (result,) = instance(execute, CONFIG).execute([request]).results
    assert result.message == "[False, True, True]"
