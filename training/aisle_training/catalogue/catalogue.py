"""A catalogue on disk: products with a title, a category path and perhaps a picture.

A catalogue is a folder:

    catalogue.sqlite        one table, `products`
    pictures/ab/ab3f...jpg  the encoded pictures, byte for byte as they came
    import_report.json      what the import kept, skipped and found

`products` holds one row a product:

    position        INTEGER PRIMARY KEY   the order in which the products came
    id              TEXT UNIQUE           the shop's own id
    title           TEXT                  as it came, stripped; may be empty when there is a picture
    category        TEXT                  JSON array of names, root first
    picture_suffix  TEXT or NULL          what the picture was recognised as; NULL when there is none
    picture_sha256  TEXT or NULL          of the encoded bytes
    pixels_sha256   TEXT or NULL          of the decoded pixels, see `picture_check.pixels_sha256`
    description     TEXT                  further text in the shop's words, without markup; may be empty
    attributes      TEXT                  JSON object of text by name: {"brand": "Aster", "price": "19.90"}

Schema version 1 lacks the last two columns. It is still read: its products have no description and no attributes.
A crawl keeps tables of its own in the same database, see `crawling.crawl_store`; they are none of a reader's business.

No path is stored. A picture's place follows from the product's id and the suffix, so that no text from outside ever
names a file. The two leading hexadecimal digits keep each folder 256 times smaller than the catalogue.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from aisle_training.catalogue.errors import CatalogueError

DATABASE_NAME = "catalogue.sqlite"
PICTURES_NAME = "pictures"
REPORT_NAME = "import_report.json"

APPLICATION_ID = 0x4149534C  # "AISL": SQLite's own place to say whose file this is
SCHEMA_VERSION = 2
READABLE_VERSIONS = (1, 2)
SCHEMA = f"""
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
CREATE TABLE products (
    position INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    title TEXT NOT NULL,
    category TEXT NOT NULL,
    picture_suffix TEXT,
    picture_sha256 TEXT,
    pixels_sha256 TEXT,
    description TEXT NOT NULL DEFAULT '',
    attributes TEXT NOT NULL DEFAULT '{{}}',
    CHECK ((picture_suffix IS NULL) = (picture_sha256 IS NULL)),
    CHECK ((picture_suffix IS NULL) = (pixels_sha256 IS NULL))
);
CREATE INDEX products_by_pixels ON products (pixels_sha256);
"""

# Pillow's name of a format -> the suffix of its files here, for all that `preprocessing.images` accepts.
PICTURE_SUFFIXES = {
    "JPEG": "jpg",
    "MPO": "jpg",  # a JPEG with further pictures behind the first, as many cameras write it
    "PNG": "png",
    "WEBP": "webp",
    "GIF": "gif",
    "BMP": "bmp",
    "TIFF": "tiff",
}


@dataclass(frozen=True, slots=True)
class Product:
    """One product of a catalogue.

    Attributes:
        id: The shop's own id, unique in the catalogue.
        title: As the shop wrote it; may be empty when there is a picture.
        category: Names from the root to the leaf, at least one.
        picture: Absolute path of the encoded picture; None when there is none.
        description: Further text in the shop's words; empty when there is none.
        attributes: What else the shop knows, text by name, such as brand or price.
    """

    id: str
    title: str
    category: tuple[str, ...]
    picture: Path | None
    description: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict, hash=False)


class Catalogue:
    """A catalogue, opened for reading. It never changes once it is imported; a crawl adds to it until it is done."""

    def __init__(self, folder: Path, version: int = SCHEMA_VERSION) -> None:
        self._folder = folder
        self._texts = "description, attributes" if version > 1 else "'', '{}'"

    def __repr__(self) -> str:
        return f"Catalogue({str(self._folder)!r})"

    def __len__(self) -> int:
        with self._connect() as connection:
            (count,) = connection.execute("SELECT COUNT(*) FROM products").fetchone()
        return int(count)

    @classmethod
    def open(cls, folder: Path) -> Catalogue:
        """Open the catalogue in `folder`.

        Args:
            folder: A folder that an import wrote.

        Returns:
            The catalogue, found to be one of this version.

        Raises:
            CatalogueError: There is no catalogue in `folder`, or another version of Aisle wrote it.
        """
        folder = folder.absolute()
        database = folder / DATABASE_NAME
        if not database.is_file():
            raise CatalogueError(f"{folder} is no catalogue: it holds no file {DATABASE_NAME}")
        with cls(folder)._connect() as connection:
            (application_id,) = connection.execute("PRAGMA application_id").fetchone()
            (version,) = connection.execute("PRAGMA user_version").fetchone()
        if application_id != APPLICATION_ID:
            raise CatalogueError(f"{database} is an SQLite file, but no catalogue of Aisle")
        if version not in READABLE_VERSIONS:
            expected = " or ".join(map(str, READABLE_VERSIONS))
            raise CatalogueError(f"{database} has schema version {version}, expected {expected}: import it again")
        return cls(folder, version)

    @property
    def folder(self) -> Path:
        """The catalogue's folder, absolute."""
        return self._folder

    def products(self) -> list[Product]:
        """Read all products, in the order in which they were imported."""
        with self._connect() as connection:
            rows = connection.execute(
                f"SELECT id, title, category, picture_suffix, {self._texts} FROM products ORDER BY position"
            ).fetchall()
        return [
            Product(
                id=product_id,
                title=title,
                category=tuple(json.loads(category)),
                picture=None if suffix is None else picture_path(self._folder, product_id, suffix),
                description=description,
                attributes=json.loads(attributes),
            )
            for product_id, title, category, suffix, description, attributes in rows
        ]

    def pixel_hashes(self) -> dict[str, str]:
        """Map the id of each product that has a picture to the SHA-256 of its decoded pixels."""
        with self._connect() as connection:
            rows = connection.execute("SELECT id, pixels_sha256 FROM products WHERE pixels_sha256 IS NOT NULL")
            return dict(rows.fetchall())

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 over all products: ids, texts, categories and encoded pictures, whatever their order.

        Empty descriptions and attributes do not count, so that a catalogue of schema version 1 keeps its hash, and its
        splits, when it is imported again. The decoded pixels are left out, because another version of a JPEG decoder
        may round them otherwise.
        """
        digest = hashlib.sha256()
        with self._connect() as connection:
            rows = connection.execute(
                f"SELECT id, title, category, picture_sha256, {self._texts} FROM products ORDER BY id"
            )
            for row in rows:
                digest.update(json.dumps(row[:4] if row[4:] == ("", "{}") else row).encode() + b"\n")
        return digest.hexdigest()

    @contextlib.contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        database = self._folder / DATABASE_NAME
        try:
            with contextlib.closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
                yield connection
        except sqlite3.Error as error:
            raise CatalogueError(f"{database} cannot be read: {error}") from error


def picture_path(folder: Path, product_id: str, suffix: str) -> Path:
    """Say where a catalogue keeps a product's picture.

    Args:
        folder: The catalogue's folder.
        product_id: Any text at all; only its hash enters the path.
        suffix: One of the values of `PICTURE_SUFFIXES`.

    Returns:
        A path inside `folder`.

    Raises:
        CatalogueError: `suffix` is none of ours, so the catalogue was not written by Aisle.
    """
    if suffix not in PICTURE_SUFFIXES.values():
        expected = ", ".join(sorted(set(PICTURE_SUFFIXES.values())))
        raise CatalogueError(f"the picture of product {product_id!r} has suffix {suffix!r}, expected one of {expected}")
    name = hashlib.sha256(product_id.encode()).hexdigest()
    return folder / PICTURES_NAME / name[:2] / f"{name}.{suffix}"
