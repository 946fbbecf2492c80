"""Finding labels that are likely wrong."""

import dataclasses

from aisle_training.catalogue.catalogue import Product
from aisle_training.catalogue.checking.label_errors import doubt_labels
from tests.support.drawn_catalogue import draw_products


def products(per_category: int = 30) -> list[Product]:
    """Drawn products, whose titles tell their category."""
    return [Product(one.id, one.title, one.category, None) for one in draw_products(per_category)]


def test_wrong_label_is_found() -> None:
    """A tent among the clocks is doubted first, with the category that it belongs to; right labels are not doubted."""
    clean = products()
    found = doubt_labels(clean, {})
    assert (found.doubts, found.judged, found.not_judged) == ([], 120, 0)
    tent = next(n for n, product in enumerate(clean) if product.category == ("Outdoor", "Tents"))
    clean[tent] = dataclasses.replace(clean[tent], category=("Home", "Clocks"))
    (doubt,) = doubt_labels(clean, {}).doubts
    assert (doubt.product, doubt.suggested) == (clean[tent], ("Outdoor", "Tents"))
    assert doubt.margin > 0.5


def test_label_does_not_vouch_for_itself() -> None:
    """Copies of a wrongly labelled product do not make its label right: they are never trained on to judge it."""
    clean = products()
    tent = next(product for product in clean if product.category == ("Outdoor", "Tents"))
    wrong = [dataclasses.replace(tent, id=f"w{n}", category=("Home", "Clocks")) for n in range(8)]
    found = doubt_labels([product for product in clean if product != tent] + wrong, {})
    assert {doubt.product.id for doubt in found.doubts} >= {product.id for product in wrong}


def test_what_is_not_judged() -> None:
    """Blank titles and rare categories are not judged, and are counted."""
    rare = [Product(f"r{n}", f"Rowan anvil {n}", ("Forge", "Anvils"), None) for n in range(3)]
    blank = [Product("b", " ", ("Home", "Clocks"), None)]
    found = doubt_labels([*products(), *rare, *blank], {})
    assert (found.judged, found.not_judged) == (120, 4)


def test_nothing_to_compare() -> None:
    """A catalogue of one category, or of none, has nothing to doubt."""
    for some in ([], [product for product in products() if product.category == ("Home", "Clocks")]):
        found = doubt_labels(some, {})
        assert (found.doubts, found.judged, found.not_judged) == ([], 0, len(some))


def test_two_categories() -> None:
    """Two categories are judged as many are."""
    some = [product for product in products() if product.category[0] == "Home"]
    some[0] = dataclasses.replace(some[0], category=("Home", "Crates"))
    (doubt,) = doubt_labels(some, {}).doubts
    assert (doubt.product.id, doubt.suggested) == (some[0].id, ("Home", "Clocks"))
