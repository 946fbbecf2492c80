"""What a ShopStyle-style product API answers, read without trusting it.

Two resources, both JSON:

    GET BASE/categories?pid=KEY&cat=ROOT
        {"metadata": {"root": {"id": "women"}},
         "categories": [{"id": "dresses", "name": "Dresses", "parentId": "womens-clothes"}, ...]}
    GET BASE/products?pid=KEY&cat=LEAF&offset=0&limit=50
        {"metadata": {"offset": 0, "limit": 50, "total": 1234},
         "products": [{"id": 359131344, "name": "...", "description": "...", "brand": {"name": "..."}, "price": 19.9,
                       "image": {"sizes": {"XLarge": {"url": "https://..."}, ...}}}, ...]}

The categories come flat, each with its parent. Whatever is missing or of another type spoils its own product or
category, and is told of; only an answer that is no such thing at all is an error.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

from aisle_training.catalogue.records import Record, SkippedRow, SkipReason
from aisle_training.catalogue.tables.columns import MAX_FIELD_CHARACTERS, MAX_PATH_NAMES, Cell, Columns, cell_text
from aisle_training.catalogue.web.addresses import parse_address
from aisle_training.catalogue.web.errors import FetchError
from aisle_training.catalogue.web.fetcher import Fetcher
from aisle_training.catalogue.web.robots import Robots

MAX_ANSWER_BYTES: Final = 8 << 20
MAX_CATEGORIES: Final = 100_000
_PICTURE_SIZES: Final = ("XLarge", "Large", "Original", "Best", "Medium", "Small")
_COLUMNS: Final = Columns(
    id="id",
    title=("name",),
    category=("category",),
    image="picture",
    description=("description",),
    attributes=("brand", "price"),
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Leaf:
    """A category without children.

    Attributes:
        id: What the API calls it.
        path: The names from the outermost category down.
    """

    id: str
    path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """Some products of a leaf.

    Attributes:
        rows: Products, and what was no product, in the API's order.
        total: How many products the API says that the leaf has; None when it does not say.
    """

    rows: list[Record | SkippedRow]
    total: int | None


class ProductApi:
    """A product API, asked as its robots.txt allows."""

    def __init__(self, base: str, fetcher: Fetcher, *, api_key: str | None = None) -> None:
        """Begin.

        Args:
            base: The address that `/categories` and `/products` are below.
            fetcher: What asks.
            api_key: Sent as `pid`; None for none.

        Raises:
            FetchError: `base` is no http or https address.
        """
        self.base = str(parse_address(base).copy_with(query=None)).rstrip("/")
        self._fetcher = fetcher
        self._robots = Robots(fetcher)
        self._api_key = api_key

    def leaves(self, root: str | None) -> list[Leaf]:
        """Ask for the categories below one, or for all, and keep those without children."""
        return self._ask("categories", {"cat": root}, parse_leaves)

    def page(self, leaf: Leaf, offset: int, limit: int) -> Page:
        """Ask for `limit` products of a leaf, from the `offset`th on."""
        query = {"cat": leaf.id, "offset": str(offset), "limit": str(limit)}
        return self._ask("products", query, lambda answer: parse_page(answer, leaf))

    def picture(self, address: str, maximum_bytes: int) -> bytes:
        """Fetch a picture, wherever the API says that it is."""
        self._robots.check(address)
        return self._fetcher.fetch(address, maximum_bytes)

    def _ask(self, resource: str, query: Mapping[str, str | None], parse: Callable[[Mapping[str, Any]], T]) -> T:
        """Ask for a resource and read the answer.

        Raises:
            FetchError: It cannot be had, is not allowed, or is not what was asked for.
        """
        given = {name: text for name, text in {"pid": self._api_key, **query}.items() if text is not None}
        address = f"{self.base}/{resource}?{urlencode(given)}"
        self._robots.check(address)
        return self._fetcher.fetch_as(address, MAX_ANSWER_BYTES, lambda body: parse(_object(body)))


def parse_leaves(answer: Mapping[str, Any]) -> list[Leaf]:
    """Find the leaves among an answer's categories.

    Raises:
        FetchError: There is no list of categories, or too long a one.
    """
    categories = answer.get("categories")
    if not isinstance(categories, list) or len(categories) > MAX_CATEGORIES:
        raise FetchError(f"the API answered no list of at most {MAX_CATEGORIES} categories", is_transient=True)
    named: dict[str, tuple[str, str]] = {}  # id -> name, parent's id
    for category in categories:
        if isinstance(category, dict) and (category_id := _plain(category.get("id"))):
            name = " ".join(_plain(category.get("name")).split())[:MAX_FIELD_CHARACTERS] or category_id
            named.setdefault(category_id, (name, _plain(category.get("parentId"))))
    parents = {parent for _, parent in named.values()}
    leaves = [Leaf(category_id, _path(category_id, named)) for category_id in named if category_id not in parents]
    return [leaf for leaf in leaves if leaf.path]


def _object(body: bytes) -> Mapping[str, Any]:
    """Read a JSON object; what is none is a transient fault, for it may have been cut off on its way."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise FetchError("the API answered what is no JSON object", is_transient=True)
    return answer


def _path(category_id: str, named: Mapping[str, tuple[str, str]]) -> tuple[str, ...]:
    """Walk up from a category; empty when it is deeper than a catalogue takes, or goes in a circle."""
    names: list[str] = []
    while category_id in named:
        name, category_id = named[category_id]
        names.append(name)
        if len(names) > MAX_PATH_NAMES:
            return ()
    return tuple(reversed(names))


def parse_page(answer: Mapping[str, Any], leaf: Leaf) -> Page:
    """Read an answer's products as those of a leaf.

    Raises:
        FetchError: There is no list of products.
    """
    products = answer.get("products")
    if not isinstance(products, list):
        raise FetchError("the API answered no list of products", is_transient=True)
    metadata = answer.get("metadata")
    total = metadata.get("total") if isinstance(metadata, dict) else None
    is_count = isinstance(total, int) and not isinstance(total, bool) and total >= 0
    return Page([_row(product, leaf) for product in products], total if is_count else None)


def _row(product: Any, leaf: Leaf) -> Record | SkippedRow:
    if not isinstance(product, dict):
        detail = f"a product is a JSON {type(product).__name__}, expected an object"
        return SkippedRow(f"category {leaf.id}", SkipReason.MALFORMED, detail)
    brand = product.get("brand")
    cells: dict[str, Cell] = {
        "id": _plain(product.get("id")),
        "name": _plain(product.get("name")),
        "category": leaf.path,
        "picture": _picture_address(product.get("image")),
        "description": _plain(product.get("description")),
        "brand": _plain(brand.get("name") if isinstance(brand, dict) else brand),
        "price": _plain(product.get("price")),
    }
    where = f"product {cells['id'][:80]!r} of category {leaf.id}"
    return _COLUMNS.parse(cells, where, 0)


def _picture_address(image: Any) -> str:
    """The largest size that is offered; empty when there is none."""
    sizes = image.get("sizes") if isinstance(image, dict) else None
    if isinstance(sizes, dict):
        for name in (*_PICTURE_SIZES, *sizes):
            size = sizes.get(name)
            if isinstance(size, dict) and (address := _plain(size.get("url"))):
                return address
    return ""


def _plain(value: object) -> str:
    """A plain value as text; empty for what is none."""
    try:
        cell = cell_text(value)
    except ValueError:
        return ""
    return cell.strip() if isinstance(cell, str) else ""
