"""`aisle report`: evaluated runs as a page."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command()
@click.argument("runs", nargs=-1, required=True, type=FOLDER, metavar="RUN...")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The report, an HTML file; all of it is written beside it as JSON.",
)
@click.option(
    "--catalogue",
    "catalogue_folder",
    type=FOLDER,
    help="Where pictures and titles of errors are taken from.  [default: where it stood when each RUN was trained]",
)
def report(runs: tuple[Path, ...], output: Path, catalogue_folder: Path | None) -> None:
    """Write a report on evaluated runs, side by side, as one HTML file that needs nothing else.

    Each RUN is a folder that `aisle evaluate` has measured. The page holds small pictures of the most confident errors.

    Prints one table of all classifiers, with what they cost; milliseconds (networks alone, ONNX Runtime on one thread) and
    megabytes are known of runs that were exported. Runs that differ only in their seed are also shown as mean, sample
    standard deviation, lowest and highest.
    """
    if output.suffix.lower() == ".json":
        raise click.BadParameter("the JSON is written beside the page: name the page", param_hint="--output")
    from aisle_training.catalogue.catalogue import Catalogue, Product
    from aisle_training.catalogue.errors import CatalogueError
    from aisle_training.report.comparison import ReportedRun, compare, name_runs, read_run
    from aisle_training.report.page import render_page
    from aisle_training.report.side_by_side import list_side_by_side
    from aisle_training.report.table import format_seeds, format_side_by_side
    from aisle_training.report.wording import summarize

    def products_of(run: ReportedRun) -> dict[str, Product] | None:
        folder = catalogue_folder or run.catalogue
        try:
            if folder is None:
                return None
            catalogue = Catalogue.open(folder)
            if catalogue.content_hash != run.evaluation.origin.catalogue_sha256:
                raise CatalogueError(f"{folder} is not the catalogue that {run.name} was trained on")
            return {product.id: product for product in catalogue.products()}
        except CatalogueError as error:
            click.echo(f"no pictures of the errors of {run.name}: {error}", err=True)
            return None

    try:
        comparison = compare([read_run(folder, name) for folder, name in zip(runs, name_runs(runs), strict=True)])
        products = {run.name: found for run in comparison.runs if (found := products_of(run)) is not None}
        rows = list_side_by_side(comparison.runs)
        page = render_page(comparison, products)
        output.parent.mkdir(parents=True, exist_ok=True)
        content = {"summary": summarize(comparison), **comparison.to_plain(), "side_by_side": list(map(asdict, rows))}
        text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
        output.with_suffix(".json").write_text(text, encoding="utf-8")
        output.write_text(page, encoding="utf-8")
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"{output} cannot be written: {error.strerror}") from error
    for warning in comparison.warnings:
        click.echo(f"warning: {warning}", err=True)
    click.echo(format_side_by_side(rows))
    for group in comparison.groups:
        click.echo(f"\n{format_seeds(group)}")
    click.echo(f"\nwritten to {output} and {output.with_suffix('.json')}")
