"""A modality of products, such as the picture or the title: all that training, evaluation and export ask of it.

Another kind of modality is one subclass of `Encoder` and one of `ModalityRecipe`, see docs/models.md.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from aisle_training.batches import ShuffledBatches
from aisle_training.catalogue.catalogue import Product
from aisle_training.datasets import Flags, Labels, Progress, no_progress
from aisle_training.recipes.recipe import ModalityRecipe


@dataclass(frozen=True)
class Encoded:
    """Products as the classifier of one modality takes them.

    Attributes:
        array: Its input, [rows, ...]; zero in rows that lack the modality.
        present: Whether each row has it, [rows].
    """

    array: npt.NDArray[Any]
    present: Flags

    def __getitem__(self, chosen: Any) -> Encoded:
        return Encoded(self.array[chosen], self.present[chosen])


@dataclass(frozen=True)
class PreprocessFiles:
    """What the python model of a modality is made of.

    Attributes:
        model: Becomes `model.py`.
        modules: Copied beside it.
        data: Copied beside it, under these names.
        instances: How many run side by side.
        parameters: Of its model configuration.
    """

    model: Path
    modules: Sequence[Path]
    data: dict[str, Path] = field(default_factory=dict)
    instances: int = 1
    parameters: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ModalityRows:
    """Rows of one split that have the modality.

    Attributes:
        products: The products.
        array: What `encode` made of them.
        labels: The class of each, int32 [rows].
    """

    products: Sequence[Product]
    array: npt.NDArray[Any]
    labels: Labels


@dataclass(frozen=True)
class TrainedPart:
    """A part of a classifier that is fitted, and what it is fitted on.

    Attributes:
        model: Gives logits, [rows, classes]; its layers are the classifier's own.
        batches: The training rows, as the part takes them.
        validation: Inputs and labels of the validation rows.
    """

    model: Any
    batches: ShuffledBatches
    validation: tuple[npt.NDArray[Any], Labels]


class Encoder(ABC):
    """One modality of a run.

    Args:
        name: Of the modality: "title" has the models `title_preprocess` and `title_classifier`, and the tensor `TITLE`.
        recipe: Its numbers.
        folder: The run folder, where it keeps what it learns from the products besides its classifier.

    Attributes:
        recipe_type: The kind of recipe that it is made for.
        array_name: The input of its classifier, as clients of the model spell it: `TOKEN_IDS`.
        array_noun: The same for people: "token ids".
        input_noun: What the served model takes, for people: "Titles in UTF-8".
    """

    recipe_type: ClassVar[type[ModalityRecipe]]
    array_name: ClassVar[str]
    array_noun: ClassVar[str]

    def __init__(self, name: str, recipe: Any, folder: Path) -> None:
        self.name = name
        self.recipe = recipe
        self._folder = folder

    @property
    def noun(self) -> str:
        """What people call it: "title"."""
        return self.name.replace("_", " ")

    @property
    def input_noun(self) -> str:
        """What the served model takes, for people."""
        return f"{self.noun.capitalize()}s in UTF-8"

    @property
    def input_name(self) -> str:
        """The tensor in which the served models take it: `TITLE`."""
        return self.name.upper()

    @property
    def present_name(self) -> str:
        """The tensor that says which rows have it: `TITLE_PRESENT`."""
        return f"{self.input_name}_PRESENT"

    @property
    def embedding_name(self) -> str:
        """The tensor of its embedding, where there are others: `TITLE_EMBEDDING`."""
        return f"{self.input_name}_EMBEDDING"

    @property
    def classifier(self) -> str:
        """The name of its classifier: `title_classifier`."""
        return f"{self.name}_classifier"

    @abstractmethod
    def has(self, product: Product) -> bool:
        """Say whether a product has this modality, without reading any file."""

    @abstractmethod
    def served_value(self, product: Product) -> bytes:
        """Give what a client sends for a product that has this modality: the one element of the input tensor."""

    def fitted_recipe(self, products: Sequence[Product]) -> ModalityRecipe:
        """Give the numbers as they are for these training products; most are the same for all."""
        fitted: ModalityRecipe = self.recipe
        return fitted

    def learn(self, products: Sequence[Product]) -> None:  # noqa: B027
        """Learn what encoding needs from the training products, and keep it in the run folder; most need nothing.

        Called once in a run, also when it is resumed; what is kept already is left as it is.
        """

    @abstractmethod
    def encode(self, products: Sequence[Product], on_progress: Progress = no_progress) -> Encoded:
        """Encode products.

        Args:
            products: The products.
            on_progress: Called with the number of products done, and of all, where that takes long.

        Returns:
            A row for each, the very one that the served model would make.
        """

    @abstractmethod
    def build_classifier(self, classes: int, array: npt.NDArray[Any], seed: int, weights: str | None) -> Any:
        """Build the classifier, untrained.

        Args:
            classes: Number of categories.
            array: The training rows that have the modality.
            seed: Of what is drawn.
            weights: What the network starts from: None, or what `aisle train --weights` named.

        Returns:
            A Keras model from `array_name` to a dictionary of `EMBEDDING` and `PROBABILITIES`, with a layer "logits" over
            the embedding, `logits_model()` (or see `parts`), `set_temperature()`, `temperature_softmax` and
            `embedding_size`.
        """

    @abstractmethod
    def batches(
        self, products: Sequence[Product], array: npt.NDArray[Any], labels: Labels, classes: int, seed: int
    ) -> ShuffledBatches:
        """Give the training rows that have the modality as batches, augmented.

        Args:
            products: The products.
            array: What `encode` made of them.
            labels: Their classes, int32 [rows].
            classes: Number of categories.
            seed: Of all that is drawn.
        """

    def parts(self, model: Any) -> list[Any]:
        """Give what of a classifier is trained, one after the other: Keras models that give logits; most have one."""
        return [model.logits_model()]

    def trained_parts(
        self, model: Any, rows: Mapping[str, ModalityRows], classes: int, seed: int, folder: Path
    ) -> list[TrainedPart]:
        """Say what of a classifier is fitted, one after the other, and on what: on the rows as they are, for most.

        Args:
            model: What `build_classifier` gave.
            rows: Those that have the modality, of the splits "train" and "validation".
            classes: Number of categories.
            seed: Of what is drawn.
            folder: For what a frozen part makes of the rows; it may be there from an earlier run.
        """
        train, held_out = rows["train"], rows["validation"]
        return [
            TrainedPart(
                part,
                # Far from the seeds that people give, so that no part draws what another run does.
                self.batches(train.products, train.array, train.labels, classes, seed + 1_000_003 * number),
                (held_out.array, held_out.labels),
            )
            for number, part in enumerate(self.parts(model))
        ]

    def join(self, model: Any, parts: Sequence[Any]) -> None:  # noqa: B027
        """Make a classifier whole of its trained parts; most are already."""

    def measure_statistics(self, model: Any, array: npt.NDArray[Any], seed: int) -> None:  # noqa: B027
        """Measure anew what a classifier keeps of the training rows besides its weights, for these have been averaged.

        Most keep nothing.
        """

    @abstractmethod
    def preprocess_files(self) -> PreprocessFiles:
        """Say what the served model `<name>_preprocess` is made of."""

    @property
    def highest(self) -> int:
        """The highest number in an array of integers that the classifier knows."""
        return int(np.iinfo(np.uint8).max)

    @property
    def parameters(self) -> dict[str, str]:
        """What the exported ensembles tell about this modality."""
        return {}
