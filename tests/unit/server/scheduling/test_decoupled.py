"""Requests of decoupled models: queued as ever, answered any number of times, booked when the last response has come."""

import asyncio
from contextlib import aclosing

import pytest

from aisle_server.errors import (
    InternalError,
    InvalidArgumentError,
    QueueTimeoutError,
    UnavailableError,
    UnsupportedError,
)
from aisle_server.inference import InferenceResponse
from aisle_server.instance_group import InstanceGroup
from aisle_server.instance_group.response_stream import CAPACITY
from aisle_server.model_config.schema import DynamicBatching, QueuePolicy
from aisle_server.scheduling.clock import SystemClock
from aisle_server.scheduling.factory import create_scheduler
from aisle_server.statistics import FailureReason, ModelStatistics
from tests.support.decoupled_backend import DecoupledModel
from tests.support.inference_requests import inference_request

REQUEST = inference_request(1, X=[[1.0]])


class Served:
    """A decoupled model with its scheduler and books."""

    def __init__(self, **config):
        self.model = DecoupledModel(**config)
        self.statistics = ModelStatistics()

    async def __aenter__(self):
        self.group = await InstanceGroup.start(self.model, self.model.config)
        self.scheduler = create_scheduler(self.model.config, self.group, self.statistics, SystemClock())
        return self

    async def __aexit__(self, *_):
        await self.scheduler.stop()
        await self.group.stop()

    async def taken(self):
        """The next request that the instance takes, with its sender."""
        return await asyncio.to_thread(self.model.taken.get)

    def responses(self, request=REQUEST):
        """Start reading the responses to a request."""
        return asyncio.ensure_future(read(self.scheduler.stream(request)))

    @property
    def books(self):
        return self.statistics.snapshot()


async def read(stream):
    """Everything that a stream gives: pairs of result and final flag."""
    return [(each.result, each.is_final) async for each in stream]


def response(number):
    """A response that tests tell by its id."""
    return InferenceResponse("m", 1, str(number))


async def test_responses_come_in_the_order_in_which_they_are_sent():
    """A request is answered as often as the model likes, after `execute_decoupled` has long returned."""
    async with Served() as served:
        answers = served.responses()
        request, sender = await served.taken()
        assert request.inputs is REQUEST.inputs
        sent = [response(0), InvalidArgumentError("no"), response(2)]
        for each in sent:
            await asyncio.to_thread(sender.send, each, is_final=False)
        sender.send(None, is_final=True)
        sender.send(response(9), is_final=True)
        assert await answers == [*((each, False) for each in sent), (None, True)]


async def test_the_instance_is_free_before_the_answers_are_there():
    """The next request is taken while the one before is still being answered, and each gets its own responses."""
    async with Served() as served:
        first, second = served.responses(), served.responses()
        _, sender_of_first = await served.taken()
        _, sender_of_second = await served.taken()
        sender_of_second.send(response(2), is_final=True)
        sender_of_first.send(response(1), is_final=True)
        assert [results[0][0].id for results in (await first, await second)] == ["1", "2"]


async def test_a_request_is_booked_once_and_each_response_by_its_number():
    """A request counts when its last response has come: as a failure when one of them was an error."""
    async with Served(max_batch_size=4, dynamic_batching=DynamicBatching()) as served:
        for results in ([response(0), response(1)], [response(0), InternalError("no")]):
            answers = served.responses()
            _, sender = await served.taken()
            for result in results:
                sender.send(result, is_final=False)
            await asyncio.sleep(0.01)
            assert served.scheduler.pending_request_count == 0
            sender.send(None, is_final=True)
            await answers
        books = served.books
    assert (books.success.count, books.failures[FailureReason.BACKEND].count, books.execution_count) == (1, 1, 2)
    outcomes = [(each.success.count, each.fail.count, each.empty_response.count) for each in books.responses.values()]
    assert outcomes == [(2, 0, 0), (1, 1, 0), (0, 0, 2)]
    assert books.responses[2].compute_infer.ns > 10_000_000


async def test_a_caller_that_leaves_is_told_to_the_model():
    """Closing the stream sets the request's cancellation, and what the model still sends is dropped without waiting."""
    async with Served() as served:
        async with aclosing(served.scheduler.stream(REQUEST)) as stream:
            reading = asyncio.ensure_future(anext(stream))
            request, sender = await served.taken()
            sender.send(response(0), is_final=False)
            assert (await reading).result.id == "0"
            assert not request.cancellation.is_requested
        assert request.cancellation.is_requested
        for number in range(2 * CAPACITY):
            sender.send(response(number), is_final=False)
        assert served.books.failures[FailureReason.CANCELED].count == 1


async def test_a_caller_that_leaves_the_queue_is_never_executed():
    """A queued request whose caller leaves does not reach the model, and makes way for others."""
    batching = DynamicBatching(preferred_batch_size=(2,), max_queue_delay_microseconds=10**9)
    async with Served(max_batch_size=2, dynamic_batching=batching) as served:
        gone = served.responses()
        await asyncio.sleep(0.01)
        assert served.scheduler.pending_request_count == 1
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        answers = [served.responses(REQUEST.changed(id=name)) for name in ("a", "b")]
        for name in ("a", "b"):
            request, sender = await served.taken()
            assert request.id == name
            sender.send(None, is_final=True)
        await asyncio.gather(*answers)


async def test_a_slow_caller_holds_the_model_back():
    """A model may be so many responses ahead of its caller and no more; reading one lets one in."""
    async with Served() as served:
        stream = served.scheduler.stream(REQUEST)
        reading = asyncio.ensure_future(anext(stream))
        _, sender = await served.taken()

        def send_all():
            for number in range(CAPACITY + 2):
                sender.send(response(number), is_final=False)
            sender.send(None, is_final=True)

        sending = asyncio.ensure_future(asyncio.to_thread(send_all))
        await reading
        await asyncio.sleep(0.05)
        assert not sending.done()
        assert len(await read(stream)) == CAPACITY + 2
        await sending


async def test_what_an_execution_raises_ends_its_requests():
    """An error of the execution is the final response of those that have none; its reason stays in the log."""
    async with Served() as served:
        for failure, text in (
            (InvalidArgumentError("no"), "no"),
            (ValueError("secret"), "model 'm' failed to execute the request"),
        ):
            served.model.failure = failure
            ((error, is_final),) = await served.responses()
            assert (error.message, is_final) == (text, True)
        assert served.books.failures[FailureReason.BACKEND].count == 2


async def test_a_timeout_in_the_queue_is_a_response():
    """A request that waits too long gets its refusal as its final response."""
    policy = QueuePolicy(default_timeout_microseconds=1000)
    batching = DynamicBatching(
        preferred_batch_size=(2,), max_queue_delay_microseconds=10**9, default_queue_policy=policy
    )
    async with Served(max_batch_size=2, dynamic_batching=batching) as served:
        ((error, is_final),) = await served.responses()
        assert (type(error), is_final) == (QueueTimeoutError, True)


async def test_stopping_waits_for_the_last_response():
    """A stopping scheduler refuses what is new, and answers to the end what it has accepted."""
    async with Served() as served:
        answers = served.responses()
        _, sender = await served.taken()
        stopping = asyncio.ensure_future(served.scheduler.stop())
        await asyncio.sleep(0.01)
        with pytest.raises(UnavailableError):
            await served.responses()
        assert not stopping.done()
        sender.send(response(0), is_final=True)
        await stopping
        assert len(await answers) == 1


async def test_one_answer_cannot_be_asked_of_a_decoupled_model():
    """`infer` is refused in Triton's words."""
    async with Served() as served:
        with pytest.raises(UnsupportedError, match="doesn't support models with decoupled transaction policy"):
            await served.scheduler.infer(REQUEST)
