"""The model server as a child process: free ports for it, its start, its end."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

HOST: Final = "127.0.0.1"
# What the server grants to accepted requests, and what we grant the server beyond that.
_EXIT_TIMEOUT_S: Final = 5
_GRACE_S: Final = 3


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the server listens on this machine; the defaults are tritonserver's."""

    http: int = 8000
    grpc: int = 8001
    metrics: int = 8002


def free_ports(wanted: Ports = Ports()) -> Ports:
    """Return the wanted ports, each that is taken replaced by a free one."""
    with contextlib.ExitStack() as reserved:  # held together, so that no two are the same
        return Ports(*(_reserve(port, reserved) for port in (wanted.http, wanted.grpc, wanted.metrics)))


class ServerProcess:
    """A running `aisle serve`, ended with the block that it is opened for.

    Args:
        model_repository: What it serves.
        ports: Where it listens.
    """

    def __init__(self, model_repository: Path, ports: Ports) -> None:
        self._command = [
            *(sys.executable, "-m", "aisle_server", f"--model-repository={model_repository}"),
            *(f"--http-port={ports.http}", f"--grpc-port={ports.grpc}", f"--metrics-port={ports.metrics}"),
            f"--exit-timeout-secs={_EXIT_TIMEOUT_S}",
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def exit_status(self) -> int | None:
        """Return how the server ended; None while it runs."""
        return None if self._process is None else self._process.poll()

    def stop(self) -> None:
        """Ask the server to end, and make it end when it does not."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_EXIT_TIMEOUT_S + _GRACE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        # A session of its own: Ctrl-C in the terminal reaches us alone, and the server is told once, by us.
        self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, start_new_session=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def bind(port: int) -> socket.socket:
    """Return a socket that listens on a port of this machine; 0 for any free one.

    Raises:
        OSError: The port is taken.
    """
    bound = socket.socket()
    try:
        # As servers do: a port whose last connections are still closing is free.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((HOST, port))
        bound.listen()
    except OSError:
        bound.close()
        raise
    return bound


def _reserve(port: int, reserved: contextlib.ExitStack) -> int:
    try:
        bound = bind(port)
    except OSError:
        bound = bind(0)
    found: int = reserved.enter_context(bound).getsockname()[1]
    return found
