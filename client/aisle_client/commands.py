"""The shell commands `aisle categorize` and `aisle status`."""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import click

from aisle_client.catalogue import Progress, categorize_catalogue
from aisle_client.catalogue_file import CatalogueFile
from aisle_client.categories import SEPARATOR, Categorization
from aisle_client.categorizer import Categorizer
from aisle_client.decisions import Decision
from aisle_client.errors import ClientError, InvalidArgumentError, RequestError
from aisle_client.inference import InferenceClient
from aisle_client.options import ClientOptions
from aisle_client.products import DEFAULT_MODEL

_CommandT = TypeVar("_CommandT", bound=Callable[..., Any])
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


def server_options(command: _CommandT) -> _CommandT:
    """Give a command the options that say which server to ask."""
    address, timeout_s = ClientOptions().address, ClientOptions().timeout_s
    command = click.option(
        "--timeout", "timeout_s", default=timeout_s, show_default=True, help="Deadline, in seconds."
    )(command)
    return click.option("--server", default=address, show_default=True, help="The server's gRPC address: host:port.")(
        command
    )


@click.command()
@click.argument("catalogue", required=False, type=_FILE)
@click.option("--title", help="The product's title.")
@click.option("--image", type=_FILE, help="The product's picture.")
@click.option(
    "--text",
    "texts",
    multiple=True,
    metavar="NAME=TEXT",
    help="Another text that the model takes, such as description=...",
)
@click.option("--json", "as_json", is_flag=True, help="Print the answer as one line of JSON.")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Results of CATALOGUE; gone on with when it is there.",
)
@click.option("--id-column", default="id", show_default=True, help="Column of the product id.")
@click.option("--title-column", default="title", show_default=True, help="Column of the title; '' when there is none.")
@click.option("--pictures", type=_FOLDER, help="Folder of the pictures.")
@click.option("--image-column", help="Column of the picture's file name; without it the name follows from the id.")
@click.option(
    "--image-pattern", default="{id}.jpg", show_default=True, help="The picture's file name without such a column."
)
@click.option(
    "--delimiter", default=",", show_default=True, help="What stands between two fields: one character, or \\t."
)
@click.option(
    "--top", type=click.IntRange(min=1), help="How many categories to answer.  [default: 5; 1 for a catalogue]"
)
@click.option(
    "--precision",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Decide (auto, review, abstain) so that this part of the automatic answers is right, such as 0.95; a catalogue's "
    "results then have columns for it.  [default: the model's lowest; no columns for a catalogue]",
)
@click.option("--batch-size", type=click.IntRange(min=1), default=32, show_default=True, help="Products of a request.")
@click.option(
    "--in-flight", type=click.IntRange(1, 64), default=4, show_default=True, help="Requests under way at once."
)
@click.option(
    "--patience", "patience_s", default=120.0, show_default=True, help="Seconds to wait for a server that went away."
)
@click.option("--model", default=DEFAULT_MODEL, show_default=True, help="The ensemble to ask.")
@server_options
def categorize(
    catalogue: Path | None,
    title: str | None,
    image: Path | None,
    texts: tuple[str, ...],
    as_json: bool,
    output: Path | None,
    id_column: str,
    title_column: str,
    pictures: Path | None,
    image_column: str | None,
    image_pattern: str,
    delimiter: str,
    top: int | None,
    precision: float | None,
    batch_size: int,
    in_flight: int,
    patience_s: float,
    model: str,
    server: str,
    timeout_s: float,
) -> None:
    """Ask a server for the category of a product, or of a catalogue.

    A product is a --title, an --image, or both. A CATALOGUE is a CSV file with a header, whose results go to the file
    that -o names: one row a product, in the same order. When that file is there, the run goes on where it ended.

    What the model does not take is left out. Where it takes more than a title and a picture, such as a description, that is
    a --text, or the column of that name in CATALOGUE.
    """
    if (catalogue is None) == (title is None and image is None and not texts):
        raise click.UsageError("Give a product by --title, --image or both; or else a CATALOGUE.")
    if unnamed := [text for text in texts if not text.partition("=")[1]]:
        raise click.UsageError(f"--text is {unnamed[0][:80]!r}, expected NAME=TEXT.")
    if (catalogue is None) != (output is None):
        raise click.UsageError("A CATALOGUE and -o for its results go together.")
    top = top or (5 if catalogue is None else 1)
    with (
        _told(),
        Categorizer(
            ClientOptions(address=server, timeout_s=timeout_s), model=model, top_k=top, precision=precision
        ) as categorizer,
    ):
        if catalogue is None or output is None:
            answer = categorizer.categorize(
                title, image, texts={name: value for name, _, value in (text.partition("=") for text in texts)}
            )
            click.echo(json.dumps(answer.as_dict(), ensure_ascii=False) if as_json else _sheet(answer))
            return
        file = CatalogueFile(
            path=catalogue,
            id_column=id_column,
            title_column=title_column or None,
            image_column=image_column,
            image_pattern=image_pattern,
            pictures=pictures,
            delimiter=delimiter.replace("\\t", "\t"),
        )
        _categorize_catalogue(categorizer, file, output, top, precision is not None, batch_size, in_flight, patience_s)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@server_options
def status(as_json: bool, server: str, timeout_s: float) -> None:
    """Show whether a server is ready, and its models.

    Exits with 1 when the server is not ready.
    """
    with _told(), InferenceClient(ClientOptions(address=server, timeout_s=timeout_s)) as client:
        metadata = client.server_metadata()
        is_ready = client.is_server_ready()
        index = client.repository_index()
        statistics = {(model.name, model.version): model for model in client.model_statistics()}
    if as_json:
        models = [
            asdict(model) | {"inference_count": statistics[key].inference_count if key in statistics else 0}
            for model in index
            for key in [(model.name, model.version)]
        ]
        click.echo(json.dumps({"server": asdict(metadata), "ready": is_ready, "models": models}, ensure_ascii=False))
    else:
        click.echo(f"{metadata.name} {metadata.version} at {server}: {'ready' if is_ready else 'not ready'}")
        rows = [("model", "version", "state", "inferences", "")]
        for model in index:
            figures = statistics.get((model.name, model.version))
            count = f"{figures.inference_count:,}" if figures else ""
            rows.append((model.name, model.version, model.state, count, model.reason))
        widths = [max(len(row[column]) for row in rows) for column in range(4)]
        for row in rows:
            cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
            click.echo(_printable("  ".join([*cells, row[4]]).rstrip()))
    if not is_ready:
        sys.exit(1)


def _categorize_catalogue(
    categorizer: Categorizer,
    file: CatalogueFile,
    output: Path,
    top: int,
    is_decided: bool,
    batch_size: int,
    in_flight: int,
    patience_s: float,
) -> None:
    total = file.count()
    last = Progress(0, 0, 0)
    with click.progressbar(length=total, label="categorize", file=sys.stderr, show_pos=True) as bar:

        def show(progress: Progress) -> None:
            nonlocal last
            bar.update(progress.done - last.done)
            last = progress

        def tell(error: RequestError, wait_s: float) -> None:
            click.echo(f"\n{_printable(error.server_text)}; asking again in {wait_s:.0f} s", err=True)

        try:
            last = categorize_catalogue(
                categorizer,
                file,
                output,
                top_k=top,
                is_decided=is_decided,
                batch_size=batch_size,
                in_flight=in_flight,
                patience_s=patience_s,
                on_progress=show,
                on_wait=tell,
            )
        except (RequestError, KeyboardInterrupt) as error:
            reason = _printable(error.server_text) if isinstance(error, RequestError) else "Interrupted"
            text = f"{reason}; {last.done:,} of {total:,} rows are in {output}; the same command goes on from there"
            raise click.ClickException(text) from error
    skipped = f", {last.skipped:,} of them by an earlier run" if last.skipped else ""
    click.echo(f"{last.done:,} rows in {output}{skipped}; {last.errors:,} with an error", err=True)


@contextmanager
def _told() -> Iterator[None]:
    # A user reads one line; a trace is for those who maintain this.
    try:
        yield
    except ClientError as error:
        text = error.reason if isinstance(error, InvalidArgumentError) else str(error)
        raise click.ClickException(_printable(" ".join(text.split()))) from error


def _sheet(answer: Categorization) -> str:
    width = max(len(category.label) for category in answer.alternatives)
    lines = [f"{category.label.ljust(width)}  {category.confidence:6.1%}" for category in answer.alternatives]
    if answer.decision is not None:
        lines.insert(0, _decision_line(answer.decision))
    used = " and ".join({"image": "picture"}.get(name, name) for name in answer.used)
    lines.append(f"from {used}, by {answer.model} version {answer.version}, in {answer.latency_s * 1000:.0f} ms")
    return "\n".join(_printable(line) for line in lines)


def _decision_line(decision: Decision) -> str:
    told = {"auto": "auto", "review": "review, proposed", "abstain": "abstain: nothing is sure enough"}[decision.action]
    answer = f": {SEPARATOR.join(decision.path)}  {decision.confidence:.1%}" if decision.path else ""
    return f"{told}{answer}  (precision {decision.precision:g})"


def _printable(text: str) -> str:
    # What a server says must not move the cursor of a terminal. Format characters stay: Persian is written with them.
    return "".join("\ufffd" if unicodedata.category(character) == "Cc" else character for character in text)
