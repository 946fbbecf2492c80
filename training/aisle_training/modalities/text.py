"""A text of a product: its title, or its description."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aisle_training.batches import TitleBatches
from aisle_training.catalogue.catalogue import Product
from aisle_training.datasets import Labels, Progress, no_progress
from aisle_training.modalities.encoder import Encoded, Encoder, PreprocessFiles
from aisle_training.modalities.served_files import served_file
from aisle_training.preprocessing.title_normalization import is_blank
from aisle_training.preprocessing.titles import TitleTokenizer
from aisle_training.recipes.recipe import TextRecipe
from aisle_training.text_training import build_title_classifier, fit_to_texts, learn_tokenizer, make_title_batches


class TextEncoder(Encoder):
    """Texts as token ids, int32 [rows, length]. A blank text counts as missing."""

    recipe: TextRecipe
    recipe_type = TextRecipe
    array_name = "TOKEN_IDS"
    array_noun = "token ids"

    def __init__(self, name: str, recipe: TextRecipe, folder: Path) -> None:
        super().__init__(name, recipe, folder)
        if recipe.field not in ("title", "description"):
            raise ValueError(f"the text of {name!r} is the field {recipe.field!r}, expected title or description")

    @property
    def parameters(self) -> dict[str, str]:
        """Tokens of a text."""
        return {f"{self.name}_length": str(self.recipe.length)}

    @property
    def highest(self) -> int:
        """The highest token id that may stand in any place: those of n-grams do not stand for subwords."""
        return self.tokenizer.subword_count - 1

    @property
    def tokenizer_path(self) -> Path:
        """Where the run keeps the tokenizer."""
        return self._folder / f"{self.name}_tokenizer.json"

    @cached_property
    def tokenizer(self) -> TitleTokenizer:
        """The tokenizer that `learn` has made."""
        return TitleTokenizer.load(self.tokenizer_path, self.recipe.token_ids)

    def text(self, product: Product) -> str:
        """Give a product's text."""
        return product.title if self.recipe.field == "title" else product.description

    def has(self, product: Product) -> bool:
        """Say whether the text is not blank."""
        return not is_blank(self.text(product))

    def served_value(self, product: Product) -> bytes:
        """Give the text in UTF-8."""
        return self.text(product).encode()

    def fitted_recipe(self, products: Sequence[Product]) -> TextRecipe:
        """Give the numbers with what follows from these texts, see `fit_to_texts`."""
        return fit_to_texts(self.recipe, [self.text(product) for product in products if self.has(product)])

    def learn(self, products: Sequence[Product]) -> None:
        """Learn the tokenizer, see `learn_tokenizer`."""
        if not self.tokenizer_path.is_file():
            texts = [self.text(product) for product in products if self.has(product)]
            learn_tokenizer(self.recipe, texts).save(self.tokenizer_path)

    def encode(self, products: Sequence[Product], on_progress: Progress = no_progress) -> Encoded:
        """Tokenize texts."""
        token_ids = self.tokenizer.encode([self.text(product) for product in products])
        # Whatever is legible has a token, be it that of the unknown.
        return Encoded(token_ids, np.any(token_ids != 0, axis=1))

    def build_classifier(self, classes: int, array: npt.NDArray[Any], seed: int, weights: str | None) -> Any:
        """Build the classifier of this text."""
        return build_title_classifier(self.recipe, classes, self.tokenizer.vocabulary_size, self.classifier)

    def parts(self, model: Any) -> list[Any]:
        """Give the members."""
        return [model.member_model(member) for member in range(model.members)]

    def join(self, model: Any, parts: Sequence[Any]) -> None:
        """Average the members."""
        model.join_members(parts)

    def batches(
        self, products: Sequence[Product], array: npt.NDArray[Any], labels: Labels, classes: int, seed: int
    ) -> TitleBatches:
        """Give token ids, some of them taken out, and the variants of the texts that the recipe asks for."""
        texts, paths = map(self.text, products), [product.category for product in products]
        return make_title_batches(self.recipe, self.tokenizer, list(texts), paths, array, labels, classes, seed)

    def preprocess_files(self) -> PreprocessFiles:
        """The tokenizer."""
        modules = ("titles.py", "title_ngrams.py", "product_rows.py", "title_normalization.py")
        return PreprocessFiles(
            served_file("text_preprocess.py"),
            [served_file(name) for name in modules],
            data={"tokenizer.json": self.tokenizer_path},
        )
