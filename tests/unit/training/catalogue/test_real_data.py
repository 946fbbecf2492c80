"""The importer on a real shop's catalogue."""

import csv
import os
from pathlib import Path

import pytest

from aisle_training.catalogue import Catalogue, select_classes
from aisle_training.catalogue.duplicates import title_key
from aisle_training.catalogue.fashion_layout import open_fashion
from aisle_training.catalogue.grouped_split import split_products
from aisle_training.catalogue.importer import import_catalogue
from aisle_training.catalogue.picture_sources import NoPictures
from aisle_training.catalogue.split_report import measure_split
from aisle_training.catalogue.tables.columns import Columns
from aisle_training.catalogue.tables.csv_records import read_csv

REPOSITORY = Path(__file__).parents[4]
DATA = Path(os.environ.get("AISLE_DATA", REPOSITORY.parent / "shared" / "data"))
FASHION, TOROB = DATA / "fashion", DATA / "torob"

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"there is no folder {DATA}: set AISLE_DATA to the data folder"),
]


def test_fashion_catalogue(tmp_path: Path) -> None:
    """The whole fashion catalogue is imported without a loss, and its split keeps every class within 5 points."""
    report = import_catalogue(*open_fashion(FASHION), tmp_path / "fashion")
    with (FASHION / "styles.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert (report.rows_read, report.rows_kept, report.skipped) == (len(rows), len(rows), [])
    assert (len(report.missing), report.unreadable) == (5, [])
    assert report.pictures_kept == len(rows) - 5

    catalogue = Catalogue.open(tmp_path / "fashion")
    products, pixel_hashes = catalogue.products(), catalogue.pixel_hashes()
    assert [product.title for product in products] == [row["productDisplayName"].strip() for row in rows]
    assert len(select_classes(products, 100)) == 53
    assert report.duplicates.conflicts

    split_by_id = split_products(products, pixel_hashes, validation=0.1, test=0.2, seed=0)
    for share in measure_split(products, split_by_id, minimum=100):
        assert abs(share.fraction - {"train": 0.7, "validation": 0.1, "test": 0.2}[share.name]) < 0.005
        assert share.deviation < 0.05
    splits_by_key: dict[str, set[str]] = {}
    for product in products:
        for key in (title_key(product.title), pixel_hashes.get(product.id)):
            if key:
                splits_by_key.setdefault(key, set()).add(split_by_id[product.id])
    assert all(len(splits) == 1 for splits in splits_by_key.values())


def test_torob_catalogue(tmp_path: Path) -> None:
    """The Persian titles become a catalogue without a loss, both titles of a product in one."""
    columns = Columns(None, ("name1", "name2"), ("cat_id",), image_pattern=None)
    report = import_catalogue(read_csv(TOROB / "titles.csv", columns), NoPictures(), tmp_path / "torob")
    assert (report.rows_read, report.rows_kept, report.skipped) == (8822, 8822, [])
    products = Catalogue.open(tmp_path / "torob").products()
    assert len({product.category for product in products}) == 11
    assert all(product.title and product.picture is None for product in products)
