"""argv to a subcommand, which is loaded only when it is called: `aisle --help` opens at once, and each extra stays an extra."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any, Final

import click


@dataclass(frozen=True, slots=True)
class Entry:
    """A subcommand that is not loaded yet.

    Attributes:
        target: `module:attribute` of the click command.
        help: Its short help.
        extra: The extras it needs, as they stand between the brackets of `aisle[...]`; empty for the base install.
    """

    target: str
    help: str
    extra: str = ""


COMMANDS: Final[Mapping[str, Entry]] = {
    "demo": Entry("aisle_cli.demo:demo", "Serve a model repository and open the page on it.", "server,demo"),
    "categorize": Entry(
        "aisle_client.commands:categorize", "Ask a server for the category of a product, or of a catalogue."
    ),
    "status": Entry("aisle_client.commands:status", "Show whether a server is ready, and its models."),
    "serve": Entry(
        "aisle_server.__main__:serve", "Serve model repositories over Triton's inference protocol.", "server"
    ),
    "catalogue": Entry(
        "aisle_training.commands.catalogue:catalogue",
        "Import or crawl a shop's products, look them over, and split them for training.",
        "training",
    ),
    "train": Entry(
        "aisle_training.commands.train:train",
        "Train the classifiers of RECIPE on a catalogue.",
        "training",
    ),
    "evaluate": Entry(
        "aisle_training.commands.evaluate:evaluate",
        "Measure the classifiers of RUN on its test split, beside simple baselines.",
        "training",
    ),
    "report": Entry(
        "aisle_training.commands.report:report",
        "Write a report on evaluated runs, side by side, as one HTML file that needs nothing else.",
        "training",
    ),
    "category": Entry(
        "aisle_training.commands.category:category",
        "Add categories to a trained run from a few examples, without training it again.",
        "training",
    ),
    "export": Entry(
        "aisle_cli.export:export",
        "Export a trained run as models that a Triton-style server loads.",
        "training",
    ),
    "quantize": Entry(
        "aisle_training.commands.quantize:quantize",
        "Round the image network of RUN to 8-bit integers, and print what that costs and gains.",
        "training",
    ),
}


class MissingExtra(click.ClickException):
    """A subcommand needs packages that the base install does not have."""

    exit_code = 2

    def __init__(self, command: str, package: str, extra: str) -> None:
        super().__init__(
            f"aisle {command} needs {package}, which is not installed. To install it:\npip install 'aisle[{extra}]'"
        )

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the text, its last line ready to be pasted."""
        click.echo(self.message, file=file or sys.stderr)


class LazyGroup(click.Group):
    """A group whose subcommands are imported when they are called.

    Args:
        entries: Subcommands by name, in the order of the help.
        settings: `click.Group`'s.
    """

    def __init__(self, *, entries: Mapping[str, Entry], **settings: Any) -> None:
        super().__init__(**settings)
        self.entries = entries

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the subcommands."""
        return list(self.entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a subcommand; None when there is none of this name."""
        entry = self.entries.get(cmd_name)
        if entry is None:
            return None
        module, _, attribute = entry.target.partition(":")
        try:
            command: click.Command = getattr(importlib.import_module(module), attribute)
        except ModuleNotFoundError as error:
            raise self._explained(cmd_name, error) from error
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table of subcommands without importing one."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in self.entries.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run a subcommand, and say how to install what it lacks."""
        try:
            return super().invoke(ctx)
        except ModuleNotFoundError as error:  # commands import their heavy packages late, too
            raise self._explained(ctx.invoked_subcommand or "", error) from error

    def _explained(self, name: str, error: ModuleNotFoundError) -> Exception:
        entry = self.entries.get(name)
        package = (error.name or "").partition(".")[0]
        # A module of ours that is not there is a broken install, and no extra mends it.
        if entry is None or not entry.extra or not package or package.startswith("aisle_"):
            return error
        return MissingExtra(name, package, entry.extra)


def _print_version(ctx: click.Context, parameter: click.Parameter, is_asked: bool) -> None:
    if not is_asked or ctx.resilient_parsing:
        return
    from importlib import metadata

    try:
        version = metadata.version("aisle")
    except metadata.PackageNotFoundError:
        version = "(not installed: run from a source tree)"
    click.echo(f"aisle {version}")
    ctx.exit()


@click.group(cls=LazyGroup, entries=COMMANDS, no_args_is_help=True)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Print the version."
)
def main() -> None:
    """Tell which aisle a product belongs to: train, serve, and ask."""


if __name__ == "__main__":
    main(prog_name="aisle")
