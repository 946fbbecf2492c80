"""Features of frozen networks: computed once, gone on with, and trained on."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from aisle_training import frozen_features
from aisle_training.catalogue.catalogue import Product
from aisle_training.classifier_training import SplitInputs, train_classifier
from aisle_training.frozen_features import FeatureBatches, compute_features
from aisle_training.modalities.encoder import Encoded
from aisle_training.modalities.image import ImageEncoder
from aisle_training.models.image_classifier import ImageClassifier
from aisle_training.recipes.recipe import ImageRecipe, Schedule
from aisle_training.runs import RunFolder

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 16, 16, 3), dtype=np.uint8)


def build(*, flip_average: bool = False) -> ImageClassifier:
    """A small classifier with a hidden layer."""
    keras.utils.set_random_seed(0)
    return ImageClassifier(3, 16, "convnet", 0.25, hidden_size=6, flip_average=flip_average)


class Counted:
    """A network that counts the pictures it is shown, and is killed at a chunk."""

    def __init__(self, network: Any, killed_at: int = 99) -> None:
        self._network, self._killed_at = network, killed_at
        self.chunks = 0
        self.output, self.get_weights, self.to_json = network.output, network.get_weights, network.to_json

    def predict(self, *arguments: Any, **options: Any) -> Any:
        self.chunks += 1
        if self.chunks == self._killed_at:
            raise KeyboardInterrupt
        return self._network.predict(*arguments, **options)


@pytest.mark.parametrize("flip_average", [False, True])
@pytest.mark.parametrize("layer", ["pool_1", "all"])
def test_two_parts_say_what_the_whole_says(layer: str, flip_average: bool):
    """The trained part of the frozen part's answer is the whole's, and above the cut alone anything is trained."""
    model = build(flip_average=flip_average)
    frozen, trained = model.split_at(layer)
    logits = trained.predict(frozen.predict(PIXELS, verbose=0), verbose=0)
    np.testing.assert_allclose(logits, model.logits_model().predict(PIXELS, verbose=0), atol=1e-5)
    assert frozen.trainable_variables == []
    assert len(trained.trainable_variables) == (4 if layer == "all" else 6)


def test_unknown_layer_is_refused():
    """A cut at a layer that the network does not have is refused by name."""
    with pytest.raises(ValueError, match="'convnet' has no layer 'pool_9'"):
        build().split_at("pool_9")


def test_killed_computation_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Features are computed chunk by chunk; a second run does only what the first did not, a third does nothing."""
    monkeypatch.setattr(frozen_features, "CHUNK_ROWS", 16)
    network = build().split_at("all")[0]
    expected = network.predict(PIXELS, verbose=0)
    killed, second, third = Counted(network, killed_at=3), Counted(network), Counted(network)
    with pytest.raises(KeyboardInterrupt):
        compute_features(killed, PIXELS, tmp_path)
    for again, chunks in ((second, 1), (third, 0)):
        np.testing.assert_allclose(compute_features(again, PIXELS, tmp_path), expected, rtol=2e-3, atol=1e-4)
        assert again.chunks == chunks
    assert [path.suffix for path in tmp_path.iterdir()] == [".npy"]


def test_other_pictures_have_other_features(tmp_path: Path):
    """Pixels, mirror images and weights each have a file of their own, and mirror images their own features."""
    model = build()
    network = model.split_at("all")[0]
    plain = compute_features(network, PIXELS, tmp_path)
    mirrored = compute_features(network, PIXELS, tmp_path, mirrored=True)
    again = compute_features(network, np.ascontiguousarray(PIXELS[:, :, ::-1]), tmp_path)
    np.testing.assert_array_equal(mirrored, again)
    assert np.abs(plain.astype(np.float32) - mirrored).max() > 1e-3
    model.image_network.set_weights([2 * weight for weight in model.image_network.get_weights()])
    assert np.abs(compute_features(network, PIXELS, tmp_path).astype(np.float32) - plain).max() > 1e-3
    assert len(list(tmp_path.iterdir())) == 4


def test_batches_draw_picture_or_mirror_image():
    """About half of the rows of an epoch are those of the mirror images, other ones in the next epoch."""
    views = [np.full((200, 2), view, dtype=np.float16) for view in (0, 1)]
    batches = FeatureBatches(views, np.arange(200, dtype=np.int32), batch_size=200, seed=0)
    first, labels = batches[0]
    assert first.dtype == np.float32
    assert 60 < first[:, 0].sum() < 140
    batches.start_epoch(1)
    second, others = batches[0]
    assert (first[np.argsort(labels)] != second[np.argsort(others)]).any()


def test_frozen_classifier_is_trained_and_saved_whole(tmp_path: Path):
    """A frozen network keeps its weights, the head learns, and what is saved takes pixels; features outlive the run."""
    schedule = Schedule(epochs=12, batch_size=8, learning_rate=0.02)
    recipe = ImageRecipe(schedule, 16, "convnet", 0.25, dropout=0.0, frozen_until="all")
    encoder, run = ImageEncoder("image", recipe, tmp_path), RunFolder(tmp_path)
    labels = np.repeat(np.arange(2, dtype=np.int32), 20)
    pixels = (PIXELS // 4 + (labels * 150).astype(np.uint8)[:, None, None, None]).astype(np.uint8)
    products = [Product(str(number), "", ("A",), None) for number in range(40)]
    part = SplitInputs(labels, {"image": Encoded(pixels, np.ones(40, dtype=np.bool_))}, products)
    train_classifier(encoder, run, {"train": part, "validation": part}, 2, 0, None, tmp_path / "kept")
    model = run.load_classifier("image_classifier")
    keras.utils.set_random_seed(0)
    untrained = encoder.build_classifier(2, pixels, 0, None)
    for ours, theirs in zip(model.image_network.get_weights(), untrained.image_network.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert (model.predict(pixels, verbose=0)["PROBABILITIES"].argmax(axis=1) == labels).mean() > 0.9
    assert len(list((tmp_path / "kept").iterdir())) == 2  # validation is the training split here
