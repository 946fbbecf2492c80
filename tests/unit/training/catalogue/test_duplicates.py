"""Finding products that are the same."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from aisle_training.catalogue.catalogue import Product
from aisle_training.catalogue.duplicates import (
    Conflict,
    find_duplicates,
    group_products,
    majority_category,
    title_key,
)

# Few titles, hashes and categories, so that chains of duplicates come about.
CATALOGUES = st.lists(
    st.tuples(
        st.sampled_from(["", "mug", " MUG ", "blue  mug", "Blue mug", "cup", "jug", "jar", "Jar\n"]),
        st.sampled_from(["", *"pqrstuvw"]),
        st.sampled_from(["Mugs", "Cups", "Jars"]),
    ),
    max_size=30,
)


def make(rows: list[tuple[str, str, str]]) -> tuple[list[Product], dict[str, str]]:
    """Make products, numbered from 0, from titles, pixel hashes and shelves."""
    products = [Product(str(n), title, ("Home", category), None) for n, (title, _, category) in enumerate(rows)]
    return products, {str(n): pixels for n, (_, pixels, _) in enumerate(rows) if pixels}


def test_title_key() -> None:
    """Titles are one when they differ in case, white space and spelling alone; only a blank one has no key."""
    assert title_key(" Blue\u00a0 MUG\n") == title_key("blue mug")
    assert title_key("ÄRMEL") == title_key("ärmel")
    assert title_key("blue mug") != title_key("bluemug")
    assert title_key("كيف چرمی ۲") == title_key("کیف چرمی 2")  # two spellings that the title classifier sees as one
    assert title_key("™") == "™"
    assert title_key(" \t") == ""


@given(rows=CATALOGUES)
def test_groups_are_what_chains_reach(rows: list[tuple[str, str, str]]) -> None:
    """A group holds exactly what can be reached from one of its products over equal titles and equal pixels."""
    products, pixel_hashes = make(rows)

    def same(one: Product, other: Product) -> bool:
        title, pixels = title_key(one.title), pixel_hashes.get(one.id)
        return bool((title and title == title_key(other.title)) or (pixels and pixels == pixel_hashes.get(other.id)))

    def reach(start: Product) -> set[str]:
        reached, edge = {start.id}, [start]
        while edge:
            one = edge.pop()
            fresh = [other for other in products if other.id not in reached and same(one, other)]
            reached.update(other.id for other in fresh)
            edge.extend(fresh)
        return reached

    groups = group_products(products, pixel_hashes)
    assert sorted(product.id for group in groups for product in group) == sorted(product.id for product in products)
    for group in groups:
        assert {product.id for product in group} == reach(group[0])


@given(rows=CATALOGUES)
def test_duplicates_are_counted(rows: list[tuple[str, str, str]]) -> None:
    """The counts of duplicates are those of a plain count of titles and of pixel hashes."""
    products, pixel_hashes = make(rows)
    duplicates = find_duplicates(products, pixel_hashes)
    titles = [n for key, n in Counter(title_key(product.title) for product in products).items() if key and n > 1]
    pixels = [n for n in Counter(pixel_hashes.values()).values() if n > 1]
    assert (duplicates.title_sets, duplicates.title_products) == (len(titles), sum(titles))
    assert (duplicates.pixel_sets, duplicates.pixel_products) == (len(pixels), sum(pixels))
    for conflict in duplicates.conflicts:
        assert len(set(conflict.categories.values())) > 1


def test_conflicts() -> None:
    """Products that are the same and stand in different categories are named, with what each of them says."""
    products, pixel_hashes = make(
        [("Mug", "p", "Mugs"), ("mug", "q", "Cups"), ("Cup", "q", "Cups"), ("Jar", "p", "Mugs")]
    )
    assert find_duplicates(products, pixel_hashes).conflicts == [
        Conflict("title", "mug", {"0": ("Home", "Mugs"), "1": ("Home", "Cups")})
    ]
    products, pixel_hashes = make([("Mug", "p", "Mugs"), ("Cup", "p", "Cups")])
    assert find_duplicates(products, pixel_hashes).conflicts == [
        Conflict("pixels", "p", {"0": ("Home", "Mugs"), "1": ("Home", "Cups")})
    ]


def test_majority_category() -> None:
    """A group's category is that of most of its products, and of several such the first by name."""
    products, _ = make([("Mug", "", "Mugs"), ("Mug", "", "Cups"), ("Mug", "", "Mugs")])
    assert majority_category(products) == ("Home", "Mugs")
    assert majority_category(products[:2]) == ("Home", "Cups")
