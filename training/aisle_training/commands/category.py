"""`aisle category`: categories of a trained run that were added from a few examples."""

from __future__ import annotations

import math
from pathlib import Path

import click

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.group()
def category() -> None:
    """Add categories to a trained run from a few examples, without training it again.

    `aisle export` then writes models that know them, after those that were learnt.
    """


@category.command()
@click.argument("run", type=FOLDER)
@click.option("--category", "name", required=True, help='Path of the new category, as "Apparel > Topwear > Ponchos".')
@click.option(
    "--examples",
    type=FOLDER,
    required=True,
    help="A catalogue with products of that category; others in it do not count.",
)
@click.option(
    "--count",
    type=click.IntRange(min=1),
    help="Learn from the first so many of them and measure how many of the rest are found.  [default: learn from all]",
)
@click.option(
    "--catalogue", "catalogue_folder", type=FOLDER, help="What RUN was trained on.  [default: where it stood]"
)
def add(run: Path, name: str, examples: Path, count: int | None, catalogue_folder: Path | None) -> None:
    """Add a category to RUN from five examples or more.

    Prints what that costs the learnt categories: the accuracy on RUN's validation split before and after, for each set of
    inputs.
    """
    from aisle_training.catalogue.catalogue import Catalogue
    from aisle_training.catalogue.errors import CatalogueError
    from aisle_training.categories.adding import add_category
    from aisle_training.commands.progress import progress_bar
    from aisle_training.runs import RunFolder

    folder, path = RunFolder(run), _path(name)
    try:
        catalogue = Catalogue.open(catalogue_folder or Path(folder.data()["catalogue"]))
        products = [product for product in Catalogue.open(examples).products() if product.category == path]
        if not products:
            raise click.ClickException(f"{examples} holds no product of {name!r}")
        with progress_bar("Decoding pictures") as show:
            costs = add_category(folder, catalogue, path, products[:count], products[count:] if count else [], show)
    except (ValueError, CatalogueError) as error:
        raise click.ClickException(str(error)) from error
    header = f"{'given':<20}{'learnt rows':>12}{'before':>9}{'after':>9}{'new rows':>10}{'found':>8}"
    click.echo(f"{header}\n{'-' * len(header)}")
    for cost in costs:
        found = "-" if math.isnan(cost.found) else f"{cost.found:.3f}"
        click.echo(
            f"{cost.inputs:<20}{cost.rows:>12,}{cost.accuracy_before:>9.4f}{cost.accuracy_after:>9.4f}"
            f"{cost.other_rows:>10,}{found:>8}"
        )
    click.echo(f"added {name}; `aisle export` writes models that know it")


@category.command("list")
@click.argument("run", type=FOLDER)
def list_(run: Path) -> None:
    """Show what was added to RUN, and from how many examples."""
    from aisle_training.categories.added import read_added
    from aisle_training.runs import PATH_SEPARATOR, RunFolder

    added = read_added(RunFolder(run))
    for each in added.categories if added else ():
        click.echo(f"{len(each):>6} examples   {PATH_SEPARATOR.join(each.path)}")


@category.command()
@click.argument("run", type=FOLDER)
@click.option("--category", "name", required=True, help="Path of the category.")
@click.option(
    "--catalogue", "catalogue_folder", type=FOLDER, help="What RUN was trained on.  [default: where it stood]"
)
def remove(run: Path, name: str, catalogue_folder: Path | None) -> None:
    """Take an added category out of RUN again."""
    from aisle_training.catalogue.catalogue import Catalogue
    from aisle_training.catalogue.errors import CatalogueError
    from aisle_training.categories.adding import remove_category
    from aisle_training.runs import RunFolder

    folder = RunFolder(run)
    try:
        remove_category(folder, Catalogue.open(catalogue_folder or Path(folder.data()["catalogue"])), _path(name))
    except (ValueError, CatalogueError) as error:
        raise click.ClickException(str(error)) from error


def _path(name: str) -> tuple[str, ...]:
    path = tuple(part.strip() for part in name.split(">"))
    if not all(path):
        raise click.BadParameter(f'{name!r} has an empty name, expected a path as "A > B > C"', param_hint="--category")
    return path
