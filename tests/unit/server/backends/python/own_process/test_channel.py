"""Messages between the server and a model's process: what goes in at one end comes out at the other."""

import socket
from threading import Thread
from types import MappingProxyType

import numpy as np
import pytest

from aisle_server.backends.python.own_process.channel import Channel
from aisle_server.backends.python.own_process.messages import Answer, Call, Execute
from aisle_server.errors import QueueFullError
from tests.support.inference_requests import inference_request


@pytest.fixture
def ends():
    """The two ends of a channel."""
    pair = [Channel(end) for end in socket.socketpair()]
    yield pair
    for end in pair:
        end.close()


def exchanged(ends, message):
    """A message, sent from one end while the other receives it."""
    sending = Thread(target=ends[0].send, args=(message,))
    sending.start()
    received = ends[1].receive()
    sending.join()
    return received


def test_requests_arrive_whole(ends):
    """Tensors of every kind, parameters, and the rest of a request arrive as they were sent."""
    big = np.arange(3_000_000, dtype=np.int64).reshape(3, -1)[:, ::2]
    text = np.array([[b"\x00\xff"], [b""]], dtype=object)
    request = inference_request(3, X=big, T=text).changed(id="7", parameters=MappingProxyType({"a": 1}), priority=2)
    received = exchanged(ends, Execute([request], [5]))
    (got,) = received.requests
    np.testing.assert_array_equal(got.inputs["X"].data, big)
    assert got.inputs["T"].data.tolist() == text.tolist()
    assert (got.id, got.parameters, got.priority, received.keys) == ("7", {"a": 1}, 2, [5])


def test_any_number_of_arrays_arrives(ends):
    """A message has as many arrays as it likes, empty ones among them, more than the kernel takes at once."""
    arrays = [np.full(index % 3, index, np.float32) for index in range(1500)]
    received = exchanged(ends, Call(1, "f", tuple(arrays))).arguments
    assert [each.tolist() for each in received] == [each.tolist() for each in arrays]


def test_errors_keep_their_class_and_text(ends):
    """What is raised at one end can be raised at the other."""
    error = exchanged(ends, Answer(1, error=QueueFullError("full"))).error
    assert (type(error), error.message) == (QueueFullError, "full")


def test_what_cannot_be_sent_leaves_the_channel_as_it_was(ends):
    """A message that cannot be pickled is refused whole, and the next one arrives."""
    with pytest.raises(TypeError, match="pickle"):
        ends[0].send(Answer(1, result=(each for each in ())))
    assert exchanged(ends, Answer(2)).key == 2


def test_the_end_of_one_side_is_told_to_the_other(ends):
    """Who waits for a message reads that there will be none, in the middle of one too; who sends is told as well."""
    here, there = socket.socketpair()
    channel = Channel(there)
    here.sendall(b"\x01\x00\x00\x00\x10")
    here.close()
    with pytest.raises(EOFError):
        channel.receive()
    channel.close()
    ends[0].close()
    with pytest.raises(EOFError):
        ends[1].receive()
    with pytest.raises(OSError, match="pipe"):
        ends[1].send(Answer(1))
