"""The picture of a product."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from aisle_training.batches import PictureBatches
from aisle_training.catalogue.catalogue import Product
from aisle_training.datasets import Labels, Progress, decode_pictures, no_progress
from aisle_training.modalities.encoder import Encoded, Encoder, PreprocessFiles
from aisle_training.modalities.served_files import served_file
from aisle_training.recipes.recipe import ImageRecipe

RECALIBRATION_PICTURES: Final = 1024


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

    def encode(self, products: Sequence[Product], on_progress: Progress = no_progress) -> Encoded:
        """Decode pictures, see `decode_pictures`."""
        return Encoded(*decode_pictures(products, self.recipe.picture_size, on_progress))

    def build_classifier(self, classes: int, array: npt.NDArray[Any], seed: int, weights: str | None) -> Any:
        """Build the image classifier; one that starts from weights gets its batch norms fitted to these pictures."""
        from aisle_training.models.batch_norm import recalibrate_batch_norms
        from aisle_training.models.image_classifier import ImageClassifier

        numbers = self.recipe
        model = ImageClassifier(
            classes, numbers.picture_size, numbers.network, numbers.width, numbers.dropout, weights=weights
        )
        if weights is not None:
            some = np.random.default_rng(seed).permutation(len(array))[:RECALIBRATION_PICTURES]
            recalibrate_batch_norms(model.image_network, array[some].astype(np.float32) / 127.5 - 1.0)
        return model

    def batches(self, array: npt.NDArray[Any], labels: Labels, seed: int) -> PictureBatches:
        """Give pictures mirrored and shifted."""
        batch_size = self.recipe.schedule.batch_size
        return PictureBatches(array, labels, batch_size, seed, flip=self.recipe.flip, shift=self.recipe.shift)

    def preprocess_files(self) -> PreprocessFiles:
        """The decoder. Two instances: it releases the interpreter lock, and a photo takes longer to decode than to classify."""
        modules = ("images.py", "product_rows.py", "title_normalization.py")
        return PreprocessFiles(served_file("image_preprocess.py"), [served_file(name) for name in modules], instances=2)
