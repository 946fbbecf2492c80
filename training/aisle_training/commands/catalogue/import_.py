"""`aisle catalogue import`: make a catalogue of what a shop already has on disk."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from aisle_training.catalogue.picture_sources import PictureSource
    from aisle_training.catalogue.records import Record, SkippedRow
    from aisle_training.catalogue.tables.columns import Columns

LAYOUTS = ("table", "folders", "fashion")


@click.command("import")
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--layout",
    type=click.Choice(LAYOUTS),
    default="table",
    show_default=True,
    help="table: a file with a row for each product. folders: a folder of pictures for each class, folders in folders "
    "making a path. fashion: Kaggle's Fashion Product Images as it is unpacked.",
)
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="The catalogue: a folder that does not exist yet.",
)
@click.option(
    "--format",
    type=click.Choice(("csv", "tsv", "jsonl", "parquet")),
    help="Format of the table.  [default: by the end of its name]",
)
@click.option(
    "--pictures", type=click.Path(exists=True, path_type=Path), help="Folder or tar archive that holds the pictures."
)
@click.option("--image-url-column", help="Column of the picture's address, from which it is downloaded.")
@click.option("--no-pictures", is_flag=True, help="The catalogue has titles alone.")
@click.option("--id-column", default="id", show_default=True, help="Column of the product id.")
@click.option("--number-rows", is_flag=True, help="There is no id: number the rows from 1.")
@click.option(
    "--title-column",
    "title_columns",
    multiple=True,
    default=("title",),
    show_default=True,
    help="Column of the title; given several times, they are joined by a space.",
)
@click.option(
    "--column-names",
    help="Names of the columns, parted by commas, of a CSV or TSV that begins with a product and not with a header.",
)
@click.option("--no-titles", is_flag=True, help="There is no title: the catalogue has pictures alone.")
@click.option(
    "--category-column",
    "category_columns",
    multiple=True,
    default=("category",),
    show_default=True,
    help="Column of the category; given several times, from the root to the leaf, they make a path.",
)
@click.option("--category-separator", help="What parts the names of a path within one category column, such as '>'.")
@click.option(
    "--category-names",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="CSV of two columns without a header: a value of the category column, and the name to use for it.",
)
@click.option(
    "--category-table",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Another table that holds the category columns, and the ids; with --number-rows, the same rows in the same order.",
)
@click.option(
    "--description-column",
    "description_columns",
    multiple=True,
    help="Column of further text; given several times, they are joined by line breaks. Markup is taken out.",
)
@click.option(
    "--attribute-column",
    "attribute_columns",
    multiple=True,
    help="Column to keep under its own name, such as brand or price; may be given several times.",
)
@click.option(
    "--image-column", help="Column of the picture's file name; without it the name follows from --image-pattern."
)
@click.option(
    "--image-pattern",
    default="{id}.jpg",
    show_default=True,
    help="The picture's file name where there is no such column: {id} is the product id, {NAME} what the column NAME holds.",
)
@click.option("--delimiter", help="What stands between two fields of a CSV: one character, or \\t.")
@click.option(
    "--rate", default=10.0, show_default=True, type=click.FloatRange(min=0), help="Downloads a second from one host."
)
@click.option(
    "--allow-private-addresses", is_flag=True, help="Download from private networks too: for a shop of your own."
)
@click.option("--replace", is_flag=True, help="Replace the catalogue that stands there. Other files in it are kept.")
def import_(
    source: Path,
    layout: str,
    output: Path,
    format: str | None,
    pictures: Path | None,
    image_url_column: str | None,
    no_pictures: bool,
    id_column: str,
    number_rows: bool,
    title_columns: tuple[str, ...],
    column_names: str | None,
    no_titles: bool,
    category_columns: tuple[str, ...],
    category_separator: str | None,
    category_names: Path | None,
    category_table: Path | None,
    description_columns: tuple[str, ...],
    attribute_columns: tuple[str, ...],
    image_column: str | None,
    image_pattern: str,
    delimiter: str | None,
    rate: float,
    allow_private_addresses: bool,
    replace: bool,
) -> None:
    """Import a table of products, folders of pictures, or a known data set as a catalogue.

    SOURCE is a CSV, TSV, JSON Lines or Parquet file, or a folder for the layouts that are no table. Rows whose picture
    is missing are kept. What was kept, skipped and found is printed, and written in full into the catalogue as
    import_report.json. Downloads that were interrupted go on when the same command is given again.
    """
    from aisle_training.catalogue.catalogue import REPORT_NAME
    from aisle_training.catalogue.errors import CatalogueError
    from aisle_training.catalogue.importer import import_catalogue
    from aisle_training.catalogue.tables.columns import Columns
    from aisle_training.catalogue.tables.formats import read_category_names, read_category_paths

    if no_titles and no_pictures:
        raise click.UsageError(
            "--no-titles and --no-pictures leave nothing to learn from; "
            "a text of any length can be the title (--title-column)"
        )
    header = None if column_names is None else [name.strip() for name in column_names.split(",")]
    question = _Question(source, layout, format, _delimiter(delimiter), header, pictures, image_url_column, no_pictures)
    question.check()
    downloads = output.absolute().with_name(f"{output.absolute().name}.downloads")
    try:
        columns = Columns(
            id=None if number_rows else id_column,
            title=() if no_titles else title_columns,
            category=category_columns,
            image=image_url_column or image_column,
            image_pattern=None if no_pictures else image_pattern,
            description=description_columns,
            attributes=attribute_columns,
            category_separator=category_separator,
            category_names={} if category_names is None else read_category_names(category_names),
        )
        if category_table is not None:
            paths = read_category_paths(category_table, columns, format, question.delimiter)
            columns = dataclasses.replace(columns, category=(), category_paths=paths)
        with (
            question.open(columns, downloads, rate, allow_private_addresses) as (rows, picture_source),
            click.progressbar(length=0, label="Pictures", show_pos=True) as bar,
        ):

            def show(done: int, wanted: int) -> None:
                bar.length = wanted
                bar.update(done - bar.pos)

            report = import_catalogue(rows, picture_source, output, replace=replace, progress=show)
    except CatalogueError as error:
        raise click.ClickException(str(error)) from error
    shutil.rmtree(downloads, ignore_errors=True)  # they are in the catalogue now
    click.echo(report.table())
    if not report.rows_kept:
        raise click.ClickException(
            f"none of {report.rows_read:,} rows became a product; {output / REPORT_NAME} says of each why"
        )


@dataclass(frozen=True)
class _Question:
    """What is to be imported, as far as the options say; see their help."""

    source: Path
    layout: str
    format: str | None
    delimiter: str | None
    header: list[str] | None
    pictures: Path | None
    image_url_column: str | None
    no_pictures: bool

    def check(self) -> None:
        """Refuse options that contradict each other, or leave open what is wanted."""
        places = {
            "--pictures": self.pictures is not None,
            "--image-url-column": self.image_url_column is not None,
            "--no-pictures": self.no_pictures,
        }
        given = [name for name, is_given in places.items() if is_given]
        if self.layout == "table":
            if self.source.is_dir():
                raise click.BadParameter(
                    f"{self.source} is a folder: name a file, or give --layout", param_hint="SOURCE"
                )
            if len(given) != 1:
                raise click.UsageError(f"{' and '.join(given) or 'nothing'} came, expected one of {', '.join(places)}")
        else:
            if not self.source.is_dir():
                raise click.BadParameter(f"--layout {self.layout} needs a folder", param_hint="SOURCE")
            if given:
                raise click.UsageError(f"{given[0]} is for tables: --layout {self.layout} knows where its pictures are")

    @contextmanager
    def open(
        self, columns: Columns, downloads: Path, rate: float, allow_private: bool
    ) -> Iterator[tuple[Iterable[Record | SkippedRow], PictureSource]]:
        """Open the rows and the source of the pictures."""
        from aisle_training.catalogue.class_folders import read_class_folders
        from aisle_training.catalogue.fashion_layout import open_fashion
        from aisle_training.catalogue.picture_sources import NoPictures, open_pictures
        from aisle_training.catalogue.tables.formats import read_table

        if self.layout == "folders":
            yield read_class_folders(self.source), open_pictures(self.source)
            return
        if self.layout == "fashion":
            yield open_fashion(self.source)
            return
        rows = read_table(self.source, columns, self.format, self.delimiter, self.header)
        if self.pictures is not None:
            yield rows, open_pictures(self.pictures)
        elif self.image_url_column is None:
            yield rows, NoPictures()
        else:
            from aisle_training.catalogue.picture_downloads import DownloadedPictures
            from aisle_training.catalogue.web.fetcher import Fetcher, FetchOptions

            with Fetcher(FetchOptions(requests_per_second=rate, allow_private=allow_private)) as fetcher:
                yield rows, DownloadedPictures(fetcher, downloads)


def _delimiter(text: str | None) -> str | None:
    """Read the delimiter; a backslash and a t stand for a tab, which is hard to type in a shell."""
    if text is None:
        return None
    text = text.replace("\\t", "\t")
    if len(text) != 1 or text in '"\r\n':
        raise click.BadParameter(f"{text!r} came, expected one character", param_hint="--delimiter")
    return text
