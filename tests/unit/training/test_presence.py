"""Which sets of inputs a product can be judged by."""

import numpy as np

from aisle_training.presence import list_presences, rows_with


def test_sets_are_named_for_people():
    """Each set that is not empty is listed, the largest first, under the words that reports use."""
    assert list_presences({"image": "picture", "title": "title"}) == {
        "picture and title": ("image", "title"),
        "picture alone": ("image",),
        "title alone": ("title",),
    }
    assert list_presences({"title": "title"}) == {"title": ("title",)}
    three = list_presences({"image": "picture", "title": "title", "brand": "brand"})
    assert next(iter(three)) == "picture, title and brand"
    assert len(three) == 7


def test_rows_that_have_a_set():
    """A row counts for a set when it has all of it, whatever else it has."""
    present = {"image": np.array([True, True, False]), "title": np.array([True, False, True])}
    assert rows_with(present, ["image", "title"]).tolist() == [0]
    assert rows_with(present, ["image"]).tolist() == [0, 1]
