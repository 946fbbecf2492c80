"""`aisle demo`: one command for the server and the page, one signal for their end."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aisle_client import Categorizer, InferenceClient
from tests.end_to_end.conftest import Trained
from tests.support.fake_triton import FakeTriton, listening


class Demo:
    """A running demo, and what it printed."""

    def __init__(self, *arguments: object) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "aisle_cli", "demo", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.errors = ""
        self._reader = threading.Thread(target=self._read_errors)
        self._reader.start()

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.errors += line

    def wait_until_ready(self) -> tuple[str, str]:
        """Return the addresses of the page and of the server, once they are printed."""
        found: dict[str, str] = {}
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if match := re.match(r" {2}(page|server) +(\S+)", line):
                found[match[1]] = match[2]
            if len(found) == 2:
                return found["page"], found["server"]
        self._reader.join()
        raise AssertionError(f"the demo ended before it was ready:\n{self.errors}")

    def wait(self) -> int:
        """Return how it ended."""
        status = self.process.wait(40)
        self._reader.join()
        return status


@contextmanager
def running(*arguments: object) -> Iterator[Demo]:
    """Start the demo, and make sure that it ends."""
    demo = Demo(*arguments)
    try:
        yield demo
    finally:
        if demo.process.poll() is None:
            demo.process.terminate()
        demo.wait()
        for pipe in (demo.process.stdout, demo.process.stderr):
            assert pipe is not None
            pipe.close()


def _fetch(url: str) -> bytes:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=20) as answer:
        content: bytes = answer.read()
        return content


def _is_listening(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def test_server_and_page(trained: Trained):
    """Both are up when the addresses are printed; Ctrl-C ends both, and leaves nothing running."""
    with running("--model-repository", trained.onnx, "--port", 0) as demo:
        page, server = demo.wait_until_ready()
        assert b"Aisle" in _fetch(page)
        with Categorizer(server) as categorizer:
            assert categorizer.categorize("anything at all").model == "product_categorizer"
        demo.process.send_signal(signal.SIGINT)
        assert demo.wait() == 0
        assert "Traceback" not in demo.errors
        assert not _is_listening(server)


def test_ports_that_are_taken(trained: Trained):
    """With a port of tritonserver's taken, the server takes a free one and says so."""
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if squatter.connect_ex(("127.0.0.1", 8001)) != 0:
            squatter.close()
            squatter = socket.create_server(("127.0.0.1", 8001))
        with squatter, running("--model-repository", trained.onnx, "--port", 0) as demo:
            _, server = demo.wait_until_ready()
            assert server != "127.0.0.1:8001"
            assert f"Port 8001 is taken; grpc is at {server.rpartition(':')[2]}." in demo.errors
            with InferenceClient(server) as client:
                assert client.is_server_ready()
            demo.process.send_signal(signal.SIGTERM)
            assert demo.wait() == 128 + signal.SIGTERM
            assert not _is_listening(server)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the server through /proc")
def test_a_server_that_dies(trained: Trained):
    """When the server dies the demo ends too, and says why."""
    with running("--model-repository", trained.onnx, "--port", 0) as demo:
        demo.wait_until_ready()
        pid = demo.process.pid
        (server,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        os.kill(int(server), signal.SIGKILL)
        assert demo.wait() == 1
        assert "the server has ended with status -9" in demo.errors


def test_a_repository_that_cannot_be_served(tmp_path: Path):
    """A server that does not start ends the demo with what the server said."""
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.pbtxt").write_text("nonsense {")
    with running("--model-repository", tmp_path, "--port", 0) as demo:
        assert demo.wait() == 1
        assert "the server has ended with status" in demo.errors
        assert "broken" in demo.errors


def test_a_server_that_runs_already():
    """With --server the page opens on that one, and no other is started."""
    with listening(FakeTriton()) as address, running("--server", address, "--port", 0) as demo:
        page, server = demo.wait_until_ready()
        assert server == address
        assert b"Aisle" in _fetch(page)
        demo.process.send_signal(signal.SIGINT)
        assert demo.wait() == 0


def test_a_page_port_that_is_taken():
    """A port that was asked for and is taken is an error before anything starts."""
    with socket.create_server(("127.0.0.1", 0)) as squatter:
        port = squatter.getsockname()[1]
        with running("--server", "127.0.0.1:9", "--port", port) as demo:
            assert demo.wait() == 1
            assert f"Error: port {port} is taken" in demo.errors
