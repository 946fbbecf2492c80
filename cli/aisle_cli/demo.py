"""The shell command `aisle demo`: the server on a model repository, and the page on the server."""

from __future__ import annotations

import importlib.util
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Final

import click

from aisle_cli.server_process import HOST, Ports, ServerProcess, bind, free_ports

if TYPE_CHECKING:
    from aisle_client import InferenceClient

_PAGE_PORT: Final = 7860
# Missed here, at once: the server would miss them in a process of its own, where nobody is told how to install them.
_NEEDED_BY_PAGE: Final = ("gradio",)
_NEEDED_BY_SERVER: Final = ("onnxruntime", "tokenizers", "uvicorn")
_LOOK_EVERY_S: Final = 0.1


@click.command()
@click.option(
    "--model-repository",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of models to serve.  [default: model_repository]",
)
@click.option("--server", help="Open the page on a server that runs already, host:port, and start none.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help=f"Port of the page.  [default: {_PAGE_PORT}, or a free one when it is taken]",
)
def demo(model_repository: Path | None, server: str | None, port: int | None) -> None:
    """Serve a model repository and open the page on it.

    Both listen on this machine alone, and both end with Ctrl-C.
    """
    started_s = time.monotonic()
    if server and model_repository:
        raise click.UsageError("--server names a server that runs already; --model-repository is for one to start.")
    model_repository = model_repository or Path("model_repository")
    if not server and not model_repository.is_dir():
        raise click.UsageError(f"There is no folder {model_repository} here; name one with --model-repository.")
    for package in _NEEDED_BY_PAGE if server else _NEEDED_BY_PAGE + _NEEDED_BY_SERVER:
        if importlib.util.find_spec(package) is None:
            raise ModuleNotFoundError(f"No module named {package!r}", name=package)
    for name in {"SIGTERM", "SIGHUP"} & set(dir(signal)):
        signal.signal(getattr(signal, name), _exit)
    with ExitStack() as opened:
        page_socket = opened.enter_context(_listen(port))
        if server:
            child, addresses = None, [f"{server} (gRPC)"]
        else:
            ports = _ports()
            # First, so that its models load while Gradio is imported, which takes seconds.
            child = opened.enter_context(ServerProcess(model_repository, ports))
            server = f"{HOST}:{ports.grpc}"
            addresses = [
                f"{server} (gRPC)",
                f"http://{HOST}:{ports.http}/v2/health/ready",
                f"http://{HOST}:{ports.metrics}/metrics",
            ]
        _serve_page(page_socket, server, addresses, child, started_s)
        status = child.exit_status() if child else None
    if status is not None:
        raise click.ClickException(f"the server has ended with status {status}; what it said stands above")


def _serve_page(
    page_socket: socket.socket, server: str, addresses: list[str], child: ServerProcess | None, started_s: float
) -> None:
    from aisle_client import Categorizer, ClientOptions
    from aisle_demo.hosting import HostedPage

    with Categorizer(ClientOptions(address=server)) as categorizer:
        page = HostedPage(categorizer, page_socket)

        def announce() -> None:
            click.echo(f"\nAisle is ready, {time.monotonic() - started_s:.1f} s after its start. Ctrl-C ends it.")
            click.echo(f"  page     {page.url}")
            for label, address in zip(("server", "", ""), addresses, strict=False):
                click.echo(f"  {label:8} {address}")

        def is_up() -> bool:
            return page.is_up and (child is None or _is_ready(categorizer.client))

        threading.Thread(target=_watch, args=(child, is_up, announce, page.stop), daemon=True).start()
        try:
            page.run()
        except KeyboardInterrupt:
            click.echo("\nEnding.", err=True)


def _watch(
    child: ServerProcess | None, is_up: Callable[[], bool], announce: Callable[[], None], end: Callable[[], None]
) -> None:
    is_announced = False
    while child is None or child.exit_status() is None:
        if not is_announced and is_up():
            announce()
            is_announced = True
        if is_announced and child is None:
            return
        time.sleep(_LOOK_EVERY_S)
    end()  # a page without its server is of no use


def _is_ready(client: InferenceClient) -> bool:
    from aisle_client import RequestError

    try:
        return client.is_server_ready(timeout_s=1.0)
    except RequestError:
        return False


def _listen(port: int | None) -> socket.socket:
    try:
        return bind(_PAGE_PORT if port is None else port)
    except OSError as error:
        if port is not None:
            raise click.ClickException(
                f"port {port} is taken; give another with --port, or 0 for any free one"
            ) from error
    page_socket = bind(0)
    click.echo(f"Port {_PAGE_PORT} is taken; the page is at {page_socket.getsockname()[1]}.", err=True)
    return page_socket


def _ports() -> Ports:
    wanted = Ports()
    ports = free_ports(wanted)
    for name in ("http", "grpc", "metrics"):
        if getattr(ports, name) != getattr(wanted, name):
            click.echo(f"Port {getattr(wanted, name)} is taken; {name} is at {getattr(ports, name)}.", err=True)
    return ports


def _exit(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
