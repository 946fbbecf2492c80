"""Answer the requests of a stream side by side, and send the answers in the order of the requests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, TypeVar

from aisle_server import messages
from aisle_server.errors import UnavailableError

# Requests of one stream that may be under way; then the stream is not read until the first of them is answered.
WINDOW: Final = 128

Request = TypeVar("Request")
Answer = TypeVar("Answer")


async def answer_in_order(
    requests: AsyncIterator[Request],
    answer: Callable[[Request], Awaitable[Answer]],
    send: Callable[[Answer], Awaitable[Any]],
    stopping: asyncio.Event,
) -> None:
    """Answer every request of a stream.

    Args:
        requests: Ends when the caller has asked all.
        answer: Answers one request. What it raises ends the stream, and the requests behind are given up.
        send: Sends one answer, and waits while the caller is slow.
        stopping: Once set, no more requests are read; those that were are answered.

    Raises:
        UnavailableError: The server is stopping, and all that was read has been answered.
    """
    answers: asyncio.Queue[asyncio.Future[Answer] | None] = asyncio.Queue()
    room = asyncio.Semaphore(WINDOW)
    under_way: set[asyncio.Future[Answer]] = set()

    async def read() -> None:
        async for request in requests:
            await room.acquire()
            task = asyncio.ensure_future(answer(request))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
            answers.put_nowait(task)

    reader = asyncio.create_task(read())
    reader.add_done_callback(lambda _: answers.put_nowait(None))
    stop = asyncio.create_task(stopping.wait())
    stop.add_done_callback(lambda _: reader.cancel())
    try:
        while (task := await answers.get()) is not None:
            await send(await task)
            room.release()
        if stopping.is_set() and reader.cancelled():
            raise UnavailableError(messages.SHUTTING_DOWN)
        reader.result()
    finally:
        left: list[asyncio.Future[Any]] = [stop, reader, *under_way]
        for each in left:
            each.cancel()
        await asyncio.gather(*left, return_exceptions=True)
