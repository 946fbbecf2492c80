"""The picture of a product."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from aisle_training.augmentation import Augmentation
from aisle_training.batches import PictureBatches
from aisle_training.catalogue.catalogue import Product
from aisle_training.datasets import Labels, Progress, decode_pictures, no_progress
from aisle_training.frozen_features import FeatureBatches, compute_features
from aisle_training.modalities.encoder import Encoded, Encoder, ModalityRows, PreprocessFiles, TrainedPart
from aisle_training.modalities.served_files import served_file
from aisle_training.recipes.recipe import ImageRecipe

# Over which the statistics of batch normalisations are measured.
STATISTICS_PICTURES: Final = 1024


class ImageEncoder(Encoder):
    """Pictures as pixels, uint8 [rows, size, size, 3]. A picture that cannot be decoded counts as missing."""

    recipe: ImageRecipe
    recipe_type = ImageRecipe
    array_name = "PIXELS"
    array_noun = "pixels"

    @property
    def noun(self) -> str:
        """What people call it."""
        return "picture"

    @property
    def input_noun(self) -> str:
        """What the served model takes, for people."""
        return "Encoded pictures (JPEG, PNG, WebP, GIF, BMP, TIFF)"

    @property
    def parameters(self) -> dict[str, str]:
        """Height and width of the pixels."""
        return {"picture_size": str(self.recipe.picture_size)}

    def has(self, product: Product) -> bool:
        """Say whether there is a picture, readable or not."""
        return product.picture is not None

    def served_value(self, product: Product) -> bytes:
        """Give the encoded picture.

        Raises:
            ValueError: The product has none.
        """
        if product.picture is None:
            raise ValueError(f"product {product.id!r} has no picture")
        return product.picture.read_bytes()

    def encode(self, products: Sequence[Product], on_progress: Progress = no_progress) -> Encoded:
        """Decode pictures, see `decode_pictures`."""
        return Encoded(*decode_pictures(products, self.recipe.picture_size, on_progress))

    def build_classifier(self, classes: int, array: npt.NDArray[Any], seed: int, weights: str | None) -> Any:
        """Build the image classifier; one that starts from weights gets its batch norms fitted to these pictures."""
        from aisle_training.models.batch_norm import recalibrate_batch_norms
        from aisle_training.models.image_classifier import ImageClassifier

        numbers = self.recipe
        model = ImageClassifier(
            classes,
            numbers.picture_size,
            numbers.network,
            numbers.width,
            numbers.dropout,
            weights=weights,
            flip_average=numbers.flip_average,
            hidden_size=numbers.hidden_size,
        )
        if weights is not None:
            recalibrate_batch_norms(model.image_network, _some_scaled(numbers.network, array, seed))
        return model

    def batches(
        self, products: Sequence[Product], array: npt.NDArray[Any], labels: Labels, classes: int, seed: int
    ) -> PictureBatches:
        """Give pictures augmented and mixed."""
        numbers = self.recipe
        return PictureBatches(
            array,
            labels,
            numbers.schedule.batch_size,
            seed,
            augmentation=Augmentation(numbers.flip, numbers.shift, numbers.zoom, numbers.colour, numbers.erase),
            mixup=numbers.mixup,
            classes=classes,
        )

    def trained_parts(
        self, model: Any, rows: Mapping[str, ModalityRows], classes: int, seed: int, folder: Path
    ) -> list[TrainedPart]:
        """Give what lies above the frozen part, and what that makes of the pictures and of their mirror images."""
        if not self.recipe.frozen_until:
            return super().trained_parts(model, rows, classes, seed, folder)
        frozen, trained = model.split_at(self.recipe.frozen_until)
        train, held_out = rows["train"], rows["validation"]
        views = [
            compute_features(frozen, train.array, folder, mirrored=mirrored)
            for mirrored in ([False, True] if self.recipe.flip else [False])
        ]
        batches = FeatureBatches(views, train.labels, self.recipe.schedule.batch_size, seed)
        features = compute_features(frozen, held_out.array, folder).astype(np.float32)
        return [TrainedPart(trained, batches, (features, held_out.labels))]

    def measure_statistics(self, model: Any, array: npt.NDArray[Any], seed: int) -> None:
        """Measure the batch normalisations anew."""
        from aisle_training.models.batch_norm import measure_batch_norms

        measure_batch_norms(model.image_network, _some_scaled(model.network, array, seed))

    def preprocess_files(self) -> PreprocessFiles:
        """The decoder. Two instances: it releases the interpreter lock, and a photo takes longer to decode than to classify."""
        modules = ("images.py", "product_rows.py", "title_normalization.py")
        return PreprocessFiles(served_file("image_preprocess.py"), [served_file(name) for name in modules], instances=2)


def _some_scaled(network: str, pixels: npt.NDArray[Any], seed: int) -> npt.NDArray[np.float32]:
    """Draw pictures, scaled as the network takes them."""
    from aisle_training.models.image_networks import scale_pixels

    some = np.random.default_rng(seed).permutation(len(pixels))[:STATISTICS_PICTURES]
    return scale_pixels(network, pixels[some])
