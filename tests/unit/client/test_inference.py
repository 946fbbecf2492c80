"""The client of any Triton-style server, in threads and in asyncio alike, over a fake that needs no socket."""

import asyncio

import grpc
import numpy as np
import pytest

from aisle_client import (
    AsyncInferenceClient,
    ClientOptions,
    Duration,
    InferenceClient,
    InvalidArgumentError,
    InvalidInputError,
    ModelIndex,
    ProtocolError,
    RequestedOutput,
    RetryPolicy,
    ServerMetadata,
    TensorMetadata,
    UnavailableError,
    UnsupportedError,
)
from tests.support.fake_triton import FakeAsyncTransport, FakeTransport, FakeTriton, Refusal

BUSY = Refusal(grpc.StatusCode.UNAVAILABLE, "Exceeds maximum queue size")


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self):
        self.now_s = 100.0
        self.sleeps = []

    def __call__(self):
        return self.now_s

    def sleep(self, seconds):
        self.sleeps.append(seconds)
        self.now_s += seconds

    async def async_sleep(self, seconds):
        self.sleep(seconds)


class Blocking:
    """An `AsyncInferenceClient` that answers like the sync one, so that both are held to the same tests."""

    def __init__(self, client):
        self._client = client

    def __getattr__(self, name):
        method = getattr(self._client, name)
        return lambda *arguments, **named: asyncio.run(method(*arguments, **named))


@pytest.fixture
def fake():
    """A server without a socket."""
    return FakeTriton()


@pytest.fixture
def clock():
    """Time in the test's hands."""
    return Clock()


@pytest.fixture(params=["threads", "asyncio"])
def make_client(request, fake, clock):
    """Makes a client of the fake: the sync one, or the async one behind a blocking face."""

    def make(options=ClientOptions()):  # noqa: B008 - frozen
        times = {"clock": clock, "draw": lambda: 1.0}
        if request.param == "threads":
            return InferenceClient(options, transport=FakeTransport(fake), sleep=clock.sleep, **times)
        return Blocking(
            AsyncInferenceClient(options, transport=FakeAsyncTransport(fake), sleep=clock.async_sleep, **times)
        )

    return make


@pytest.fixture
def client(make_client):
    """A client of the fake with default options."""
    return make_client()


def test_health(client, fake):
    """Live, ready and a model's readiness are plain truth values."""
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("product_categorizer")
    fake.is_ready = False
    assert not client.is_server_ready()


def test_descriptions(client):
    """Metadata, configuration, statistics and index come as records of our own."""
    assert client.server_metadata() == ServerMetadata("fake", "0", ("classification",))
    metadata = client.model_metadata("product_categorizer")
    assert metadata.inputs == (TensorMetadata("TITLE", "BYTES", (-1, 1)),)
    assert client.model_config("product_categorizer")["input"][0]["dims"] == [1]
    (statistics,) = client.model_statistics()
    assert statistics.durations["success"] == Duration(7, 7_000_000)
    assert statistics.executions == {4: Duration(1, 500)}
    assert client.repository_index(ready_only=True) == (ModelIndex("product_categorizer", "1", "READY", ""),)
    assert client.repository_index()[1].reason == "no such file"


def test_tensors_come_back(client):
    """What goes into an identity comes out with its datatype and shape, and with the request's id."""
    array = np.arange(6, dtype=np.int16).reshape(2, 3)
    result = client.infer("identity", {"X": array, "T": [["a"], ["b"]]}, request_id="r1")
    assert result.outputs["X"].dtype == np.int16
    assert result.outputs["X"].tolist() == array.tolist()
    assert result.outputs["T"].tolist() == [[b"a"], [b"b"]]
    assert (result.model, result.version, result.id) == ("identity", "1", "r1")


def test_one_sample(client, fake):
    """A sample goes out as a batch of one and comes back without the batch dimension."""
    result = client.infer_sample("identity", {"X": np.zeros((4,), np.float32)})
    assert list(fake.requests[0].inputs[0].shape) == [1, 4]
    assert result.outputs["X"].shape == (4,)


def test_classes_of_a_sample(client):
    """The classification extension goes with samples."""
    outputs = [RequestedOutput("CATEGORY", classification=2)]
    result = client.infer_sample("product_categorizer", {"TITLE": ["shirts"]}, outputs)
    assert result.outputs["CATEGORY"][0].endswith(b":1:Apparel > Topwear > Shirts")


def test_a_batch_has_one_size(client, fake):
    """Rows that do not match are refused before they are sent, by name and size."""
    assert client.infer_batch("identity", {"X": np.zeros((2, 3)), "Y": np.zeros((2, 1))}).outputs["X"].shape == (2, 3)
    with pytest.raises(InvalidInputError, match="'X' has 2, 'Y' has 3"):
        client.infer_batch("identity", {"X": np.zeros((2, 3)), "Y": np.zeros((3, 3))})
    with pytest.raises(InvalidInputError, match="scalar"):
        client.infer_batch("identity", {"X": np.float32(1)})
    assert len(fake.requests) == 1


def test_an_answer_that_is_no_sample(client):
    """A model that answers a sample with several rows is told from one that does not batch."""
    with pytest.raises(ProtocolError, match="batch of one"):
        client.infer_sample("two_rows", {"X": np.zeros(3)})


def test_errors_have_the_request_id(client, fake):
    """A refused request raises the leaf for its status, with its id and the server's own words."""
    fake.refusals = [Refusal(grpc.StatusCode.INVALID_ARGUMENT, "unexpected shape")]
    with pytest.raises(InvalidArgumentError) as caught:
        client.infer("identity", {"X": [1]}, request_id="r7")
    assert (caught.value.server_text, caught.value.request_id) == ("unexpected shape", "r7")


def test_busy_is_asked_again(client, fake, clock):
    """UNAVAILABLE is asked again after growing waits, and the answer is the answer."""
    fake.refusals = [BUSY, BUSY]
    assert client.is_server_live()
    assert clock.sleeps == pytest.approx([0.1, 0.2])


def test_attempts_are_bounded(client, fake):
    """After its attempts are used up, a call ends with the server's words."""
    fake.refusals = [BUSY] * 9
    with pytest.raises(UnavailableError, match="Exceeds maximum queue size"):
        client.is_server_live()
    assert len(fake.methods) == 3


def test_nothing_else_is_asked_again(client, fake):
    """A request that is wrong would be wrong again, and is sent once."""
    fake.refusals = [Refusal(grpc.StatusCode.INVALID_ARGUMENT, "no")]
    with pytest.raises(InvalidArgumentError):
        client.is_server_live()
    assert len(fake.methods) == 1


def test_a_sequence_is_not_asked_again(client, fake):
    """A step of a sequence is sent once, whatever becomes of it."""
    fake.refusals = [BUSY]
    with pytest.raises(UnavailableError):
        client.infer("identity", {"X": [1]}, parameters={"sequence_id": 1})
    assert len(fake.methods) == 1


def test_waits_fit_into_the_deadline(make_client, fake, clock):
    """A call never waits past its deadline: the last failure is raised while there is time to hear of it."""
    client = make_client(ClientOptions(timeout_s=0.25, retry=RetryPolicy(max_attempts=50)))
    fake.refusals = [BUSY] * 50
    with pytest.raises(UnavailableError):
        client.is_server_live()
    assert clock.sleeps == pytest.approx([0.1])


def test_an_attempt_gets_what_is_left(fake, clock):
    """The deadline is the call's, not each attempt's."""
    transport = FakeTransport(fake)
    client = InferenceClient(
        ClientOptions(timeout_s=1.0), transport=transport, clock=clock, sleep=clock.sleep, draw=lambda: 1.0
    )
    fake.refusals = [BUSY, BUSY]
    client.is_server_live()
    client.is_server_live(timeout_s=0.5)
    assert transport.timeouts_s == pytest.approx([1.0, 0.9, 0.7, 0.5])


def test_what_a_server_does_not_offer(client, fake):
    """UNIMPLEMENTED is its own error."""
    fake.refusals = [Refusal(grpc.StatusCode.UNIMPLEMENTED, "not offered")]
    with pytest.raises(UnsupportedError):
        client.repository_index()


def test_a_block_closes_its_client(fake):
    """Leaving the `with` block gives the connection back."""
    transport = FakeTransport(fake)
    with InferenceClient(transport=transport) as client:
        assert not transport.is_closed
    assert transport.is_closed
    assert repr(client) == "InferenceClient('127.0.0.1:8001')"


async def test_an_async_block_closes_its_client(fake):
    """Leaving the `async with` block gives the connection back."""
    transport = FakeAsyncTransport(fake)
    async with AsyncInferenceClient("shop.example:1", transport=transport) as client:
        assert not transport.is_closed
    assert transport.is_closed
    assert repr(client) == "AsyncInferenceClient('shop.example:1')"
