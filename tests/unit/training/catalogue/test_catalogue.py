"""Reading a catalogue."""

import contextlib
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from aisle_training.catalogue import Catalogue, CatalogueError, Product, select_classes
from aisle_training.catalogue.catalogue import DATABASE_NAME
from aisle_training.catalogue.importer import import_catalogue
from aisle_training.catalogue.records import Record
from tests.unit.training.catalogue.drawing import PicturesInMemory, draw, encode, record

MUG, CUP = encode(draw(1)), encode(draw(2), "JPEG")


def make(folder: Path, records: list[Record], pictures: dict[str, bytes] | None = None) -> Catalogue:
    """Import records and open the catalogue."""
    import_catalogue(records, PicturesInMemory(pictures or {}), folder)
    return Catalogue.open(folder)


def test_products_come_as_they_were_imported(tmp_path: Path) -> None:
    """Products come in the order of the import, with the whole category path and the encoded picture, byte for byte."""
    records = [record("b", "Blue mug", picture_name="b.png"), record("a", "تی‌شرت 👕", "پوشاک > مردانه")]
    catalogue = make(tmp_path / "shop", records, {"b.png": MUG})
    mug, shirt = catalogue.products()
    assert len(catalogue) == 2
    assert (mug.id, mug.title, mug.category) == ("b", "Blue mug", ("Home", "Mugs"))
    assert mug.picture is not None
    assert mug.picture.is_absolute()
    assert mug.picture.read_bytes() == MUG
    assert shirt == Product("a", "تی‌شرت 👕", ("پوشاک", "مردانه"), None)
    assert list(catalogue.pixel_hashes()) == ["b"]


def test_further_texts(tmp_path: Path) -> None:
    """A product keeps its description and its attributes, and products of equal text are equal and hash alike."""
    further = replace(record("1", "Mug"), description="ظرف", attributes={"price": "9.90", "brand": "Aster"})
    (product,) = make(tmp_path / "shop", [further]).products()
    assert product == Product("1", "Mug", ("Home", "Mugs"), None, "ظرف", {"brand": "Aster", "price": "9.90"})
    assert len({product, *Catalogue.open(tmp_path / "shop").products()}) == 1


def test_catalogue_of_schema_version_1(tmp_path: Path) -> None:
    """A catalogue that was made before descriptions came is read as ever, and its content hash is what it was."""
    catalogue = make(tmp_path / "shop", [record("1", "Mug", picture_name="1.png"), record("2", "Cup")], {"1.png": MUG})
    before, content_hash = catalogue.products(), catalogue.content_hash
    with contextlib.closing(sqlite3.connect(tmp_path / "shop" / DATABASE_NAME)) as connection:
        connection.execute("ALTER TABLE products DROP COLUMN description")
        connection.execute("ALTER TABLE products DROP COLUMN attributes")
        connection.execute("PRAGMA user_version = 1")
    old = Catalogue.open(tmp_path / "shop")
    assert old.products() == before
    assert old.content_hash == content_hash


def test_moved_catalogue(tmp_path: Path) -> None:
    """A catalogue may be moved: nothing in it says where it stands."""
    before = make(tmp_path / "shop", [record("b", "Mug", picture_name="b.png")], {"b.png": MUG}).content_hash
    (tmp_path / "shop").rename(tmp_path / "moved")
    moved = Catalogue.open(tmp_path / "moved")
    (product,) = moved.products()
    assert product.picture is not None
    assert product.picture.read_bytes() == MUG
    assert moved.content_hash == before


def test_content_hash(tmp_path: Path) -> None:
    """The content hash is the same for the same products in any order, and another when anything of a product is."""
    mug, cup = record("1", "Mug", picture_name="1.png"), record("2", "Cup")
    catalogues = [
        make(tmp_path / "0", [mug, cup], {"1.png": MUG}),
        make(tmp_path / "1", [cup, mug], {"1.png": MUG}),
        make(tmp_path / "2", [mug, cup], {"1.png": CUP}),
        make(tmp_path / "3", [mug, cup]),
        make(tmp_path / "4", [mug, record("2", "cup")], {"1.png": MUG}),
        make(tmp_path / "5", [mug, record("2", "Cup", "Home > Cups")], {"1.png": MUG}),
        make(tmp_path / "6", [mug, record("3", "Cup")], {"1.png": MUG}),
        make(tmp_path / "7", [mug], {"1.png": MUG}),
        make(tmp_path / "8", [mug, replace(cup, description="White")], {"1.png": MUG}),
        make(tmp_path / "9", [mug, replace(cup, attributes={"brand": "Aster"})], {"1.png": MUG}),
    ]
    hashes = [catalogue.content_hash for catalogue in catalogues]
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 9


@pytest.mark.parametrize(
    ("statement", "text"),
    [
        ("PRAGMA application_id = 0", "no catalogue of Aisle"),
        ("PRAGMA user_version = 99", "schema version 99, expected 1 or 2"),
    ],
)
def test_foreign_database(tmp_path: Path, statement: str, text: str) -> None:
    """A database that is not ours, or is of another version, is refused when it is opened."""
    make(tmp_path / "shop", [record("1", "Mug")])
    with contextlib.closing(sqlite3.connect(tmp_path / "shop" / DATABASE_NAME)) as connection:
        connection.execute(statement)
    with pytest.raises(CatalogueError, match=text):
        Catalogue.open(tmp_path / "shop")


def test_no_database(tmp_path: Path) -> None:
    """A folder without a database, and a database that is none, are no catalogues."""
    with pytest.raises(CatalogueError, match=r"holds no file catalogue\.sqlite"):
        Catalogue.open(tmp_path)
    (tmp_path / DATABASE_NAME).write_bytes(b"not a database" * 100)
    with pytest.raises(CatalogueError, match="cannot be read: file is not a database"):
        Catalogue.open(tmp_path)


def test_database_names_no_path(tmp_path: Path) -> None:
    """A database that was tampered with cannot point a picture out of the catalogue."""
    make(tmp_path / "shop", [record("1", "Mug", picture_name="1.png")], {"1.png": MUG})
    with contextlib.closing(sqlite3.connect(tmp_path / "shop" / DATABASE_NAME)) as connection, connection:
        connection.execute("UPDATE products SET picture_suffix = '/../../../secret'")
    with pytest.raises(CatalogueError, match="expected one of bmp, gif, jpg, png, tiff, webp"):
        Catalogue.open(tmp_path / "shop").products()


def test_classes_are_categories_with_enough_pictures(tmp_path: Path) -> None:
    """The classes are the categories with enough pictures, sorted; products without a picture do not count."""
    records = [
        *(record(f"m{n}", "Mug", "Home > Mugs", "1.png") for n in range(3)),
        *(record(f"c{n}", "Cup", "Home > Cups", "2.jpg") for n in range(2)),
        *(record(f"s{n}", "Sock", "Clothes > Socks", "1.png") for n in range(2)),
        record("c2", "Cup", "Home > Cups"),
    ]
    products = make(tmp_path / "shop", records, {"1.png": MUG, "2.jpg": CUP}).products()
    assert select_classes(products, 2) == [("Clothes", "Socks"), ("Home", "Cups"), ("Home", "Mugs")]
    assert select_classes(products, 3) == [("Home", "Mugs")]
