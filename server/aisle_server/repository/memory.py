"""Has the C library give freed memory back to the operating system, so that a server which reloads its models stays as large as it was.

glibc raises two thresholds by itself: once a large block was freed, others up to 32 MiB come out of arenas and no longer from the
operating system, and each arena keeps up to twice the largest of them when it is freed. A model's memory is allocated and freed on a
thread of its own, threads have arenas of their own, and `malloc_trim` does not reach the end of those. `benchmarks/soak.py`, 400 rounds:
113 MB at the end, with both thresholds fixed 94 MB from the first rounds on. That costs fresh pages for tensors beyond 4 MiB.

Source: glibc, `malloc_trim(3)`, `mallopt(3)`, "Dynamic adjustment of the mmap threshold".
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, Final

ALLOCATOR_VARIABLES: Final = frozenset({"MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"})
"""Environment variables by which an operator decides this."""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_THRESHOLD_BYTES: Final = 4 * 2**20


def limit_kept_memory() -> None:
    """Fix the thresholds. To be called once, before models are loaded."""
    mallopt = _function("mallopt")
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _THRESHOLD_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _THRESHOLD_BYTES)


def trim_memory() -> None:
    """Give back what is free. Blocks for some milliseconds."""
    trim = _function("malloc_trim")
    if trim is not None:
        trim(0)


def _function(name: str) -> Callable[..., Any] | None:
    """Return a function of glibc, None in another C library or operating system."""
    try:
        function: Callable[..., Any] = getattr(ctypes.CDLL(None), name)
    except (AttributeError, OSError, TypeError):
        return None
    return function
