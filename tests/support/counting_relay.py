"""A relay between a client and a server that counts what passes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass


@dataclass
class Relay:
    """Where it listens, and the bytes that came back from the server."""

    address: str
    answered_bytes: int = 0


@contextlib.asynccontextmanager
async def counting_relay(server: str) -> AsyncIterator[Relay]:
    """Relay to a server's address."""
    relay = Relay("")
    host, _, port = server.rpartition(":")

    connections: set[asyncio.Task[None]] = set()

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter, is_answer: bool) -> None:
        with contextlib.suppress(ConnectionError):
            while chunk := await source.read(65536):
                relay.answered_bytes += len(chunk) if is_answer else 0
                sink.write(chunk)
                await sink.drain()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        upstream_reader, upstream_writer = await asyncio.open_connection(host, int(port))
        pumps = [pump(reader, upstream_writer, False), pump(upstream_reader, writer, True)]
        try:
            await asyncio.wait([asyncio.create_task(each) for each in pumps], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in (writer, upstream_writer):
                each.close()
            with contextlib.suppress(ConnectionError):
                await asyncio.gather(writer.wait_closed(), upstream_writer.wait_closed())

    listener = await asyncio.start_server(connected, "127.0.0.1", 0)
    relay.address = "{}:{}".format(*listener.sockets[0].getsockname())
    async with listener:
        yield relay
        await asyncio.gather(*connections)
