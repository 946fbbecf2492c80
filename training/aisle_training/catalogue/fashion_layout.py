"""The layout of Kaggle's "Fashion Product Images": `styles.csv` beside `images/`, as it is unpacked or re-packed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from aisle_training.catalogue.errors import CatalogueError
from aisle_training.catalogue.picture_sources import PictureSource, open_pictures
from aisle_training.catalogue.records import Record, SkippedRow
from aisle_training.catalogue.tables.columns import Columns
from aisle_training.catalogue.tables.csv_records import read_csv

_TABLE: Final = "styles.csv"
_PICTURES: Final = ("images", "images.tar", "images.tar.gz", "images.tgz")
_COLUMNS: Final = Columns(
    id="id",
    title=("productDisplayName",),
    category=("masterCategory", "subCategory", "articleType"),
    attributes=("gender", "baseColour", "season", "year", "usage"),
)


def open_fashion(folder: Path) -> tuple[Iterator[Record | SkippedRow], PictureSource]:
    """Open a download of the data set, in the folder itself or one folder down, where some archives unpack to.

    The published table does not quote its last column, the title: in two dozen rows a comma of the title looks like one
    field too many. They are read as what they are.

    Returns:
        The rows, and the source of their pictures.

    Raises:
        CatalogueError: There is no `styles.csv` or nothing that holds the pictures.
    """
    candidates = [folder, *sorted(path for path in folder.glob("*") if path.is_dir())]
    home = next((path for path in candidates if (path / _TABLE).is_file()), None)
    if home is None:
        raise CatalogueError(f"{folder} holds no {_TABLE}, expected the fashion data set as it is downloaded")
    pictures = next((home / name for name in _PICTURES if (home / name).exists()), None)
    if pictures is None:
        raise CatalogueError(f"{home} holds no pictures, expected one of {', '.join(_PICTURES)}")
    return read_csv(home / _TABLE, _COLUMNS, open_end=True), open_pictures(pictures)
