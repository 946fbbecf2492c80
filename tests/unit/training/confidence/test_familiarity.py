"""Familiar and strange products, in NumPy and in the network alike."""

import keras
import numpy as np
import pytest

from aisle_training.confidence.familiarity import LEVELS, Familiarity, fit_knots
from aisle_training.models.familiarity import FamiliarityScore

CLASSES = 4
MASKS = [("image", "title"), ("image",), ("title",)]


def _products(rows, seed, spread=1.0):
    random = np.random.default_rng(seed)
    labels = random.integers(0, CLASSES, rows).astype(np.int32)
    centres = np.random.default_rng(0).normal(0, 4, (2, CLASSES, 80))
    present = random.random(rows) < 0.9
    image, title = (centres[side][labels] + random.normal(0, spread, (rows, 80)) for side in (0, 1))
    return {"image": (image[:, :70], present), "title": (title[:, :20], np.ones(rows, bool))}, labels


@pytest.fixture(scope="module")
def familiarity():
    """Fitted on products in four clouds."""
    train, labels = _products(800, 1)
    return Familiarity.fit(train, labels, _products(2000, 2)[0], MASKS, CLASSES)


def _embeddings(products, mask, rows=slice(None)):
    return {name: products[name][0][rows] for name in mask}


@pytest.mark.parametrize("mask", MASKS)
def test_it_is_a_rank(familiarity, mask):
    """Of new products of known classes as many are less familiar than a value as the value says."""
    new, _ = _products(2000, 3)
    scores = familiarity(_embeddings(new, mask))
    for value in (0.04, 0.2, 0.6):
        assert np.mean(scores < value) == pytest.approx(value, abs=0.04)


@pytest.mark.parametrize("mask", MASKS)
def test_strange_products(familiarity, mask):
    """What lies far from every cloud is less familiar than any known product."""
    random = np.random.default_rng(4)
    far = {"image": random.normal(0, 12, (50, 70)), "title": random.normal(0, 12, (50, 20))}
    assert np.all(familiarity({name: far[name] for name in mask}) == 0.0)


def test_inputs_that_disagree(familiarity):
    """A picture of one class with the title of another is stranger than either of them alone."""
    new, labels = _products(2000, 5)
    other = np.argsort(labels, kind="stable")
    swapped = {"image": new["image"][0][other], "title": new["title"][0][other[::-1]]}
    assert np.median(familiarity(swapped)) == 0.0
    assert np.median(familiarity({"image": swapped["image"]})) > 0.4
    assert np.median(familiarity({"title": swapped["title"]})) > 0.4


def test_it_is_saved(familiarity, tmp_path):
    """What is read back says the same."""
    familiarity.save(tmp_path / "familiarity.npz")
    again = Familiarity.load(tmp_path / "familiarity.npz")
    new = _embeddings(_products(50, 6)[0], ("image", "title"))
    np.testing.assert_array_equal(again(new), familiarity(new))
    assert list(again.clouds) == ["image", "title"]
    assert list(tmp_path.iterdir()) == [tmp_path / "familiarity.npz"]


def test_the_network_says_the_same(familiarity):
    """The layer gives each row the familiarity of the inputs that it has, whatever stands in the others."""
    new, _ = _products(60, 7, spread=1.02)
    image, title = (new[name][0].astype(np.float32) for name in ("image", "title"))
    flags = np.array([(1, 1), (1, 0), (0, 1)] * 20, np.float32)
    image[flags[:, 0] == 0], title[flags[:, 1] == 0] = np.nan, np.nan
    score = FamiliarityScore(familiarity)([image, title, flags[:, :1], flags[:, 1:]])
    score = keras.ops.convert_to_numpy(score)
    assert score.shape == (60, 1)
    for start, mask in enumerate(MASKS):
        rows = slice(start, None, 3)
        expected = familiarity(
            {"image": image[rows], "title": title[rows]} if start == 0 else {mask[0]: new[mask[0]][0][rows]}
        )
        assert 0.05 < expected.mean() < 0.95
        np.testing.assert_allclose(score[rows, 0], expected, atol=1e-3)


def test_one_input(familiarity):
    """A classifier of one input has no flags."""
    new, _ = _products(30, 8)
    title = new["title"][0].astype(np.float32)
    score = FamiliarityScore(familiarity.only(["title"]))([title])
    np.testing.assert_allclose(keras.ops.convert_to_numpy(score)[:, 0], familiarity({"title": title}), atol=1e-3)


def test_inputs_that_were_never_seen():
    """A set of inputs that no validation product had is as strange as can be."""
    train, labels = _products(200, 9)
    validation, _ = _products(200, 10)
    validation["image"] = (validation["image"][0], np.zeros(200, bool))
    familiarity = Familiarity.fit(train, labels, validation, MASKS, CLASSES)
    assert list(familiarity.knots) == [("title",)]
    new = _embeddings(train, ("image", "title"), slice(5))
    assert familiarity(new).tolist() == [0.0] * 5
    ones = np.ones((5, 1), np.float32)
    inputs = [new["image"].astype(np.float32), new["title"].astype(np.float32), ones, ones]
    assert np.all(keras.ops.convert_to_numpy(FamiliarityScore(familiarity)(inputs)) == 0.0)


def test_a_class_without_products():
    """A class that no training product of a modality has does not make the others strange, nor fails."""
    train, labels = _products(300, 11)
    familiarity = Familiarity.fit(train, labels, train, MASKS, CLASSES + 2)
    assert np.median(familiarity(_embeddings(train, ("title",)))) > 0.4


def test_an_added_category(familiarity):
    """A category that is added by examples makes its own products familiar, and leaves the others as they were."""
    random = np.random.default_rng(12)
    centre = random.normal(0, 4, 90)
    products = centre + random.normal(0, 1, (60, 90))
    embeddings = {"image": products[:, :70], "title": products[:, 70:]}
    examples = (
        {name: rows[:10] for name, rows in embeddings.items()},
        {"image": np.ones(10, bool), "title": np.ones(10, bool)},
    )
    nothing = examples[0], {"image": np.ones(10, bool), "title": np.zeros(10, bool)}
    assert np.median(familiarity(embeddings)) == 0.0
    assert np.median(familiarity.knowing([examples])(embeddings)) > 0.1
    assert np.median(familiarity.knowing([nothing])(embeddings)) == 0.0
    new = _embeddings(_products(50, 13)[0], ("title",))
    np.testing.assert_allclose(familiarity.knowing([examples])(new), familiarity(new))


def test_products_that_are_all_alike():
    """Even where all validation products are the same the knots rise, so no division by zero follows."""
    knots = fit_knots(np.zeros(10))
    assert len(knots) == len(LEVELS)
    assert np.all(np.diff(knots) > 0)
