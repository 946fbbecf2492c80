"""A network of one's own: what is answered is written down beforehand, and no socket is opened."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpcore


def answer(body: bytes = b"", status: int = 200, **headers: str) -> bytes:
    """Write down an answer with a `Content-Length`; an underscore in a header's name stands for a hyphen."""
    lines = {"Content-Length": str(len(body)), **{name.replace("_", "-"): value for name, value in headers.items()}}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"HTTP/1.1 {status} Said\r\n{head}Connection: close\r\n\r\n".encode() + body


@dataclass
class ScriptedNetwork(httpcore.NetworkBackend):
    """Answers each connection with what comes next in the script.

    Attributes:
        script: For each connection in turn: the bytes of an answer, an iterable of chunks, or an error to raise instead
            of connecting.
        connected: Host and port of each connection so far.
        asked: The first line of each request so far.
        heads: Each request so far, whole.
    """

    script: list[bytes | Iterable[bytes] | Exception]
    connected: list[tuple[str, int]] = field(default_factory=list)
    heads: list[bytes] = field(default_factory=list)

    @property
    def asked(self) -> list[str]:
        return [head.split(b"\r\n")[0].decode() for head in self.heads]

    def connect_tcp(self, host: str, port: int, *arguments: Any, **options: Any) -> httpcore.NetworkStream:
        self.connected.append((host, port))
        said = self.script.pop(0)
        if isinstance(said, Exception):
            raise said
        return _ScriptedStream(iter([said] if isinstance(said, bytes) else said), self.heads.append)


class _ScriptedStream(httpcore.NetworkStream):
    def __init__(self, chunks: Iterator[bytes], heard: Callable[[bytes], None]) -> None:
        self._chunks = chunks
        self._heard = heard

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return next(self._chunks, b"")

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if buffer:  # httpcore writes an empty body too
            self._heard(bytes(buffer))

    def close(self) -> None:
        pass

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return self

    def get_extra_info(self, info: str) -> Any:
        return None
