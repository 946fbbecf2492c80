"""Results: what is read of an answer and how it is shown."""

import json

import pytest

from aisle_client import Categorization, Category, ProtocolError
from aisle_client.categories import parse_category

SHIRTS = Category("Apparel > Topwear > Shirts", 0.75, 3)
SHOES = Category("Footwear > Shoes", 0.2, 1)
ANSWER = Categorization((SHIRTS, SHOES), 2, "product_categorizer", "1", "r1", ("title", "image"), 0.0123)


def test_a_class_is_read():
    """An element of the classification extension is value, index and label."""
    category = parse_category(b"0.910000:3:Apparel > Topwear > Shirts")
    assert (category.confidence, category.index) == (0.91, 3)
    assert category.path == ("Apparel", "Topwear", "Shirts")
    assert category.name == "Shirts"


@pytest.mark.parametrize(
    ("element", "label"),
    [
        (b"0.5:7:Care > Fragrance: Eau de Toilette", "Care > Fragrance: Eau de Toilette"),
        ("0.5:7:کیف و کفش > کفش".encode(), "کیف و کفش > کفش"),
        (b"0.5:7", "7"),
        (b"0.5:7:", "7"),
        (b"nan:7:x", "x"),
    ],
)
def test_labels(element, label):
    """A label may hold colons and any script; a class without one goes by its index."""
    assert parse_category(element).label == label


@pytest.mark.parametrize("element", [b"", b"x", b"0.5", b"0.5:x:y", b"\xff:1:a"])
def test_no_classes(element):
    """What is no class is a protocol error."""
    with pytest.raises(ProtocolError, match="value:index:label"):
        parse_category(element)


def test_best_and_top():
    """The best is the first; asking for more than was asked of the server is an error, not a shorter answer."""
    assert ANSWER.best is SHIRTS
    assert ANSWER.top(1) == (SHIRTS,)
    assert ANSWER.top(2) == (SHIRTS, SHOES)
    for k in (0, 3):
        with pytest.raises(ValueError, match="holds the best 2"):
            ANSWER.top(k)


def test_a_model_with_few_classes():
    """Where the model has fewer classes than were asked for, the top is all of them."""
    answer = Categorization((SHIRTS,), 5, "m", "1", "", ("title",), 0.0)
    assert answer.top(5) == (SHIRTS,)


def test_repr_reads_well():
    """A result at a prompt is one line with all that matters."""
    assert repr(ANSWER) == (
        "Categorization('Apparel > Topwear > Shirts', 0.750, from title + image, product_categorizer/1, 12.3 ms)"
    )
    assert repr(SHOES) == "Category('Footwear > Shoes', 0.200)"


def test_json_holds_it():
    """A result as plain values survives JSON."""
    plain = json.loads(json.dumps(ANSWER.as_dict()))
    assert plain["best"] == {
        "path": ["Apparel", "Topwear", "Shirts"],
        "label": "Apparel > Topwear > Shirts",
        "confidence": 0.75,
    }
    assert len(plain["alternatives"]) == 2
    assert (plain["used"], plain["request_id"]) == (["title", "image"], "r1")


def test_results_are_frozen():
    """Nobody changes a result."""
    with pytest.raises(AttributeError):
        ANSWER.model = "other"
