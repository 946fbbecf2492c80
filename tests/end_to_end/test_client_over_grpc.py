"""The client over a real channel: deadlines, servers that come and go, and messages of every size."""

from __future__ import annotations

import asyncio
import socket
import threading
import time

import grpc
import pytest

from aisle_client import (
    AsyncCategorizer,
    Categorizer,
    ClientOptions,
    DeadlineExceededError,
    InferenceClient,
    MessageTooLargeError,
    NotFoundError,
    Product,
    RetryPolicy,
    ServerUnreachableError,
)
from tests.support.fake_triton import FakeTriton, Refusal, listening


@pytest.fixture
def fake():
    """A server that listens on a free port while `address` is used."""
    return FakeTriton()


@pytest.fixture
def address(fake):
    """Where the fake listens."""
    with listening(fake) as address:
        yield address


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_questions_and_answers(address):
    """Titles and pictures go over the wire and categories come back."""
    with Categorizer(address) as categorizer:
        assert categorizer.categorize("Blue shirts").best.name == "Shirts"
        assert categorizer.categorize(image=b"\x03").best.name == "Watches"
        outcomes = list(categorizer.categorize_many(Product(f"{n} shirts") for n in range(200)))
    assert len(outcomes) == 200
    assert {outcome.categorization.best.name for outcome in outcomes} == {"Shirts"}


async def test_many_tasks_share_a_channel(address):
    """A hundred tasks ask at once over one channel, and each gets its own answer."""
    async with AsyncCategorizer(address) as categorizer:
        words = [("shirts", "watches", "handbags")[n % 3] for n in range(100)]
        answers = await asyncio.gather(*(categorizer.categorize(f"{n} {word}") for n, word in enumerate(words)))
    assert [answer.best.name.casefold() for answer in answers] == words


def test_nobody_answers():
    """An address where nobody listens is told within the attempts, with the address."""
    options = ClientOptions(address=f"127.0.0.1:{_free_port()}", timeout_s=5)
    started_s = time.monotonic()
    with InferenceClient(options) as client, pytest.raises(ServerUnreachableError, match=options.address):
        client.is_server_live()
    assert time.monotonic() - started_s < 5


def test_a_server_that_starts_late(fake):
    """A call made before the server listens is answered once it does: that is what its attempts are for."""
    port = _free_port()
    retry = RetryPolicy(max_attempts=50, max_backoff_s=0.2)
    with InferenceClient(ClientOptions(address=f"127.0.0.1:{port}", timeout_s=20, retry=retry)) as client:
        answers = []
        thread = threading.Thread(target=lambda: answers.append(client.is_server_live()))
        thread.start()
        time.sleep(0.3)
        with listening(fake, port):
            thread.join(20)
    assert answers == [True]


def test_a_deadline(fake, address):
    """A server that does not answer in time is left at the deadline."""
    fake.hold.clear()
    with Categorizer(ClientOptions(address=address)) as categorizer:
        started_s = time.monotonic()
        with pytest.raises(DeadlineExceededError, match="ModelInfer"):
            categorizer.categorize("shirts", timeout_s=0.3)
        assert 0.25 < time.monotonic() - started_s < 3
    fake.hold.set()


async def test_a_deadline_in_asyncio(fake, address):
    """The same holds for tasks."""
    fake.hold.clear()
    async with AsyncCategorizer(ClientOptions(address=address)) as categorizer:
        with pytest.raises(DeadlineExceededError):
            await categorizer.categorize("shirts", timeout_s=0.3)
    fake.hold.set()


def test_a_status_of_the_server(fake, address):
    """A status that the server answers is the error that stands for it."""
    fake.refusals = [Refusal(grpc.StatusCode.NOT_FOUND, "Request for unknown model: 'x' is not found")]
    with InferenceClient(address) as client, pytest.raises(NotFoundError, match="'x' is not found"):
        client.model_metadata("x")


def test_large_messages(address):
    """A picture beyond gRPC's own limit of 4 MiB is sent and answered; a limit of one's own is held."""
    picture = b"\x03" + bytes(6 * 2**20)
    with Categorizer(address) as categorizer:
        assert categorizer.categorize(image=picture).best.name == "Watches"
    with (
        Categorizer(ClientOptions(address=address, max_message_bytes=2**20)) as categorizer,
        pytest.raises(MessageTooLargeError),
    ):
        categorizer.categorize(image=picture)


def test_a_closed_client(address):
    """Calls after the end are refused as a mistake of the program, not of the network."""
    client = InferenceClient(address)
    client.close()
    with pytest.raises(RuntimeError, match="closed"):
        client.is_server_live()
