"""A catalogue that grows, and remembers how far its crawl came.

Beside `products` the database has tables of the crawl's own:

    crawl           one row: the API's address and the root category
    crawl_leaves    each leaf in turn: id, path, next offset, products kept, whether it has no more
    crawl_skipped   what did not become a product, and why
    crawl_pictures  products whose picture could not be had: its address, why, and whether to try again

Each product is one transaction: its row and the leaf's next offset are there together or not at all, and its picture
was put in place before. So a crawl that is killed loses the product under way, and the next one begins at just that.
The write-ahead log lets the catalogue be read meanwhile, also after a kill; it is folded in when the crawl is closed.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final

from aisle_training.catalogue.catalogue import DATABASE_NAME, PICTURES_NAME, SCHEMA, Catalogue, picture_path
from aisle_training.catalogue.crawling.product_api import Leaf
from aisle_training.catalogue.errors import CatalogueError
from aisle_training.catalogue.import_report import UnreadablePicture
from aisle_training.catalogue.picture_check import CheckedPicture
from aisle_training.catalogue.records import Record, SkippedRow, SkipReason
from aisle_training.catalogue.writer import product_row

_LOCK_NAME: Final = ".crawl-lock"
_SCHEMA: Final = """
CREATE TABLE crawl (source TEXT NOT NULL, root TEXT NOT NULL);
CREATE TABLE crawl_leaves (
    position INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    path TEXT NOT NULL,
    next_offset INTEGER NOT NULL DEFAULT 0,
    kept INTEGER NOT NULL DEFAULT 0,
    is_exhausted INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE crawl_products (id TEXT PRIMARY KEY, leaf TEXT NOT NULL);
CREATE TABLE crawl_skipped ("where" TEXT NOT NULL, reason TEXT NOT NULL, detail TEXT NOT NULL);
CREATE TABLE crawl_pictures (
    id TEXT PRIMARY KEY, address TEXT NOT NULL, reason TEXT NOT NULL, is_transient INTEGER NOT NULL
);
"""


@dataclass(frozen=True, slots=True)
class LeafProgress:
    """How far the crawl of a leaf came.

    Attributes:
        leaf: The leaf.
        next_offset: Where its next page begins.
        kept: Products that the catalogue has of it.
        is_exhausted: Whether the API has no more of it.
    """

    leaf: Leaf
    next_offset: int
    kept: int
    is_exhausted: bool


@dataclass(frozen=True, slots=True)
class FailedPicture:
    """A picture that could not be had.

    Attributes:
        address: Where it should be.
        reason: Why it is not.
        is_transient: Whether the next crawl is to try again.
    """

    address: str
    reason: str
    is_transient: bool


class CrawlStore:
    """A catalogue under a crawl. Used as a context manager, which ends it tidily."""

    def __init__(self, folder: Path, source: str, root: str | None) -> None:
        """Begin a catalogue, or go on with one.

        Args:
            folder: The catalogue's folder, made when it is not there.
            source: The API's address.
            root: The category below which is crawled; None for all.

        Raises:
            CatalogueError: Something else stands there, another crawl is at work there, or it cannot be written.
        """
        self.folder = folder.absolute()
        self._lock: sqlite3.Connection | None = None
        database = self.folder / DATABASE_NAME
        try:
            if self.folder.is_symlink() or (self.folder.exists() and not self.folder.is_dir()):
                raise CatalogueError(f"{folder} is no folder")
            if self.folder.is_dir() and not database.is_file() and not _is_beginning(self.folder):
                raise CatalogueError(f"{folder} exists and is no catalogue: name a folder that does not exist yet")
            (self.folder / PICTURES_NAME).mkdir(parents=True, exist_ok=True)
            self._lock = _locked(self.folder / _LOCK_NAME)
            if not database.is_file():
                _create(database, source, root)
            Catalogue.open(self.folder)
            self._connection = sqlite3.connect(database, isolation_level=None)
            self._check_source(source, root)
            self._connection.execute("PRAGMA journal_mode = WAL")
        except (OSError, sqlite3.Error) as error:
            self._unlock()
            raise CatalogueError(f"the catalogue {folder} cannot be written: {error}") from error
        except CatalogueError:
            self._unlock()
            raise

    def __enter__(self) -> CrawlStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(sqlite3.Error):  # a reader may hold the log; it is folded in another time
            self._connection.execute("PRAGMA journal_mode = DELETE")
        self._connection.close()
        self._unlock()

    def add_leaves(self, leaves: Sequence[Leaf]) -> None:
        """Note the leaves to crawl, in their order; those that are known stay as they are."""
        with self._transaction():
            self._connection.executemany(
                "INSERT OR IGNORE INTO crawl_leaves (id, path) VALUES (?, ?)",
                ((leaf.id, json.dumps(leaf.path, ensure_ascii=False)) for leaf in leaves),
            )

    def leaves(self) -> list[LeafProgress]:
        """How far each leaf is, in the order in which they were added."""
        rows = self._connection.execute(
            "SELECT id, path, next_offset, kept, is_exhausted FROM crawl_leaves ORDER BY position"
        )
        return [
            LeafProgress(Leaf(leaf_id, tuple(json.loads(path))), next_offset, kept, bool(is_exhausted))
            for leaf_id, path, next_offset, kept, is_exhausted in rows
        ]

    def leaf_of(self, product_id: str) -> str | None:
        """Say of which leaf the catalogue has a product; None when it has none of this id."""
        row = self._connection.execute("SELECT leaf FROM crawl_products WHERE id = ?", (product_id,)).fetchone()
        return None if row is None else str(row[0])

    def add(
        self, record: Record, leaf: Leaf, picture: tuple[bytes, CheckedPicture] | None, failed: FailedPicture | None
    ) -> None:
        """Add a product, and be one further in its leaf.

        Args:
            record: A product whose id the catalogue does not have.
            leaf: Where it was found.
            picture: Its encoded picture and what was found of it; None when there is none.
            failed: The picture that could not be had, if that is why there is none.
        """
        if picture is not None:
            self._put_picture(record.id, *picture)
        with self._transaction():
            self._connection.execute(
                "INSERT INTO products (id, title, category, description, attributes) VALUES (?, ?, ?, ?, ?)",
                product_row(record),
            )
            self._connection.execute("INSERT INTO crawl_products VALUES (?, ?)", (record.id, leaf.id))
            if picture is not None:
                self._note_picture(record.id, picture[1])
            if failed is not None:
                self._note_failure(record.id, failed)
            self._advance(leaf, kept=1)

    def skip(self, row: SkippedRow, leaf: Leaf) -> None:
        """Note what does not become a product, and be one further in its leaf."""
        with self._transaction():
            self._connection.execute("INSERT INTO crawl_skipped VALUES (?, ?, ?)", (row.where, row.reason, row.detail))
            self._advance(leaf, kept=0)

    def pass_over(self, leaf: Leaf) -> None:
        """Be one further in a leaf, for a product of its own that is there already."""
        with self._transaction():
            self._advance(leaf, kept=0)

    def exhaust(self, leaf: Leaf) -> None:
        """Note that the API has no more of a leaf."""
        with self._transaction():
            self._connection.execute("UPDATE crawl_leaves SET is_exhausted = 1 WHERE id = ?", (leaf.id,))

    def owed_pictures(self) -> list[tuple[str, str]]:
        """Product ids and addresses of the pictures to try again."""
        return self._connection.execute(
            "SELECT id, address FROM crawl_pictures WHERE is_transient = 1 ORDER BY rowid"
        ).fetchall()

    def settle_picture(
        self, product_id: str, picture: tuple[bytes, CheckedPicture] | None, failed: FailedPicture | None
    ) -> None:
        """Note how another try at a product's picture went: the picture, or the failure."""
        if picture is not None:
            self._put_picture(product_id, *picture)
        with self._transaction():
            self._connection.execute("DELETE FROM crawl_pictures WHERE id = ?", (product_id,))
            if picture is not None:
                self._note_picture(product_id, picture[1])
            if failed is not None:
                self._note_failure(product_id, failed)

    def skipped(self) -> list[SkippedRow]:
        """What did not become a product, in the order in which it came."""
        rows = self._connection.execute('SELECT "where", reason, detail FROM crawl_skipped ORDER BY rowid')
        return [SkippedRow(where, SkipReason(reason), detail) for where, reason, detail in rows]

    def failed_pictures(self) -> list[UnreadablePicture]:
        """The pictures that could not be had, with their reasons."""
        rows = self._connection.execute("SELECT id, address, reason FROM crawl_pictures ORDER BY rowid")
        return [UnreadablePicture(*row) for row in rows]

    def _put_picture(self, product_id: str, content: bytes, checked: CheckedPicture) -> None:
        path = picture_path(self.folder, product_id, checked.suffix)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.partial")
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # before the row says that it is there, it is
        partial.replace(path)

    def _note_picture(self, product_id: str, checked: CheckedPicture) -> None:
        self._connection.execute(
            "UPDATE products SET picture_suffix = ?, picture_sha256 = ?, pixels_sha256 = ? WHERE id = ?",
            (checked.suffix, checked.picture_sha256, checked.pixels_sha256, product_id),
        )

    def _note_failure(self, product_id: str, failed: FailedPicture) -> None:
        self._connection.execute(
            "INSERT INTO crawl_pictures VALUES (?, ?, ?, ?)",
            (product_id, failed.address, failed.reason, failed.is_transient),
        )

    def _advance(self, leaf: Leaf, kept: int) -> None:
        self._connection.execute(
            "UPDATE crawl_leaves SET next_offset = next_offset + 1, kept = kept + ? WHERE id = ?", (kept, leaf.id)
        )

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def _check_source(self, source: str, root: str | None) -> None:
        """Refuse to go on with what was not begun with the same question."""
        tables = self._connection.execute("SELECT name FROM sqlite_master WHERE name = 'crawl'").fetchall()
        begun = self._connection.execute("SELECT source, root FROM crawl").fetchone() if tables else None
        if begun != (source, root or ""):
            was = "was not crawled" if begun is None else f"was crawled from {begun[0]} below {begun[1] or 'the top'!r}"
            self._connection.close()
            raise CatalogueError(f"{self.folder} {was}: name another folder for {source} below {root or 'the top'!r}")

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()


def _is_beginning(folder: Path) -> bool:
    """Whether a folder holds nothing but what a crawl that was killed at once left behind."""
    return all(entry.name.startswith((_LOCK_NAME, PICTURES_NAME, f".{DATABASE_NAME}")) for entry in folder.iterdir())


def _create(database: Path, source: str, root: str | None) -> None:
    """Make the database beside its place, so that it is there whole or not at all."""
    partial = database.with_name(f".{database.name}.partial")
    partial.unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(partial, isolation_level=None)) as connection:
        connection.executescript(SCHEMA + _SCHEMA)
        connection.execute("INSERT INTO crawl VALUES (?, ?)", (source, root or ""))
    partial.replace(database)


def _locked(path: Path) -> sqlite3.Connection:
    """Take a lock that the operating system lets go when this process ends, however it ends.

    SQLite's own lock on an empty database is one, on every platform.

    Raises:
        CatalogueError: Another crawl has it.
    """
    connection = sqlite3.connect(path, timeout=0, isolation_level=None)
    try:
        connection.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        connection.close()
        raise CatalogueError(f"another crawl is at work in {path.parent}") from error
    return connection
