"""Products out of a CSV file and a folder of pictures. A row that is wrong is an error in its place, and the reading goes on."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NamedTuple, TextIO

from aisle_client.errors import CatalogueError, InvalidInputError, PictureError
from aisle_client.products import Product

_MAX_LINE_CHARACTERS: Final = 2**20


class CatalogueRow(NamedTuple):
    """A product and the id that stands for it in the results, or what is wrong with it."""

    id: str
    product: Product | InvalidInputError


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueFile:
    """Where products stand.

    Attributes:
        path: A CSV file with a header, in UTF-8; a byte order mark is passed over.
        id_column: Names each row in the results.
        title_column: None when there are no titles. All other columns go with the product under their names, for models
            that take such a text.
        image_column: The picture's file name within `pictures`; an empty field is a product without a picture.
        image_pattern: The picture's file name where there is no image column; `{id}` stands for the id. A file that
            is not there is a product without a picture.
        pictures: The folder of the pictures, which none of them leaves; None when there are none.
        delimiter: What stands between two fields: one character.
    """

    path: Path
    id_column: str = "id"
    title_column: str | None = "title"
    image_column: str | None = None
    image_pattern: str = "{id}.jpg"
    pictures: Path | None = None
    delimiter: str = ","

    def __post_init__(self) -> None:
        if self.image_column and self.pictures is None:
            raise InvalidInputError(f"the image column {self.image_column!r} needs the folder of the pictures")
        if not self.title_column and self.pictures is None:
            raise InvalidInputError("neither a title column nor a folder of pictures was given; expected one, or both")
        if len(self.delimiter) != 1:
            raise InvalidInputError(f"the delimiter is {self.delimiter!r}; expected one character")

    def rows(self) -> Iterator[CatalogueRow]:
        """Yield each row that is not blank, in the file's order.

        Raises:
            CatalogueError: The file cannot be read, or lacks a column.
        """
        try:
            # surrogateescape carries a foreign byte to its row, where it is an error.
            with self.path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
                yield from self._rows(file)
        except OSError as error:
            raise CatalogueError(f"{self.path} cannot be read: {error.strerror}") from error

    def count(self) -> int:
        """Return the number of rows; reads the file through, and no picture.

        Raises:
            CatalogueError: The file cannot be read, or lacks a column.
        """
        return sum(1 for _ in replace(self, title_column=self.id_column, image_column=None, pictures=None).rows())

    def _rows(self, file: TextIO) -> Iterator[CatalogueRow]:
        reader = csv.reader(_bounded_lines(file), delimiter=self.delimiter, strict=True)
        try:
            header = next(reader, [])
        except csv.Error as error:
            raise CatalogueError(f"the header of {self.path} is malformed: {error}") from error
        wanted = (self.id_column, self.title_column, self.image_column)
        places = {column: self._place(header, column) for column in wanted if column}
        texts = {column: header.index(column) for column in header if column and column not in places}
        while True:
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield CatalogueRow("", InvalidInputError(f"line {reader.line_num} is malformed: {error}"))
                continue
            if len(fields) == len(header):
                record = {column: fields[place] for column, place in places.items()}
                product = self._product(record, {column: fields[place] for column, place in texts.items()})
                yield CatalogueRow(record[self.id_column], product)
            elif fields:  # csv reads an empty line as a row of no fields
                text = f"line {reader.line_num} has {len(fields)} fields; expected {len(header)}"
                yield CatalogueRow("", InvalidInputError(text))

    def _place(self, header: list[str], column: str) -> int:
        if header.count(column) != 1:
            times = "twice" if column in header else "no"
            raise CatalogueError(f"{self.path} has {times} column {column!r}; its header has {', '.join(header)[:500]}")
        return header.index(column)

    def _product(self, record: dict[str, str], texts: dict[str, str]) -> Product | InvalidInputError:
        try:
            return Product(record[self.title_column] if self.title_column else None, self._picture(record), texts)
        except PictureError as error:
            return error

    def _picture(self, record: dict[str, str]) -> Path | None:
        if self.pictures is None:
            return None
        if self.image_column:
            name = record[self.image_column].strip()
        else:
            name = self.image_pattern.replace("{id}", record[self.id_column].strip())
        if not name:
            return None
        try:
            folder = self.pictures.resolve()
            path = (folder / name).resolve()
            is_there = path.exists()
        except (OSError, ValueError, RuntimeError) as error:  # too long, a NUL, a loop of links
            raise PictureError(f"{name[:80]!r} is no file name") from error
        if not path.is_relative_to(folder):
            raise PictureError(f"{name!r} leads out of the folder of pictures")
        return path if is_there or self.image_column else None


def _bounded_lines(file: TextIO) -> Iterator[str]:
    # A file without line breaks would otherwise be read whole. csv itself bounds a field, which an unclosed quote makes long.
    while line := file.readline(_MAX_LINE_CHARACTERS):
        if len(line) == _MAX_LINE_CHARACTERS and not line.endswith("\n"):
            raise CatalogueError(f"{file.name} has a line of more than {_MAX_LINE_CHARACTERS:,} characters")
        yield line
