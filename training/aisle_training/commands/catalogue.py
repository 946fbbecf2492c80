"""`aisle catalogue`: import a shop's products, and split them for training."""

from __future__ import annotations

from pathlib import Path

import click

FOLDER = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def catalogue() -> None:
    """Import a shop's products, and split them for training."""


@catalogue.command("import")
@click.argument("csv_file", metavar="CSV", type=FILE)
@click.option(
    "--pictures",
    required=True,
    type=click.Path(exists=True, path_type=Path),
    help="Folder or tar archive that holds the pictures.",
)
@click.option("-o", "--output", required=True, type=FOLDER, help="The catalogue: a folder that does not exist yet.")
@click.option("--id-column", default="id", show_default=True, help="Column of the product id.")
@click.option("--title-column", default="title", show_default=True, help="Column of the title.")
@click.option(
    "--category-column",
    "category_columns",
    multiple=True,
    default=("category",),
    show_default=True,
    help="Column of the category; given several times, from the root to the leaf, they make a path.",
)
@click.option("--image-column", help="Column of the picture's file name; without it the name follows from the id.")
@click.option(
    "--image-pattern",
    default="{id}.jpg",
    show_default=True,
    help="The picture's file name where there is no such column.",
)
@click.option(
    "--delimiter", default=",", show_default=True, help="What stands between two fields: one character, or \\t."
)
@click.option("--replace", is_flag=True, help="Replace the catalogue that stands there. Other files in it are kept.")
def import_(
    csv_file: Path,
    pictures: Path,
    output: Path,
    id_column: str,
    title_column: str,
    category_columns: tuple[str, ...],
    image_column: str | None,
    image_pattern: str,
    delimiter: str,
    replace: bool,
) -> None:
    """Import a CSV file and its pictures as a catalogue.

    Rows whose picture is missing are kept. What was kept, skipped and found is printed, and written in full into the
    catalogue as import_report.json.
    """
    from aisle_training.catalogue.tables.csv_records import CsvColumns, read_csv
    from aisle_training.catalogue.errors import CatalogueError
    from aisle_training.catalogue.importer import import_catalogue
    from aisle_training.catalogue.picture_sources import open_pictures

    delimiter = delimiter.replace("\\t", "\t")  # a tab is hard to type in a shell
    if len(delimiter) != 1 or delimiter in '"\r\n':
        raise click.BadParameter(f"{delimiter!r} came, expected one character", param_hint="--delimiter")
    columns = CsvColumns(id_column, title_column, category_columns, image_column, image_pattern)
    try:
        with click.progressbar(length=0, label="Pictures", show_pos=True) as bar:

            def show(done: int, wanted: int) -> None:
                bar.length = wanted
                bar.update(done - bar.pos)

            report = import_catalogue(
                read_csv(csv_file, columns, delimiter),
                open_pictures(pictures),
                output,
                replace=replace,
                progress=show,
            )
    except CatalogueError as error:
        raise click.ClickException(str(error)) from error
    click.echo(report.table())


@catalogue.command()
@click.argument("folder", metavar="CATALOGUE", type=FOLDER)
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
    help="Judge the proportions by categories with this many pictures. All products are split, whatever it says.",
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
