"""What an importer hands over: a record for each row it understood, and the reason for each row it did not.

A new importer (another file format, a crawler) is an iterable of these and, when it brings pictures, a `PictureSource`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class SkipReason(StrEnum):
    """Why a row did not become a product."""

    MALFORMED = "malformed row"
    EMPTY_CATEGORY = "empty category"
    DUPLICATE_ID = "duplicate id"
    NEITHER = "neither title nor picture"


@dataclass(frozen=True, slots=True)
class Record:
    """A row that may become a product.

    Attributes:
        where: Where the row stood, for people: "line 12".
        id: The shop's own id, not empty, without control characters.
        title: Stripped; may be empty.
        category: Names from the root to the leaf, at least one, none of them empty.
        picture_name: What the picture is called in its source, as the row says it; None when the row names none.
        description: Further text, stripped and without markup; may be empty.
        attributes: What else the row knows, text by name; nothing that is empty.
    """

    where: str
    id: str
    title: str
    category: tuple[str, ...]
    picture_name: str | None
    description: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SkippedRow:
    """A row that does not become a product.

    Attributes:
        where: Where the row stood, for people: "lines 12-14".
        reason: The kind of fault.
        detail: What came and what was expected.
    """

    where: str
    reason: SkipReason
    detail: str
