"""`aisle catalogue split`: part a catalogue for training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from aisle_training.catalogue.catalogue import Product


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
@click.option(
    "--near-duplicates",
    is_flag=True,
    help="Also keep together products whose pictures look the same, as `aisle catalogue check` finds them.",
)
def split(
    folder: Path,
    output: Path,
    validation: float,
    test: float,
    seed: int,
    min_class: int,
    near_duplicates: bool,
) -> None:
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
        if not products:
            raise CatalogueError(f"{folder} has no products: there is nothing to part")
        pixel_hashes = source.pixel_hashes()
        similar = _similar_products(products, pixel_hashes) if near_duplicates else []
        split_by_id = split_products(
            products, pixel_hashes, validation=validation, test=test, seed=seed, similar=similar
        )
        write_split(output, split_by_id, SplitOrigin(source.content_hash, seed, validation, test, near_duplicates))
    except CatalogueError as error:
        raise click.ClickException(str(error)) from error
    click.echo("split       products  pictures  categories  fraction  largest deviation of a class")
    for share in measure_split(products, split_by_id, min_class):
        deviating = "-" if share.deviating is None else f"{share.deviation:.4f}  {' > '.join(share.deviating)}"
        click.echo(
            f"{share.name:<10}  {share.products:>8,}  {share.pictures:>8,}  {share.categories:>10,}"
            f"  {share.fraction:>8.4f}  {deviating}"
        )


def _similar_products(products: Sequence[Product], pixel_hashes: Mapping[str, str]) -> list[list[Product]]:
    """Find what looks the same, and show how far the search is."""
    from aisle_training.catalogue.checking.similar_products import look_at_pictures, similar_products
    from aisle_training.commands.progress import progress_bar

    with progress_bar("Looking at pictures") as show:
        prints, _ = look_at_pictures(products, show)
    sets = similar_products(products, pixel_hashes, prints)
    click.echo(f"kept together: {sum(map(len, sets)):,} products in {len(sets):,} sets of similar pictures")
    return sets
