"""An attribute of a product that takes one of many values, such as the brand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from aisle_training.batches import ArrayBatches
from aisle_training.catalogue.catalogue import Product
from aisle_training.datasets import Labels, Progress, no_progress
from aisle_training.modalities.encoder import Encoded, Encoder, PreprocessFiles
from aisle_training.modalities.served_files import served_file
from aisle_training.preprocessing.attributes import MISSING, hash_values
from aisle_training.preprocessing.title_normalization import is_blank
from aisle_training.recipes.recipe import AttributeRecipe


class AttributeEncoder(Encoder):
    """Values as buckets, int32 [rows, 1]. A blank value counts as missing."""

    recipe: AttributeRecipe
    recipe_type = AttributeRecipe
    array_name = "BUCKET"
    array_noun = "buckets"

    @property
    def highest(self) -> int:
        """The last bucket."""
        return self.recipe.buckets

    def has(self, product: Product) -> bool:
        """Say whether the attribute has a value."""
        return not is_blank(product.attributes.get(self.recipe.attribute, ""))

    def served_value(self, product: Product) -> bytes:
        """Give the value in UTF-8."""
        return product.attributes.get(self.recipe.attribute, "").encode()

    def encode(self, products: Sequence[Product], on_progress: Progress = no_progress) -> Encoded:
        """Hash the values."""
        values = [product.attributes.get(self.recipe.attribute, "") for product in products]
        buckets = hash_values(values, self.recipe.buckets)
        return Encoded(buckets, np.any(buckets != MISSING, axis=1))

    def build_classifier(self, classes: int, array: npt.NDArray[Any], seed: int, weights: str | None) -> Any:
        """Build the classifier of this attribute."""
        from aisle_training.models.attribute_classifier import AttributeClassifier

        numbers = self.recipe
        return AttributeClassifier(
            classes, numbers.buckets, numbers.embedding_size, numbers.dropout, name=self.classifier
        )

    def batches(
        self, products: Sequence[Product], array: npt.NDArray[Any], labels: Labels, classes: int, seed: int
    ) -> ArrayBatches:
        """Give buckets as they are."""
        return ArrayBatches(array, labels, self.recipe.schedule.batch_size, seed)

    def preprocess_files(self) -> PreprocessFiles:
        """The hash."""
        modules = ("attributes.py", "product_rows.py", "title_normalization.py")
        return PreprocessFiles(
            served_file("attribute_preprocess.py"),
            [served_file(name) for name in modules],
            parameters={"buckets": str(self.recipe.buckets)},
        )
