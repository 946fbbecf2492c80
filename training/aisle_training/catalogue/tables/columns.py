"""Which columns of a shop's table hold what, and how a row becomes a record by them.

One parser serves all file formats: a reader hands it a row as a mapping from column to cell.
"""

from __future__ import annotations

import html
import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from aisle_training.catalogue.errors import CatalogueError
from aisle_training.catalogue.records import Record, SkippedRow, SkipReason

MAX_FIELD_CHARACTERS: Final = 1 << 16
MAX_ID_CHARACTERS: Final = 1024
MAX_PATH_NAMES: Final = 16

Cell = str | tuple[str, ...]  # a tuple: the names of a category path

# A tag, and nothing that merely looks like one: "<3" and "a < b" stay.
_FIELD = re.compile(r"\{([^{}]*)\}")
_TAG = re.compile(r"</?[A-Za-z][^<>]*>|<!--[^<>]*-->")


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns of a table hold what.

    Attributes:
        id: Column of the product id; None when there is none, and the rows are numbered from 1.
        title: Columns of the title, joined by a space where several are not blank; none when there are only pictures.
        category: Columns of the category path, root first, at least one. Blank columns at the end shorten the path.
        image: Column of the picture's name or address, of several in a list the first; None when there is no such column.
        image_pattern: The picture's name when there is no such column: `{id}` stands for the product id, and any other
            column's name in braces for what that column holds. None when there are no pictures.
        description: Columns of further text, joined by line breaks.
        attributes: Columns kept by their own names.
        category_separator: What parts the names of a path within one column; None when a column holds one name.
        category_names: Value of a category column -> the name to use instead, for shops that number their categories.
        category_paths: Product id -> category path, where a table of its own holds the categories, and `category` is
            empty; None otherwise.
    """

    id: str | None
    title: tuple[str, ...]
    category: tuple[str, ...]
    image: str | None = None
    image_pattern: str | None = "{id}.jpg"
    description: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    category_separator: str | None = None
    category_names: Mapping[str, str] = field(default_factory=dict, hash=False)
    category_paths: Mapping[str, tuple[str, ...]] | None = field(default=None, hash=False)

    def __post_init__(self) -> None:
        if not self.category and self.category_paths is None:
            raise CatalogueError("no category column was named, expected at least one")
        if self.image is None and self.image_pattern is not None and not _FIELD.search(self.image_pattern):
            raise CatalogueError(
                f"the image pattern {self.image_pattern!r} lacks {{id}} or another column: all pictures would be one"
            )
        if self.category_separator is not None and not self.category_separator.strip():
            raise CatalogueError("the category separator is blank, expected at least one character that is seen")

    @property
    def names(self) -> tuple[str, ...]:
        """All columns that are read, each once."""
        single = [name for name in (self.id, self.image) if name is not None]
        if self.image is None:
            single += [name for name in _FIELD.findall(self.image_pattern or "") if name != "id"]
        return tuple(dict.fromkeys([*single, *self.title, *self.category, *self.description, *self.attributes]))

    def parse(self, cells: Mapping[str, Cell], where: str, number: int) -> Record | SkippedRow:
        """Make a record of a row.

        Args:
            cells: Column -> what stands in it, for all of `names`.
            where: Where the row stands, for people.
            number: The row's number, counted from 1, which is the id where the table has none.
        """
        product_id = str(number) if self.id is None else _text(cells[self.id])
        fault = _fault(cells, product_id) or self._path_fault(cells)
        if fault is not None:
            return SkippedRow(where, SkipReason.MALFORMED, fault)
        if self.category_paths is not None:
            path = self.category_paths.get(product_id, ())
            detail = f"the table of categories has no category for the id {product_id!r}"
        else:
            path = self._path(cells)
            detail = (
                f"the category columns hold {[cells[name] for name in self.category]}, expected no gap before a name"
            )
        if not path or "" in path:
            return SkippedRow(where, SkipReason.EMPTY_CATEGORY, detail)
        picture_name = self._picture_name(cells, product_id)
        return Record(
            where,
            product_id,
            " ".join(filter(None, (_text(cells[name]) for name in self.title))),
            path,
            picture_name=picture_name or None,
            description="\n".join(filter(None, (plain_text(_text(cells[name])) for name in self.description))),
            attributes={name: text for name in self.attributes if (text := _text(cells[name]))},
        )

    def _picture_name(self, cells: Mapping[str, Cell], product_id: str) -> str:
        if self.image is not None:
            return next(filter(None, (name.strip() for name in _texts(cells[self.image]))), "")
        return _FIELD.sub(
            lambda found: product_id if found[1] == "id" else _text(cells[found[1]]), self.image_pattern or ""
        )

    def _path_fault(self, cells: Mapping[str, Cell]) -> str | None:
        """Say of a list that it is too long for a path; None when it is not."""
        longest = max((len(_texts(cells[name])) for name in self.category), default=0)
        if longest > MAX_PATH_NAMES:
            return f"a list has {longest} entries, expected at most {MAX_PATH_NAMES}"
        return None

    def _path(self, cells: Mapping[str, Cell]) -> tuple[str, ...]:
        names: list[str] = []
        for column in self.category:
            cell = cells[column]
            for value in (cell,) if isinstance(cell, str) else cell:
                text = self.category_names.get(value.strip(), value)
                names += text.split(self.category_separator) if self.category_separator else [text]
        # A name is one line of a label file: inner whitespace, line breaks included, becomes one space.
        names = [" ".join(name.split()) for name in names]
        while names and not names[-1]:
            names.pop()
        return tuple(names)


def cell_text(value: object) -> Cell:
    """Bring a value of a typed table (JSON, Parquet) to text.

    A whole number that came as a float, as a column of integers with gaps does, loses its `.0`. A list is a path.

    Raises:
        ValueError: It is an object, or a list of something else than plain values.
    """
    match value:
        case None:
            return ""
        case str():
            return value
        case bool():
            return str(value).lower()
        case float():
            if math.isnan(value):
                return ""
            return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
        case int():
            return str(value)
        case list() | tuple():
            names = [cell_text(entry) for entry in value]
            if all(isinstance(name, str) for name in names):
                return tuple(str(name) for name in names)
    raise ValueError(f"a field holds {type(value).__name__}, expected text, a number or a list of texts")


def plain_text(text: str) -> str:
    """Take HTML markup out of a shop's text: tags become spaces, `&amp;` becomes `&`, runs of blanks one blank."""
    return " ".join(html.unescape(_TAG.sub(" ", text)).split())


def id_fault(product_id: str) -> str | None:
    """Say why a text can be no product id; None when it can."""
    if not product_id:
        return "its id is empty"
    if len(product_id) > MAX_ID_CHARACTERS:
        return f"its id has {len(product_id)} characters, expected at most {MAX_ID_CHARACTERS}"
    if any(unicodedata.category(character) == "Cc" for character in product_id):
        return f"its id {product_id!r} holds a control character"
    return None


def _fault(cells: Mapping[str, Cell], product_id: str) -> str | None:
    """Say what makes a row malformed; None when nothing does."""
    for cell in cells.values():
        characters = sum(map(len, _texts(cell)))
        if characters > MAX_FIELD_CHARACTERS:
            return f"a field has {characters} characters, expected at most {MAX_FIELD_CHARACTERS}"
        for text in _texts(cell):
            try:
                text.encode()
            except UnicodeEncodeError:
                return "it is not UTF-8"
    return id_fault(product_id)


def _texts(cell: Cell) -> Sequence[str]:
    return (cell,) if isinstance(cell, str) else cell


def _text(cell: Cell) -> str:
    """A cell as one stripped text; a list outside the category is joined as people would read it."""
    return cell.strip() if isinstance(cell, str) else ", ".join(entry.strip() for entry in cell)
