"""A server in a process of its own, on free ports, as a user starts it."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

_STARTED = re.compile(r"Started (.+) at (\S+)$")
_GRPC, _HTTP, _METRICS = "GRPCInferenceService", "HTTPService", "Metrics Service"


class ServerProcess:
    """`python -m aisle_server`, and what it said.

    Attributes:
        log: Lines of its standard error so far.
    """

    def __init__(self, model_repository: Path, arguments: Sequence[str] = ()) -> None:
        ports = ["--grpc-port=0", "--http-port=0", "--metrics-port=0"]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "aisle_server", f"--model-repository={model_repository}", *ports, *arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.log: list[str] = []
        self._addresses: dict[str, str] = {}
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def grpc(self) -> str:
        """Address of the inference protocol."""
        return self._address(_GRPC)

    @property
    def http(self) -> str:
        """Address of health over HTTP."""
        return self._address(_HTTP)

    @property
    def metrics(self) -> str:
        """Address that Prometheus reads."""
        return self._address(_METRICS)

    def wait_until_ready(self, timeout_s: float = 60) -> None:
        """Return when every model is ready."""
        self._wait(lambda: self.get("/v2/health/ready")[0] == 200, "ready", timeout_s)

    def get(self, path: str, address: str | None = None) -> tuple[int, bytes]:
        """Ask over HTTP: status and body."""
        try:
            with urllib.request.urlopen(f"http://{address or self.http}{path}", timeout=10) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def send_signal(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send a signal to the process."""
        self._process.send_signal(number)

    def wait(self, timeout_s: float = 30) -> int:
        """Wait for its end, and return its exit status."""
        status = self._process.wait(timeout_s)
        self._reader.join(timeout_s)
        return status

    def stop(self) -> int:
        """Ask it to stop as Kubernetes does, and return its exit status."""
        if self._process.poll() is None:
            self.send_signal()
        return self.wait()

    def kill(self) -> None:
        """End it whatever it is doing."""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        assert self._process.stderr is not None
        self._process.stderr.close()

    def wait_for_line(self, text: str, timeout_s: float = 30) -> None:
        """Return when a line of the log contains a text."""
        self._wait(lambda: any(text in line for line in self.log), f"saying '{text}'", timeout_s)

    def _address(self, name: str) -> str:
        self._wait(lambda: name in self._addresses, f"listening with {name}", 60)
        return self._addresses[name]

    def _wait(self, is_so, what: str, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while not is_so():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the server is not {what}; it said:\n" + "".join(self.log))
            time.sleep(0.02)

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.log.append(line)
            if match := _STARTED.search(line.rstrip()):
                self._addresses[match[1]] = match[2]


@contextlib.contextmanager
def running_server(model_repository: Path, *arguments: str, wait: bool = True) -> Iterator[ServerProcess]:
    """Start a server, and leave none behind.

    Args:
        model_repository: What it serves.
        arguments: Flags beside repository and ports.
        wait: Return when it is ready, not at once.
    """
    process = ServerProcess(model_repository, arguments)
    try:
        if wait:
            process.wait_until_ready()
        yield process
        process.stop()
    finally:
        process.kill()
