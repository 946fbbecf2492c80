"""Memory that is freed goes back to the operating system."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

# Threads that each free blocks of 12 and of 6 MiB, as models do that are loaded and unloaded; prints the megabytes that stay.
FREES = """
import threading, numpy as np
from pathlib import Path
from aisle_server.repository.memory import limit_kept_memory, trim_memory

def resident_mb():
    return int(Path("/proc/self/statm").read_text().split()[1]) / 256

def load_and_unload():
    for _ in range(3):
        for mib in (12, 6):
            weights = np.ones(mib << 17)
            del weights
    barrier.wait()

if {limits}:
    limit_kept_memory()
before, barrier = resident_mb(), threading.Barrier(8)
threads = [threading.Thread(target=load_and_unload) for _ in range(8)]
for each in threads:
    each.start()
for each in threads:
    each.join()
trim_memory()
print(resident_mb() - before)
"""


def _kept_mb(*, limits: bool) -> float:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    code = FREES.format(limits=limits)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    return float(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is glibc that keeps memory")
def test_what_threads_have_freed_does_not_stay() -> None:
    """Eight threads that freed large blocks leave less behind than one such block; without the limits, several."""
    assert _kept_mb(limits=True) < 12 < _kept_mb(limits=False)
