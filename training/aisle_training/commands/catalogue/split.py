"""`aisle catalogue split`: part a catalogue for training."""

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
    help="The split file, splits.csv; splits.json is written beside it.",
)
@click.option("--validation", default=0.1, show_default=True, help="Fraction of the products for validation.")
@click.option("--test", default=0.2, show_default=True, help="Fraction of the products for the test.")
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same split.")
@click.option(
    "--min-class",
    default=100,
    show_default=True,
    type=click.IntRange(min=0),
    help="Judge the proportions by categories with this many pictures, or products in a catalogue without pictures. "
    "All products are split, whatever it says.",
)
def split(folder: Path, output: Path, validation: float, test: float, seed: int, min_class: int) -> None:
    """Part a catalogue into train, validation and test.

    Products that share a title or identical pixels stay together, and each category keeps its proportion as well as
    that allows.
    """
    from aisle_training.catalogue.catalogue import Catalogue
    from aisle_training.catalogue.errors import CatalogueError
    from aisle_training.catalogue.grouped_split import split_products
    from aisle_training.catalogue.split_report import measure_split
    from aisle_training.catalogue.splits import SplitOrigin, write_split

    try:
        source = Catalogue.open(folder)
        products = source.products()
        split_by_id = split_products(products, source.pixel_hashes(), validation=validation, test=test, seed=seed)
        write_split(output, split_by_id, SplitOrigin(source.content_hash, seed, validation, test))
    except CatalogueError as error:
        raise click.ClickException(str(error)) from error
    click.echo("split       products  pictures  categories  fraction  largest deviation of a class")
    for share in measure_split(products, split_by_id, min_class):
        deviating = "-" if share.deviating is None else f"{share.deviation:.4f}  {' > '.join(share.deviating)}"
        click.echo(
            f"{share.name:<10}  {share.products:>8,}  {share.pictures:>8,}  {share.categories:>10,}"
            f"  {share.fraction:>8.4f}  {deviating}"
        )
