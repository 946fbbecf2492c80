"""Bodies: read and decompressed within a bound, and compressed as the caller likes.

Source: RFC 9110, "Content-Encoding" and "Accept-Encoding"; of the codings, those that Triton speaks.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Iterator
from typing import Final, TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import Request

from aisle_server import messages
from aisle_server.errors import InvalidArgumentError
from aisle_server.frontends.inflight_bytes import Lease

# How long the next piece of a body may take.
PIECE_TIMEOUT_S: Final = 30
# zlib's `wbits`: the container around the deflated bytes.
_CONTAINERS: Final = {"gzip": 31, "deflate": 15}
# Up to here the event loop does it at once; beyond, a thread does, and zlib lets others run meanwhile.
_AT_ONCE_BYTES: Final = 64 * 1024
_WORTH_COMPRESSING_BYTES: Final = 256
# What is decompressed at a time, and what it is decompressed from.
_PIECE_BYTES: Final = 256 * 1024
_SLICE_BYTES: Final = 64 * 1024

Result = TypeVar("Result")


async def read_body(request: Request, limit_bytes: int, lease: Lease) -> bytes:
    """Return a request's body, decompressed.

    Args:
        request: Its body has not been read.
        limit_bytes: Of the body, before and after it is decompressed.
        lease: Is charged what has come, piece by piece: a caller who announces much and sends nothing takes nobody's room.

    Raises:
        InvalidArgumentError: It is larger than the limit, before or after it was decompressed, or is not what its encoding says.
        UnavailableError: There is no room for it now.
        HTTPException: Its encoding is unknown (415), or it does not arrive (408).
    """
    coding = request.headers.get("content-encoding", "identity").strip().lower() or "identity"
    if coding != "identity" and coding not in _CONTAINERS:
        raise HTTPException(415, f"unsupported Content-Encoding '{coding}'; expected gzip, deflate or identity")
    announced = request.headers.get("content-length", "")
    if announced.isdecimal():
        if int(announced) > limit_bytes:
            raise InvalidArgumentError(messages.body_too_large(announced, limit_bytes))
        lease.announce(int(announced))
    body = await _received(request, limit_bytes, lease)
    if coding == "identity":
        return body
    pieces: list[bytes] = []
    decompressing = decompressed(body, coding, limit_bytes)
    while (piece := await _off_loop(len(body), lambda: next(decompressing, None))) is not None:
        lease.grow(len(piece))
        pieces.append(piece)
    lease.shrink(len(body))
    return b"".join(pieces)


async def _received(request: Request, limit_bytes: int, lease: Lease) -> bytes:
    pieces: list[bytes] = []
    byte_size = 0
    stream = aiter(request.stream())
    while True:
        try:
            async with asyncio.timeout(PIECE_TIMEOUT_S):
                piece = await anext(stream, None)
        except TimeoutError:
            raise HTTPException(408, f"no more of the body came for {PIECE_TIMEOUT_S} s") from None
        if piece is None:
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)
        byte_size += len(piece)
        if byte_size > limit_bytes:
            raise InvalidArgumentError(messages.body_too_large(f"more than {limit_bytes}", limit_bytes))
        lease.grow(len(piece))
        if piece:
            pieces.append(piece)


def decompressed(body: bytes, coding: str, limit_bytes: int) -> Iterator[bytes]:
    """Undo a content coding, in pieces of at most _PIECE_BYTES; no more than the limit is ever given.

    Raises:
        InvalidArgumentError: Not so encoded, or larger than the limit.
    """
    decompressor = zlib.decompressobj(_CONTAINERS[coding])
    # In slices, because zlib copies what it did not get to.
    slices = (body[start : start + _SLICE_BYTES] for start in range(0, len(body), _SLICE_BYTES))
    byte_size = 0
    while not decompressor.eof:
        source = decompressor.unconsumed_tail or next(slices, b"")
        try:
            piece = decompressor.decompress(source, min(_PIECE_BYTES, limit_bytes + 1 - byte_size))
        except zlib.error:
            raise InvalidArgumentError(f"the body is not {coding}, as its Content-Encoding says") from None
        if not source and not piece:
            break
        byte_size += len(piece)
        if byte_size > limit_bytes:
            raise InvalidArgumentError(messages.body_too_large(f"more than {limit_bytes}", limit_bytes))
        yield piece
    if not decompressor.eof or decompressor.unused_data or next(slices, b""):
        raise InvalidArgumentError(f"the body is not one whole {coding} stream, as its Content-Encoding says")


async def encoded(body: bytes, coding: str) -> tuple[bytes, str]:
    """Apply a content coding where it pays.

    Returns:
        The body, and the coding that it has now.
    """
    if coding == "identity" or len(body) < _WORTH_COMPRESSING_BYTES:
        return body, "identity"

    def compress() -> bytes:
        # Level 1: the others cost several times as much for a few per cent on tensors.
        compressor = zlib.compressobj(1, zlib.DEFLATED, _CONTAINERS[coding])
        return compressor.compress(body) + compressor.flush()

    return await _off_loop(len(body), compress), coding


def accepted_coding(accept_encoding: str) -> str:
    """Return the coding that a caller prefers, of those that are spoken; the first of equals."""
    best, best_weight = "identity", 0.0
    for each in accept_encoding.lower().split(","):
        coding, _, parameter = each.partition(";")
        coding = coding.strip()
        weight = _weight(parameter)
        if (coding in _CONTAINERS or coding == "identity") and weight > best_weight:
            best, best_weight = coding, weight
    return best


def _weight(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if not name:
        return 1.0
    try:
        return float(value) if name.strip() == "q" else 1.0
    except ValueError:
        return 0.0


async def _off_loop(byte_size: int, work: Callable[[], Result]) -> Result:
    return work() if byte_size <= _AT_ONCE_BYTES else await asyncio.to_thread(work)
