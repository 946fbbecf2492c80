"""Ask an ASGI application without a socket."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, NamedTuple


class Answer(NamedTuple):
    """What the application said."""

    status: int
    headers: dict[str, str]
    body: bytes


async def ask(
    app: Any,
    path: str,
    method: str = "GET",
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    leaves_after_s: float | None = None,
) -> Answer:
    """Send one request, and wait for the answer or leave before it comes.

    Args:
        app: Whom to ask.
        path: Without a query.
        method: Of HTTP.
        body: In one piece.
        headers: As the caller sends them; the length of the body is added.
        leaves_after_s: When the caller leaves; None for never.
    """
    messages: list[dict[str, Any]] = []
    unread = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        if unread:
            return unread.pop()
        await asyncio.sleep(3600 if leaves_after_s is None else leaves_after_s)
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        messages.append(message)

    given = {**(headers or {}), "content-length": str(len(body))}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in given.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
    }
    await app(scope, receive, send)
    told = {key.decode(): value.decode() for key, value in messages[0]["headers"]}
    return Answer(messages[0]["status"], told, b"".join(message.get("body", b"") for message in messages[1:]))
