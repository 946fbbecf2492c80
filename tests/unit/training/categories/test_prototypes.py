"""Odds of added categories from prototypes, in NumPy and in the exported graph."""

from __future__ import annotations

import numpy as np
import pytest

from aisle_training.categories.added import read_added, write_added
from aisle_training.categories.prototypes import Examples, PrototypeWeights, fit_prototypes
from aisle_training.fusion_training import FusionRows
from aisle_training.models.extended_classifier import extend_classifier
from aisle_training.models.fusion.residual import ResidualFusion
from tests.support.untrained_run import LABELS, write_untrained_run

SIZES = {"image": 12, "title": 8}
CENTRES = {name: np.random.default_rng(5).normal(size=(6, size)) for name, size in SIZES.items()}
KAYAK, CANOE = ("Outdoor", "Kayaks"), ("Outdoor", "Canoes")


def _rows(label: int, count: int, seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {
        name: (centres[label] + 0.3 * random.normal(size=(count, SIZES[name]))).astype(np.float32)
        for name, centres in CENTRES.items()
    }


def _examples(path: tuple[str, ...], label: int, present: dict[str, bool] | None = None, count: int = 6) -> Examples:
    there = {"image": True, "title": True, **(present or {})}
    return Examples(path, _rows(label, count, label), {name: np.full(count, there[name]) for name in SIZES})


@pytest.fixture(scope="module")
def anchors() -> FusionRows:
    """Rows of four learnt categories."""
    parts = [_rows(label, 30, 100 + label) for label in range(4)]
    embeddings = {name: np.concatenate([part[name] for part in parts]) for name in SIZES}
    present = {name: np.ones(120, dtype=np.bool_) for name in SIZES}
    return FusionRows(embeddings, present, np.repeat(np.arange(4, dtype=np.int32), 30))


@pytest.mark.parametrize("names", [("image",), ("title",), ("image", "title")])
def test_odds_tell_the_new_from_the_learnt(anchors: FusionRows, names: tuple[str, ...]):
    """By any set of modalities, unseen products of an added category have odds above 1 and those of others below."""
    weights = fit_prototypes(anchors, 4, [_examples(KAYAK, 4), _examples(CANOE, 5)])
    for number, label in enumerate((4, 5)):
        mine = weights.log_odds(_rows(label, 40, 7), names)[:, number]
        others = np.concatenate([weights.log_odds(_rows(other, 40, 7), names)[:, number] for other in range(4)])
        assert np.mean(mine > 0) > 0.9
        assert np.mean(others < 0) > 0.95


def test_a_modality_that_the_examples_lack(anchors: FusionRows):
    """Examples without pictures give a category that is never seen in a picture, and still found by its title."""
    weights = fit_prototypes(anchors, 4, [_examples(KAYAK, 4, {"image": False})])
    assert (weights.log_odds(_rows(4, 20, 7), ("image",)) < -20).all()
    assert (weights.log_odds(_rows(4, 20, 7), ("title",)) > 0).mean() > 0.8


@pytest.fixture(scope="module")
def weights(anchors: FusionRows) -> PrototypeWeights:
    """Of two added categories."""
    return fit_prototypes(anchors, 4, [_examples(KAYAK, 4), _examples(CANOE, 5)])


def _fusion_inputs(present: dict[str, bool], rows: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    inputs = {}
    for name, embedding in rows.items():
        inputs[f"{name.upper()}_EMBEDDING"] = embedding if present[name] else np.full_like(embedding, np.nan)
        inputs[f"{name.upper()}_PRESENT"] = np.full((len(embedding), 1), float(present[name]), np.float32)
    return inputs


@pytest.mark.parametrize("names", [("image",), ("title",), ("image", "title")])
def test_the_graph_computes_the_same_odds(weights: PrototypeWeights, names: tuple[str, ...]):
    """The extended fusion classifier has the odds that were fitted, whatever stands in the embedding of a missing input."""
    model = ResidualFusion(4, SIZES, hidden_size=8)
    extended = extend_classifier(model, weights, None)
    rows = _rows(4, 10, 3)
    inputs = _fusion_inputs({name: name in names for name in SIZES}, rows)
    before = np.asarray(model(inputs, training=False)["PROBABILITIES"])
    after = np.asarray(extended(inputs, training=False)["PROBABILITIES"])
    assert after.shape == (10, 6)
    np.testing.assert_allclose(after.sum(axis=1), 1, atol=1e-6)
    odds = np.log(after[:, 4:] / after[:, :4].sum(axis=1, keepdims=True))
    np.testing.assert_allclose(odds, weights.log_odds(rows, names), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(after[:, :4] / after[:, :4].sum(axis=1, keepdims=True), before, atol=1e-5)


def test_what_was_added_is_read_back(tmp_path, weights: PrototypeWeights):
    """The run folder keeps added categories and their odds, and nothing is left when the last one goes."""
    run = write_untrained_run(tmp_path / "run")
    assert read_added(run) is None
    categories = [_examples(KAYAK, 4), _examples(("خانه", "ساعت"), 5)]
    write_added(run, categories, weights)
    added = read_added(run)
    assert added is not None
    assert added.paths == [KAYAK, ("خانه", "ساعت")]
    rows = _rows(5, 4, 2)
    np.testing.assert_array_equal(added.weights.log_odds(rows, ("title",)), weights.log_odds(rows, ("title",)))
    np.testing.assert_array_equal(added.categories[1].embeddings["title"], categories[1].embeddings["title"])
    write_added(run, [], None)
    assert read_added(run) is None


def test_an_export_knows_what_was_added(tmp_path):
    """Exported classifiers and ensembles have the added categories behind the learnt ones, in their labels too."""
    from aisle_training.export.exporter import export_run

    run = write_untrained_run(tmp_path / "run")
    random = np.random.default_rng(0)
    sizes = {name: run.load_classifier(f"{name}_classifier").embedding_size for name in SIZES}
    direction = {name: random.normal(size=(len(LABELS), size)) for name, size in sizes.items()}
    weights = PrototypeWeights(
        {name: rows / np.linalg.norm(rows, axis=1, keepdims=True) for name, rows in direction.items()},
        {name: -rows[:1] / np.linalg.norm(rows[0]) for name, rows in direction.items()},
        np.full((4, 1, 2), 3.0),
        np.full((4, 1), -1.0),
    )
    nothing = {name: np.zeros((5, size), np.float32) for name, size in sizes.items()}
    write_added(run, [Examples(KAYAK, nothing, dict.fromkeys(sizes, np.ones(5, dtype=np.bool_)))], weights)
    exported = []
    # Each network is held against the extended Keras network before it is put in place.
    export_run(run, tmp_path / "models", on_model=exported.append)
    assert all(model.largest_difference < 1e-4 for model in exported if model.largest_difference is not None)
    for name in ("image_classifier", "title_classifier", "fusion_classifier", "product_categorizer"):
        labels = (tmp_path / "models" / name / "labels.txt").read_text(encoding="utf-8").splitlines()
        assert labels == [" > ".join(path) for path in (*LABELS, KAYAK)]
        assert f"dims: {len(LABELS) + 1}\n" in (tmp_path / "models" / name / "config.pbtxt").read_text()
