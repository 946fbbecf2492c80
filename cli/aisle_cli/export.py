"""The shell command `aisle export`: training's, and a check of what it wrote through the server."""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path
from typing import Any, Final

import click

from aisle_cli.server_process import HOST, ServerProcess, free_ports
from aisle_training.commands.export import export as export_command

# Loading is seconds; a repository that is not ready by then has a model that cannot be loaded, and the log says which.
_READY_WITHIN_S: Final = 120.0
_LOOK_EVERY_S: Final = 0.1


def _export(verify: bool, **arguments: Any) -> None:
    if arguments["run_folder"] is not None or not verify:
        assert export_command.callback is not None
        export_command.callback(**arguments)
    if verify:
        verify_repository(arguments["model_repository"])


export = click.Command(
    "export",
    params=[
        *export_command.params,
        click.Option(
            ["--verify"],
            is_flag=True,
            help="Serve the repository and replay the golden file of each model. Without RUN, export nothing.",
        ),
    ],
    callback=_export,
    help=export_command.help,
)


def verify_repository(repository: Path) -> None:
    """Serve a repository on free ports of this machine, replay its golden files, and end the server.

    Args:
        repository: A model repository that `aisle export` wrote.

    Raises:
        click.ClickException: It has no golden files, is not served, or a model answers otherwise.
        ModuleNotFoundError: The server's packages are not installed.
    """
    from aisle_client import ClientError, GoldenError, InferenceClient, golden_files, replay

    files = golden_files(repository)
    if not files:
        raise click.ClickException(f"{repository} holds no golden file; `aisle export` writes one for each model")
    for package in ("onnxruntime", "tokenizers"):
        if importlib.util.find_spec(package) is None:
            raise ModuleNotFoundError(f"No module named {package!r}", name=package)
    ports = free_ports()
    with ServerProcess(repository, ports) as server, InferenceClient(f"{HOST}:{ports.grpc}") as client:
        _wait_until_ready(server, client)
        for model, path in files.items():
            try:
                done = replay(client, model, path)
            except (GoldenError, ClientError) as error:
                raise click.ClickException(str(error)) from error
            click.echo(f"{model:<22}{done.requests:>3} golden requests   within {done.largest_difference:.1e}")


def _wait_until_ready(server: ServerProcess, client: Any) -> None:
    from aisle_client import RequestError

    deadline_s = time.monotonic() + _READY_WITHIN_S
    while time.monotonic() < deadline_s and server.exit_status() is None:
        try:
            if client.is_server_ready(timeout_s=1.0):
                return
        except RequestError:
            pass
        time.sleep(_LOOK_EVERY_S)
    raise click.ClickException("the server does not serve the repository; what it said stands above")
