"""Bodies are read and decompressed within a bound."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib

import numpy as np
import pytest

from aisle_server.errors import InvalidArgumentError
from aisle_server.frontends.http.body import accepted_coding, decompressed, encoded

TEXT = b"shelf " * 100
CODINGS = {"gzip": gzip.compress, "deflate": zlib.compress}


@pytest.mark.parametrize("coding", CODINGS)
async def test_a_coding_is_undone(coding: str) -> None:
    """What was compressed comes back, by anybody's compressor and by ours."""
    assert b"".join(decompressed(CODINGS[coding](TEXT), coding, len(TEXT))) == TEXT
    ours, said = await encoded(TEXT, coding)
    assert said == coding
    assert b"".join(decompressed(ours, coding, len(TEXT))) == TEXT


@pytest.mark.parametrize("coding", CODINGS)
def test_91_a_bomb_takes_no_more_than_the_limit(coding: str) -> None:
    """200 kB that decompress to 200 MB are refused, and never held."""
    bomb = CODINGS[coding](bytes(200_000_000))
    tracemalloc.start()
    with pytest.raises(InvalidArgumentError, match="exceeds the maximum allowed value of 1000000 bytes"):
        b"".join(decompressed(bomb, coding, 1_000_000))
    assert tracemalloc.get_traced_memory()[1] < 4_000_000
    tracemalloc.stop()


@pytest.mark.parametrize("coding", CODINGS)
def test_a_large_body_comes_in_pieces(coding: str) -> None:
    """Of 4 MB no more than a quarter of a megabyte is decompressed at a time, and every byte comes once, well compressed or not."""
    for plain in (bytes(range(256)) * 16_000, np.random.default_rng(0).bytes(4_000_000)):
        pieces = list(decompressed(CODINGS[coding](plain), coding, len(plain)))
        assert max(map(len, pieces)) <= 256 * 1024
        assert b"".join(pieces) == plain


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("harm", ["garbage", "truncated", "appended"])
def test_a_broken_stream_is_told(coding: str, harm: str) -> None:
    """A body that is not what its encoding says is the caller's fault."""
    right = CODINGS[coding](TEXT)
    body = {"garbage": b"no such thing", "truncated": right[:-3], "appended": right + b"x"}[harm]
    with pytest.raises(InvalidArgumentError, match=f"{coding}"):
        b"".join(decompressed(body, coding, 10_000))


@pytest.mark.parametrize(
    ("header", "coding"),
    [
        ("", "identity"),
        ("gzip, deflate", "gzip"),
        ("deflate, gzip", "deflate"),
        ("br;q=1.0, gzip;q=0.5, deflate;q=0.8", "deflate"),
        ("GZIP", "gzip"),
        ("gzip;q=0", "identity"),
        ("gzip;q=x", "identity"),
        ("identity, gzip;q=0.5", "identity"),
        ("*", "identity"),
    ],
)
def test_the_callers_favourite_is_taken(header: str, coding: str) -> None:
    """Of the codings that are spoken, the one with the greatest weight; the first of equals."""
    assert accepted_coding(header) == coding


async def test_little_is_not_compressed() -> None:
    """A body of a few bytes would grow."""
    assert await encoded(b"{}", "gzip") == (b"{}", "identity")
