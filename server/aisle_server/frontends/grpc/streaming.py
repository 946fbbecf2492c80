"""Answer the requests of a stream side by side: those with one answer in the order of the requests, the others as answers come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import aclosing
from typing import Any, Final, TypeVar

from aisle_server import messages
from aisle_server.errors import UnavailableError

# Requests of one stream that may be under way; then the stream is not read until one of them is answered.
WINDOW: Final = 128

Request = TypeVar("Request")
Answer = TypeVar("Answer")


async def answer_stream(
    requests: AsyncIterator[Request],
    answer: Callable[[Request], Coroutine[Any, Any, Answer] | AsyncGenerator[Answer, None]],
    send: Callable[[Answer], Awaitable[Any]],
    stopping: asyncio.Event,
) -> None:
    """Answer every request of a stream.

    Args:
        requests: Ends when the caller has asked all.
        answer: Gives one answer, which waits for those of the requests before it; or any number of answers, each sent when it comes.
            What it raises ends the stream, and the requests behind are given up.
        send: Sends one answer, and waits while the caller is slow. Never called while a call is under way.
        stopping: Once set, no more requests are read; those that were are answered.

    Raises:
        UnavailableError: The server is stopping, and all that was read has been answered.
    """
    in_order: asyncio.Queue[asyncio.Future[Answer] | None] = asyncio.Queue()
    room = asyncio.Semaphore(WINDOW)
    turn = asyncio.Lock()

    async def read() -> None:
        async for request in requests:
            await room.acquire()
            answers = answer(request)
            if isinstance(answers, AsyncGenerator):
                tasks.create_task(send_as_they_come(answers))
            else:
                in_order.put_nowait(tasks.create_task(answers))

    async def send_in_order() -> None:
        while (task := await in_order.get()) is not None:
            each = await task
            async with turn:
                await send(each)
            room.release()

    async def send_as_they_come(answers: AsyncGenerator[Answer, None]) -> None:
        async with aclosing(answers):
            async for each in answers:
                async with turn:
                    await send(each)
        room.release()

    stop = asyncio.create_task(stopping.wait())
    try:
        async with asyncio.TaskGroup() as tasks:
            reader = tasks.create_task(read())
            reader.add_done_callback(lambda _: in_order.put_nowait(None))
            stop.add_done_callback(lambda _: reader.cancel())
            tasks.create_task(send_in_order())
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    finally:
        stop.cancel()
        await asyncio.gather(stop, return_exceptions=True)
    if reader.cancelled():
        raise UnavailableError(messages.SHUTTING_DOWN)
