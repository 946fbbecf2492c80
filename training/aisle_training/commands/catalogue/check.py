"""`aisle catalogue check`: look a catalogue over before it is trained on."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("folder", metavar="CATALOGUE", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The report, an HTML file; all findings are written beside it as JSON.",
)
@click.option(
    "--split",
    "split_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A split file, to look for leaks across it.",
)
@click.option(
    "--min-products", default=20, show_default=True, type=click.IntRange(min=1), help="Fewer make a class tiny."
)
@click.option(
    "--label-errors/--no-label-errors", default=True, show_default=True, help="Whether to search likely label errors."
)
def check(folder: Path, output: Path, split_path: Path | None, min_products: int, label_errors: bool) -> None:
    """Look a catalogue over: duplicates, leaks, conflicting and doubtful labels, broken and blank pictures, tiny classes.

    The report is one HTML file with small pictures in it. Nothing in the catalogue is changed.
    """
    from aisle_training.catalogue.catalogue import Catalogue
    from aisle_training.catalogue.checking.check import CheckOptions, check_catalogue
    from aisle_training.catalogue.checking.html_report import html_report
    from aisle_training.catalogue.errors import CatalogueError
    from aisle_training.catalogue.splits import read_split

    if output.suffix.lower() == ".json":
        raise click.BadParameter("the JSON is written beside the page: name the page", param_hint="--output")
    try:
        source = Catalogue.open(folder)
        split_by_id = None if split_path is None else read_split(split_path, source)
        with click.progressbar(length=0, label="Pictures", show_pos=True) as bar:

            def show(done: int, wanted: int) -> None:
                bar.length = wanted
                bar.update(done - bar.pos)

            report = check_catalogue(source, split_by_id, CheckOptions(min_products, label_errors), progress=show)
        page = html_report(report, source.products(), split_by_id or {})
        output.parent.mkdir(parents=True, exist_ok=True)
        output.with_suffix(".json").write_text(report.json(), encoding="utf-8")
        output.write_text(page, encoding="utf-8")
    except CatalogueError as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"{output} cannot be written: {error.strerror}") from error
    click.echo(report.table())
