"""A server in a process of its own, on free ports, for as long as it is measured."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

READY_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 60.0
_STARTED = re.compile(r"Started (GRPCInferenceService|HTTPService) at (\S+)")


@dataclass(frozen=True)
class RunningServer:
    """A server that is ready.

    Attributes:
        grpc: Address of the inference protocol.
        http: The same over HTTP; empty when that is switched off.
        pid: Its process id.
        ready_s: From its start until every model was ready, in seconds.
        log: The file that it logs into.
    """

    grpc: str
    http: str
    pid: int
    ready_s: float
    log: Path


@contextmanager
def running_server(repository: Path, *flags: str) -> Iterator[RunningServer]:
    """Start `python -m aisle_server` over a model repository, yield it when it is ready, and stop it."""
    command = [sys.executable, "-m", "aisle_server", "--model-repository", str(repository)]
    command += ["--grpc-port=0", "--http-port=0", "--metrics-port=0", *flags]
    start_s = time.perf_counter()
    # Into a file: a pipe that nobody reads would stop the server when it is full. Two openings of it: a shared one would have its place
    # moved by either side.
    with (
        tempfile.NamedTemporaryFile("r") as log,
        open(log.name, "w") as sink,
        subprocess.Popen(command, stderr=sink) as process,
    ):
        try:
            text = ""
            while "] Ready" not in text:
                if process.poll() is not None or time.perf_counter() - start_s > READY_TIMEOUT_S:
                    raise SystemExit(f"the server did not come up:\n{text}")
                time.sleep(0.01)
                log.seek(0)
                text = log.read()
            ready_s = time.perf_counter() - start_s
            addresses = dict(_STARTED.findall(text))
            http = addresses.get("HTTPService", "")
            yield RunningServer(addresses["GRPCInferenceService"], http, process.pid, ready_s, Path(log.name))
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(STOP_TIMEOUT_S)


def resident_mb(pid: int) -> float:
    """Resident memory of a process in megabytes, as the kernel counts it (Linux)."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
