"""Gives memory back to the operating system when a model has left.

glibc keeps what is freed in an arena for each of many threads, and a model's memory is allocated and freed on threads of its own: without
this, a server that reloads its models holds more and more (1500 rounds of `benchmarks/soak.py`: 39 MB, with it 15 MB, and 7 MB in
1000 rounds under MALLOC_ARENA_MAX=2).

Source: glibc, `malloc_trim(3)`.
"""

from __future__ import annotations

import ctypes


def trim_memory() -> None:
    """Give back what is free. Blocks for some milliseconds; does nothing where the C library has no such function."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # another C library, or another operating system
        return
    trim(0)
