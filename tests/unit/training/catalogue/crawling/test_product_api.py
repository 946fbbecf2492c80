"""Reading what a product API answers."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisle_training.catalogue.crawling.product_api import Leaf, parse_leaves, parse_page
from aisle_training.catalogue.records import Record, SkippedRow
from aisle_training.catalogue.web.errors import FetchError

LEAF = Leaf("mugs", ("Home", "Mugs"))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "name", "image", "sizes", "XLarge", "url", "brand", "parentId", "total"]), inner
        )
    ),
    max_leaves=8,
)


def category(category_id: str, parent: str | None = None, name: str | None = None) -> dict[str, Any]:
    """A category as the API gives it."""
    return {"id": category_id, "name": name or category_id.title(), "parentId": parent}


def test_leaves_have_paths() -> None:
    """Categories without children are leaves, in the API's order, and their paths start below the root."""
    answer = {
        "metadata": {"root": {"id": "women"}},
        "categories": [category("home", "women"), category("mugs", "home", " Tea\n mugs "), category("bags", "women")],
    }
    assert parse_leaves(answer) == [Leaf("mugs", ("Home", "Tea mugs")), Leaf("bags", ("Bags",))]


def test_circles_of_categories() -> None:
    """Categories that are their own ancestors, and those that are too deep, are no leaves."""
    circle = [category("a", "b"), category("b", "a"), category("c", "b")]
    deep = [category(f"d{n}", f"d{n - 1}") for n in range(20)]
    assert parse_leaves({"categories": [*circle, *deep, category("e")]}) == [Leaf("e", ("E",))]


def test_largest_picture() -> None:
    """Of the sizes of a picture the largest is taken, whatever its name where none is known."""
    sizes: list[dict[str, Any]] = [
        {"Small": {"url": "s"}, "XLarge": {"url": "x"}},
        {"IPhone": {"url": "i"}},
        {"XLarge": {"url": ""}, "Large": {"url": "l"}},
        {},
    ]
    page = parse_page(
        {"products": [{"id": n, "name": "Mug", "image": {"sizes": s}} for n, s in enumerate(sizes)]}, LEAF
    )
    assert [row.picture_name for row in page.rows if isinstance(row, Record)] == ["x", "i", "l", None]


@pytest.mark.parametrize("answer", [{}, {"products": {}}, {"products": None}])
def test_no_products(answer: dict[str, Any]) -> None:
    """An answer without a list of products is a fault that may pass."""
    with pytest.raises(FetchError, match="no list of products") as caught:
        parse_page(answer, LEAF)
    assert caught.value.is_transient


@pytest.mark.parametrize(("total", "expected"), [(7, 7), (0, 0), (-1, None), ("7", None), (True, None), (None, None)])
def test_total(total: object, expected: int | None) -> None:
    """The total is believed when it is a count."""
    assert parse_page({"products": [], "metadata": {"total": total}}, LEAF).total == expected


@given(st.lists(JSON, max_size=4), JSON)
def test_no_product_is_lost(products: list[Any], metadata: Any) -> None:
    """Whatever JSON comes, each product comes out once: as a record with an id and the leaf's path, or with its fault."""
    page = parse_page({"products": products, "metadata": metadata}, LEAF)
    assert len(page.rows) == len(products)
    for row in page.rows:
        assert isinstance(row, SkippedRow) or (row.id and row.category == LEAF.path)


@given(st.lists(JSON, max_size=6))
def test_any_categories(categories: list[Any]) -> None:
    """Whatever JSON comes, the leaves have paths of names."""
    for leaf in parse_leaves({"categories": categories}):
        assert leaf.id
        assert all(leaf.path)
