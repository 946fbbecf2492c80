"""The fusion classifiers: what a missing input leaves alone, what they start from, and a file that gives the same again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from aisle_training.export.classifiers import PROBABILITIES, Classifier
from aisle_training.export.onnx_file import open_onnx, write_onnx
from aisle_training.export.parity import check_parity
from aisle_training.export.savedmodel import open_savedmodel, write_savedmodel
from aisle_training.models.attribute_classifier import AttributeClassifier
from aisle_training.models.fusion.classifier import FusionClassifier
from aisle_training.models.fusion.kinds import build_fusion_classifier
from aisle_training.models.fusion.late import LateFusion
from aisle_training.models.fusion.residual import ResidualFusion
from aisle_training.models.title_classifier import TitleClassifier
from aisle_training.recipes.recipe import FUSION_KINDS, FusionRecipe
from aisle_training.runs import RunFolder

CLASSES = 5
SIZES = {"title": 4, "image": 6, "brand": 3}
Inputs = dict[str, npt.NDArray[np.float32]]


@pytest.fixture
def generator() -> np.random.Generator:
    """Draws that are the same in every run."""
    return np.random.default_rng(0)


def build_random(kind: str, generator: np.random.Generator) -> FusionClassifier:
    """Build a fusion classifier of three modalities, all of whose weights count."""
    model = build_fusion_classifier(FusionRecipe(kind=kind, hidden_size=8), CLASSES, SIZES)
    model.set_weights([generator.normal(1.0, 0.3, weight.shape) for weight in model.get_weights()])
    for number, names in enumerate([("title", "image", "brand"), ("image", "brand"), ("brand",)]):
        model.set_temperature(0.6 + 0.3 * number, names)
    return model


def draw_inputs(generator: np.random.Generator, rows: int) -> Inputs:
    """Draw rows that have everything."""
    return {f"{name.upper()}_EMBEDDING": draw(generator, rows, size) for name, size in SIZES.items()} | {
        f"{name.upper()}_PRESENT": np.ones((rows, 1), dtype=np.float32) for name in SIZES
    }


def draw(generator: np.random.Generator, rows: int, size: int) -> npt.NDArray[np.float32]:
    """Draw embeddings."""
    return generator.normal(size=(rows, size)).astype(np.float32)


def predict(model: FusionClassifier, inputs: Inputs) -> npt.NDArray[np.float32]:
    """Give the probabilities."""
    probabilities: npt.NDArray[np.float32] = model.predict(inputs, verbose=0)["PROBABILITIES"]
    return probabilities


@pytest.mark.parametrize("kind", FUSION_KINDS)
def test_missing_input_has_no_influence(kind: str, generator: np.random.Generator):
    """With its flag at 0, whatever stands in an embedding leaves the probabilities as they are, NaN included."""
    model = build_random(kind, generator)
    whole = draw_inputs(generator, 3)
    everything = predict(model, whole)
    for name in ("TITLE", "IMAGE", "BRAND"):
        inputs = whole | {f"{name}_PRESENT": np.zeros((3, 1), dtype=np.float32)}
        without = predict(model, inputs)
        assert not np.allclose(without, everything)
        inputs[f"{name}_EMBEDDING"] = np.full_like(inputs[f"{name}_EMBEDDING"], np.nan)
        np.testing.assert_array_equal(predict(model, inputs), without)


@pytest.mark.parametrize("kind", FUSION_KINDS)
def test_fusion_classifier_is_saved_whole(kind: str, tmp_path: Path, generator: np.random.Generator):
    """A fusion classifier of each kind is the same when it is loaded again, weights and temperatures included."""
    model, inputs = build_random(kind, generator), draw_inputs(generator, 4)
    inputs["TITLE_PRESENT"][1:] = 0.0
    inputs["IMAGE_PRESENT"][2:] = 0.0
    run = RunFolder(tmp_path)
    run.save_classifier("fusion_classifier", model)
    again = run.load_classifier("fusion_classifier")
    assert type(again) is type(model)
    np.testing.assert_allclose(predict(again, inputs), predict(model, inputs), rtol=1e-5)


@pytest.mark.parametrize("kind", FUSION_KINDS)
def test_exported_fusion_answers_like_the_network(kind: str, tmp_path: Path, generator: np.random.Generator):
    """ONNX and SavedModel of each kind give its probabilities to 1e-4, whatever is missing."""
    model = build_random(kind, generator)
    names = [f"{name.upper()}_{tensor}" for tensor in ("EMBEDDING", "PRESENT") for name in SIZES]
    classifier = Classifier.of("fusion_classifier", model, names, PROBABILITIES)
    write_onnx(classifier, tmp_path / "model.onnx")
    assert check_parity(classifier, open_onnx(tmp_path / "model.onnx")) < 1e-4
    write_savedmodel(classifier, tmp_path / "model.savedmodel")
    assert check_parity(classifier, open_savedmodel(tmp_path / "model.savedmodel")) < 1e-4


@pytest.mark.parametrize("kind", FUSION_KINDS)
def test_fusion_temperature_is_set_for_its_inputs_alone(kind: str, generator: np.random.Generator):
    """The temperature for a set of inputs changes rows that have just these."""
    model, inputs = build_random(kind, generator), draw_inputs(generator, 2)
    inputs["TITLE_PRESENT"][1] = 0.0
    before = predict(model, inputs)
    model.set_temperature(1e4, ["image", "brand"])
    after = predict(model, inputs)
    np.testing.assert_allclose(after[0], before[0], rtol=1e-5)
    np.testing.assert_allclose(after[1], 1 / CLASSES, atol=0.02)


@pytest.fixture
def asked(generator: np.random.Generator) -> tuple[dict[str, object], Inputs, dict[str, npt.NDArray[np.float32]]]:
    """Two calibrated classifiers, fusion inputs of three rows that have both, and what each classifier says of them."""
    title = TitleClassifier(CLASSES, vocabulary_size=50, length=12, token_size=8, filters=8, embedding_size=16)
    brand = AttributeClassifier(CLASSES, buckets=9, embedding_size=4)
    title.set_temperature(0.3)
    brand.set_temperature(0.05)
    of_title = title.predict(generator.integers(1, 50, (3, 12), dtype=np.int32), verbose=0)
    of_brand = brand.predict(generator.integers(1, 10, (3, 1), dtype=np.int32), verbose=0)
    ones = np.ones((3, 1), dtype=np.float32)
    inputs = {"TITLE_EMBEDDING": of_title["EMBEDDING"], "BRAND_EMBEDDING": of_brand["EMBEDDING"]}
    inputs |= {"TITLE_PRESENT": ones, "BRAND_PRESENT": ones}
    said = {"title": of_title["PROBABILITIES"], "brand": of_brand["PROBABILITIES"]}
    return {"title": title, "brand": brand}, inputs, said


def test_late_fusion_with_one_input_is_its_classifier(asked):
    """Late fusion of one input gives the calibrated probabilities of that input's classifier, whatever the weights of several."""
    classifiers, inputs, said = asked
    model = LateFusion(CLASSES, {"title": 16, "brand": 4})
    model.start_from(classifiers)
    model.set_vote_weights({"title": 0.7, "brand": 0.2})
    for name, other in (("title", "BRAND"), ("brand", "TITLE")):
        alone = inputs | {f"{other}_PRESENT": np.zeros((3, 1), dtype=np.float32)}
        np.testing.assert_allclose(predict(model, alone), said[name], rtol=1e-4)


def test_late_fusion_multiplies_probabilities(asked):
    """With both inputs, late fusion is the product of the calibrated probabilities, each to the power of its weight."""
    classifiers, inputs, said = asked
    model = LateFusion(CLASSES, {"title": 16, "brand": 4})
    model.start_from(classifiers)
    model.set_vote_weights({"title": 0.7, "brand": 0.2})
    product = said["title"] ** 0.7 * said["brand"] ** 0.2
    np.testing.assert_allclose(predict(model, inputs), product / product.sum(axis=1, keepdims=True), rtol=1e-4)
    for name, votes in model.votes(inputs).items():
        np.testing.assert_allclose(np.exp(votes), said[name], rtol=1e-4)


def test_residual_fusion_starts_from_what_the_classifiers_know(asked):
    """Untrained, residual fusion at temperature 1 multiplies what the classifiers say at temperature 1."""
    classifiers, inputs, said = asked
    model = ResidualFusion(CLASSES, {"title": 16, "brand": 4}, hidden_size=8)
    model.start_from(classifiers)
    product = said["title"] ** 0.3 * said["brand"] ** 0.05
    np.testing.assert_allclose(predict(model, inputs), product / product.sum(axis=1, keepdims=True), rtol=1e-4)
