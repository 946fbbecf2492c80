"""The classifiers as what is exported and served: names, shapes, types, and a file that gives the same again."""

import json
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

from aisle_training.models.image_classifier import ImageClassifier
from aisle_training.models.title_classifier import TitleClassifier
from aisle_training.runs import RunFolder

CLASSES = 5


@pytest.fixture
def generator() -> np.random.Generator:
    """Draws that are the same in every run."""
    return np.random.default_rng(0)


def test_image_classifier_is_saved_whole(tmp_path: Path, generator: np.random.Generator):
    """An image classifier takes uint8 PIXELS, gives EMBEDDING and PROBABILITIES, and is the same when loaded again."""
    model = ImageClassifier(CLASSES, picture_size=32, network="convnet", width=0.5)
    model.set_temperature(1.7)
    pixels = generator.integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    outputs = model.predict(pixels, verbose=0)
    assert (model.input.name, model.input.dtype) == ("PIXELS", "uint8")
    assert {name: (array.shape, array.dtype) for name, array in outputs.items()} == {
        "EMBEDDING": ((3, model.embedding_size), np.float32),
        "PROBABILITIES": ((3, CLASSES), np.float32),
    }
    np.testing.assert_allclose(outputs["PROBABILITIES"].sum(axis=1), 1.0, rtol=1e-5)
    run = RunFolder(tmp_path)
    run.save_classifier("image_classifier", model)
    again = run.load_classifier("image_classifier").predict(pixels, verbose=0)
    np.testing.assert_allclose(again["PROBABILITIES"], outputs["PROBABILITIES"], rtol=1e-5)


def test_flip_average_is_the_mean_of_two_looks(generator: np.random.Generator):
    """With flip_average a picture and its mirror image get one answer: the mean of the embeddings of both."""
    one = ImageClassifier(CLASSES, picture_size=16, network="convnet", width=0.25)
    two = ImageClassifier(CLASSES, picture_size=16, network="convnet", width=0.25, flip_average=True)
    two.set_weights(one.get_weights())
    pixels = generator.integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    looks = [one.predict(view, verbose=0)["EMBEDDING"] for view in (pixels, pixels[:, :, ::-1])]
    answer, mirrored = (two.predict(view, verbose=0) for view in (pixels, pixels[:, :, ::-1]))
    assert np.abs(looks[0] - looks[1]).max() > 1e-3
    np.testing.assert_allclose(answer["EMBEDDING"], (looks[0] + looks[1]) / 2, atol=1e-5)
    for name, output in answer.items():
        np.testing.assert_allclose(mirrored[name], output, atol=1e-5)
    logits = [model.logits_model().predict(pixels, verbose=0) for model in (one, two)]
    np.testing.assert_allclose(logits[1], logits[0], atol=1e-5)  # what is trained looks once


def test_files_of_earlier_versions_are_loaded(tmp_path: Path, generator: np.random.Generator):
    """A file that was written before an argument existed is loaded with the argument's default."""
    model = ImageClassifier(CLASSES, picture_size=16, network="convnet", width=0.25)
    run = RunFolder(tmp_path)
    run.save_classifier("image_classifier", model)
    path = run.classifier_path("image_classifier")
    with zipfile.ZipFile(path) as file:
        entries = {name: file.read(name) for name in file.namelist()}
    config = json.loads(entries["config.json"])
    config["config"] = {
        name: config["config"][name] for name in ("name", *["classes", "picture_size", "network", "width", "dropout"])
    }
    entries["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as file:
        for name, content in entries.items():
            file.writestr(name, content)
    pixels = generator.integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    again = run.load_classifier("image_classifier").predict(pixels, verbose=0)
    np.testing.assert_allclose(again["PROBABILITIES"], model.predict(pixels, verbose=0)["PROBABILITIES"], rtol=1e-5)


def test_mobilenet_takes_other_picture_sizes():
    """MobileNetV2 is built for the recipe's picture size, with a momentum that a fine-tuning can follow."""
    model = ImageClassifier(CLASSES, picture_size=48, network="mobilenet_v2", width=0.35)
    assert model.input.shape == (None, 48, 48, 3)
    momenta = {layer.momentum for layer in model.image_network.layers if hasattr(layer, "momentum")}
    assert momenta == {0.99}


def test_unknown_image_network_is_refused():
    """A recipe with a misspelt image network is told which there are."""
    with pytest.raises(ValueError, match="unknown image network 'resnet', expected one of mobilenet_v2, mobilenet_v3_"):
        ImageClassifier(CLASSES, picture_size=32, network="resnet")


def test_hidden_layer_gives_the_embedding(tmp_path: Path, generator: np.random.Generator):
    """With a hidden layer the embedding has its size, and the saved classifier answers the same."""
    model = ImageClassifier(CLASSES, picture_size=16, network="convnet", width=0.25, hidden_size=7, flip_average=True)
    assert model.embedding_size == 7
    pixels = generator.integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    RunFolder(tmp_path).save_classifier("image_classifier", model)
    again = RunFolder(tmp_path).load_classifier("image_classifier").predict(pixels, verbose=0)
    assert again["EMBEDDING"].shape == (3, 7)
    np.testing.assert_allclose(again["EMBEDDING"], model.predict(pixels, verbose=0)["EMBEDDING"], rtol=1e-5)


def test_title_classifier_is_saved_whole(tmp_path: Path, generator: np.random.Generator):
    """A title classifier takes int32 TOKEN_IDS, gives EMBEDDING and PROBABILITIES, and is the same when loaded."""
    model = TitleClassifier(CLASSES, vocabulary_size=50, length=12, token_size=8, filters=8, embedding_size=16)
    token_ids = generator.integers(1, 50, (3, 12), dtype=np.int32)
    outputs = model.predict(token_ids, verbose=0)
    assert (model.input.name, model.input.dtype) == ("TOKEN_IDS", "int32")
    assert {name: (array.shape, array.dtype) for name, array in outputs.items()} == {
        "EMBEDDING": ((3, 16), np.float32),
        "PROBABILITIES": ((3, CLASSES), np.float32),
    }
    run = RunFolder(tmp_path)
    run.save_classifier("title_classifier", model)
    again = run.load_classifier("title_classifier").predict(token_ids, verbose=0)
    np.testing.assert_allclose(again["PROBABILITIES"], outputs["PROBABILITIES"], rtol=1e-5)


@pytest.mark.parametrize("network", ["subwords", "bag", "lstm", "conv_bilstm", "transformer"])
@pytest.mark.parametrize("ngram_length", [0, 5])
def test_padding_does_not_change_a_title(network: str, ngram_length: int, generator: np.random.Generator):
    """What the embedding of padding has become has no influence on a title, nor on a blank one, in any network."""
    model = small_title_classifier(network, ngram_length=ngram_length)
    token_ids = np.zeros((2, 12), dtype=np.int32)
    token_ids[0, [0, 1, 2, 8, 9]] = (7, 8, 9, 10, 11)
    before = model.predict(token_ids, verbose=0)["EMBEDDING"]
    changed = 0
    for layer in model.title_networks[0].layers:
        weights = layer.get_weights()
        if layer.name in ("embedding", "ngram_embedding"):
            weights[0][0] = 100.0
            layer.set_weights(weights)
            changed += 1
    assert changed == (2 if ngram_length else 1)
    np.testing.assert_array_equal(model.predict(token_ids, verbose=0)["EMBEDDING"], before)


@pytest.mark.parametrize("network", ["subwords", "lstm", "conv_bilstm", "transformer"])
def test_order_of_subwords_counts(network: str):
    """Every network but the bag tells a title from the same subwords in another order."""
    one, other = np.zeros((2, 1, 12), dtype=np.int32)
    one[0, :3], other[0, :3] = (7, 8, 9), (9, 8, 7)
    model = small_title_classifier(network)
    embeddings = [model.predict(title, verbose=0)["EMBEDDING"] for title in (one, other)]
    assert not np.allclose(*embeddings, atol=1e-4)
    bag = small_title_classifier("bag")
    np.testing.assert_allclose(*(bag.predict(title, verbose=0)["EMBEDDING"] for title in (one, other)), rtol=1e-5)


def test_members_are_averaged(tmp_path: Path, generator: np.random.Generator):
    """The logits of a classifier of three members are the mean of theirs, also in the file, with one embedding of all."""
    model = small_title_classifier("subwords", members=3)
    members = [model.member_model(member) for member in range(3)]
    for member in members:
        member.set_weights([weight + generator.normal(0, 0.1, weight.shape) for weight in member.get_weights()])
    model.join_members(members)
    token_ids = generator.integers(0, 50, (4, 12), dtype=np.int32)
    logits = np.mean([member.predict(token_ids, verbose=0) for member in members], axis=0)
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    run = RunFolder(tmp_path)
    run.save_classifier("title_classifier", model)
    for classifier in (model, run.load_classifier("title_classifier")):
        outputs = classifier.predict(token_ids, verbose=0)
        np.testing.assert_allclose(outputs["PROBABILITIES"], expected, rtol=1e-4)
        assert outputs["EMBEDDING"].shape == (4, classifier.embedding_size) == (4, 48)


def small_title_classifier(network: str, **numbers: int) -> TitleClassifier:
    """Build a title classifier of 50 ids, 12 a title, with weights large enough to tell titles apart."""
    keras.utils.set_random_seed(1)
    model = TitleClassifier(
        CLASSES, vocabulary_size=50, length=12, network=network, token_size=8, filters=8, embedding_size=16, **numbers
    )
    model.set_weights([3.0 * weight for weight in model.get_weights()])
    model.set_temperature(1.0)
    return model


def test_unknown_title_network_is_refused():
    """A recipe with a misspelt title network is told which there are."""
    with pytest.raises(ValueError, match="unknown title network 'gru', expected one of subwords, bag, lstm, conv_bil"):
        TitleClassifier(CLASSES, vocabulary_size=50, length=12, network="gru")
