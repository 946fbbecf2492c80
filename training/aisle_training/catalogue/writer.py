"""Write a catalogue beside its place, and put it there whole when it is done."""

from __future__ import annotations

import json
import secrets
import shutil
import sqlite3
from collections.abc import Collection
from pathlib import Path
from types import TracebackType

from aisle_training.catalogue.catalogue import DATABASE_NAME, PICTURES_NAME, REPORT_NAME, SCHEMA, picture_path
from aisle_training.catalogue.errors import CatalogueError
from aisle_training.catalogue.picture_check import CheckedPicture
from aisle_training.catalogue.records import Record

OWN_NAMES = frozenset({DATABASE_NAME, PICTURES_NAME, REPORT_NAME})


class CatalogueWriter:
    """A catalogue in the making.

    Used as a context manager. It lies in a hidden folder next to its target until `publish` renames it; left without
    `publish`, by an error or an interrupt, it takes that folder away and the target is as it was.
    """

    def __init__(self, target: Path, *, replace: bool = False) -> None:
        """Begin an empty catalogue.

        Args:
            target: The folder that the catalogue will be.
            replace: Whether a catalogue that stands there may be replaced. Any other file in it moves over.

        Raises:
            CatalogueError: Something stands there that may not be replaced, or the place cannot be written.
        """
        self._target = target.absolute()
        self._replace = replace
        self._check_target()
        self.folder = self._target.with_name(f".{self._target.name}.importing-{secrets.token_hex(4)}")
        try:
            self.folder.mkdir(parents=True)
        except OSError as error:
            raise CatalogueError(f"{self._target.parent} cannot be written: {error.strerror}") from error
        self._connection = sqlite3.connect(self.folder / DATABASE_NAME, isolation_level=None)
        # Nobody else sees this file, and a failure throws it away: it needs no journal.
        self._connection.execute("PRAGMA journal_mode = OFF")
        self._connection.executescript(SCHEMA)
        self._connection.execute("BEGIN")

    def __enter__(self) -> CatalogueWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()
        shutil.rmtree(self.folder, ignore_errors=True)  # after `publish` there is none

    def add(self, record: Record) -> bool:
        """Add a product, for now without a picture.

        Returns:
            False when the catalogue already has a product of this id; that one stays as it is.
        """
        cursor = self._connection.execute(
            "INSERT OR IGNORE INTO products (id, title, category, description, attributes) VALUES (?, ?, ?, ?, ?)",
            product_row(record),
        )
        return cursor.rowcount == 1

    def add_picture(self, product_id: str, content: bytes, checked: CheckedPicture) -> None:
        """Give a product its picture.

        Args:
            product_id: A product that was added.
            content: The encoded picture.
            checked: What `check_picture` found of `content`.
        """
        path = picture_path(self.folder, product_id, checked.suffix)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        self._connection.execute(
            "UPDATE products SET picture_suffix = ?, picture_sha256 = ?, pixels_sha256 = ? WHERE id = ?",
            (checked.suffix, checked.picture_sha256, checked.pixels_sha256, product_id),
        )

    def remove(self, product_ids: Collection[str]) -> None:
        """Take out products that have no picture."""
        self._connection.executemany(
            "DELETE FROM products WHERE id = ? AND picture_suffix IS NULL",
            ((product_id,) for product_id in product_ids),
        )

    def flush(self) -> None:
        """Finish the table: from here on `Catalogue.open(writer.folder)` reads it, and nothing more can be added."""
        self._connection.execute("COMMIT")
        self._connection.close()
        (self.folder / PICTURES_NAME).mkdir(exist_ok=True)

    def publish(self) -> None:
        """Put the flushed catalogue in its place, by renaming.

        Raises:
            CatalogueError: Something came to stand there meanwhile that may not be replaced.
        """
        self._check_target()
        if not self._target.exists():
            self.folder.rename(self._target)
            return
        former = self._target.with_name(f".{self._target.name}.former-{secrets.token_hex(4)}")
        self._target.rename(former)
        try:
            self.folder.rename(self._target)
        except OSError:
            former.rename(self._target)
            raise
        # The import owns three names in the folder. A split file, say, is the user's and stays.
        for entry in former.iterdir():
            if entry.name not in OWN_NAMES:
                entry.rename(self._target / entry.name)
        shutil.rmtree(former, ignore_errors=True)  # the catalogue is in its place: what fails here is only untidy

    def _check_target(self) -> None:
        if not self._target.exists() and not self._target.is_symlink():
            return
        if not (self._target / DATABASE_NAME).is_file() or self._target.is_symlink():
            raise CatalogueError(f"{self._target} exists and is no catalogue: name a folder that does not exist yet")
        if not self._replace:
            raise CatalogueError(f"{self._target} exists already: replace it with --replace, or name another folder")


def product_row(record: Record) -> tuple[str, str, str, str, str]:
    """A record as its columns in `products`: id, title, category, description, attributes."""
    return (
        record.id,
        record.title,
        json.dumps(record.category, ensure_ascii=False),
        record.description,
        json.dumps(dict(record.attributes), ensure_ascii=False, sort_keys=True),
    )
