"""Batches for `keras.Model.fit`, with the augmentation that each network is trained with.

What an epoch draws depends on the seed and on the epoch's number alone, so a resumed run goes on with what the run would
have seen. `fit` must be told `shuffle=False`: the order is drawn here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from aisle_training.augmentation import Augmentation, mix_pictures
from aisle_training.datasets import Flags, Floats, Labels, Pixels

TokenIds = npt.NDArray[np.int32]


class ShuffledBatches(keras.utils.PyDataset, ABC):  # type: ignore[misc]
    """Rows in an order that is drawn anew in each epoch; subclasses say what a batch is made of.

    Args:
        rows: Number of rows.
        batch_size: Rows in a batch. The last one is filled up with rows from the epoch's beginning, for JAX and XLA
            compile anew for each shape.
        seed: Of the order and of the augmentation.
    """

    def __init__(self, rows: int, batch_size: int, seed: int) -> None:
        super().__init__(workers=1, use_multiprocessing=False)
        self._rows = rows
        self._batch_size = batch_size
        self.seed = seed
        self.start_epoch(0)

    def __len__(self) -> int:
        return -(-self._rows // self._batch_size)

    def start_epoch(self, epoch: int) -> None:
        """Draw the order of an epoch; `epoch` counts from 0."""
        self._epoch = epoch
        self._order = np.random.default_rng((self.seed, epoch)).permutation(self._rows)

    def __getitem__(self, index: int) -> Any:
        positions = np.arange(index * self._batch_size, (index + 1) * self._batch_size)
        chosen = self._order[positions % self._rows]
        return self._make_batch(chosen, np.random.default_rng((self.seed, self._epoch, index)))

    @abstractmethod
    def _make_batch(self, chosen: npt.NDArray[np.int64], generator: np.random.Generator) -> Any:
        """Make (inputs, labels) of the chosen rows."""


class PictureBatches(ShuffledBatches):
    """Pixels and labels; pictures augmented and mixed.

    Args:
        pixels: uint8 [rows, size, size, 3].
        labels: int32 [rows].
        batch_size: Rows in a batch.
        seed: Of all that is drawn.
        augmentation: What each picture goes through first.
        mixup: Alpha of the Beta distribution of each picture's share in its mixture; 0 for no mixtures, and labels
            that are class numbers.
        classes: Number of classes, for mixtures are labelled with a share for each.
    """

    def __init__(
        self,
        pixels: Pixels,
        labels: Labels,
        batch_size: int,
        seed: int,
        *,
        augmentation: Augmentation,
        mixup: float = 0.0,
        classes: int = 0,
    ) -> None:
        super().__init__(len(labels), batch_size, seed)
        self._pixels = pixels
        self._labels = labels
        self._augmentation = augmentation
        self._mixup = mixup
        self._classes = classes

    def _make_batch(
        self, chosen: npt.NDArray[np.int64], generator: np.random.Generator
    ) -> tuple[Pixels, Labels | Floats]:
        batch = self._augmentation(self._pixels[chosen], generator)
        if not self._mixup:
            return batch, self._labels[chosen]
        return mix_pictures(batch, self._labels[chosen], self._classes, generator, self._mixup)


@dataclass(frozen=True)
class TitleVariant:
    """The training titles once more, with something changed.

    Attributes:
        token_ids: int32 [rows, length]; a row of padding alone stands for a title that has no such variant.
        fraction: Share of the titles that are read in this variant, drawn anew in every epoch.
        keeps_label: Whether the product can still be told; if not, all classes are equally right.
    """

    token_ids: TokenIds
    fraction: float
    keeps_label: bool = True


class TitleBatches(ShuffledBatches):
    """Token ids and labels; some tokens are taken out, and some titles read in a variant.

    Args:
        token_ids: int32 [rows, length]; 0 is padding.
        labels: int32 [rows].
        batch_size: Rows in a batch.
        seed: Of all that is drawn.
        token_dropout: Fraction of the tokens that are taken out.
        ngram_length: How many of the ids of a title, at the end, are those of n-grams.
        variants: Of the titles; their fractions are 1 together at most.
        classes: Number of classes, for a variant without a label has a share of each. Labels are shares where there is
            one, and class numbers otherwise.
    """

    def __init__(
        self,
        token_ids: TokenIds,
        labels: Labels,
        batch_size: int,
        seed: int,
        *,
        token_dropout: float,
        ngram_length: int = 0,
        variants: Sequence[TitleVariant] = (),
        classes: int = 0,
    ) -> None:
        super().__init__(len(labels), batch_size, seed)
        self._token_ids = token_ids
        self._labels = labels
        self._token_dropout = token_dropout
        self._subword_length = token_ids.shape[1] - ngram_length
        self._variants = variants
        self._classes = classes

    def _make_batch(
        self, chosen: npt.NDArray[np.int64], generator: np.random.Generator
    ) -> tuple[TokenIds, Labels | Floats]:
        token_ids, labels = self._token_ids[chosen], self._labels[chosen]
        told = np.ones(len(chosen), dtype=np.bool_)
        draw = generator.random(len(chosen)) if self._variants else np.empty(0)
        begin = 0.0
        for variant in self._variants:
            read = (draw >= begin) & (draw < begin + variant.fraction) & variant.token_ids[chosen].any(axis=1)
            token_ids[read] = variant.token_ids[chosen[read]]
            told &= ~read | variant.keeps_label
            begin += variant.fraction
        parts = np.split(token_ids, [self._subword_length], axis=1)
        token_ids = np.concatenate([drop_tokens(part, generator, self._token_dropout) for part in parts], axis=1)
        if all(variant.keeps_label for variant in self._variants):
            return token_ids, labels
        shares = np.full((len(chosen), self._classes), 1 / self._classes, dtype=np.float32)
        shares[told] = np.eye(self._classes, dtype=np.float32)[labels[told]]
        return token_ids, shares


class ArrayBatches(ShuffledBatches):
    """Rows and labels as they are.

    Args:
        array: [rows, ...].
        labels: int32 [rows].
        batch_size: Rows in a batch.
        seed: Of the order.
    """

    def __init__(self, array: npt.NDArray[Any], labels: Labels, batch_size: int, seed: int) -> None:
        super().__init__(len(labels), batch_size, seed)
        self._array = array
        self._labels = labels

    def _make_batch(
        self, chosen: npt.NDArray[np.int64], generator: np.random.Generator
    ) -> tuple[npt.NDArray[Any], Labels]:
        return self._array[chosen], self._labels[chosen]


class FusionBatches(ShuffledBatches):
    """Embeddings, flags and labels; some rows lose some of their inputs, none loses all.

    Args:
        embeddings: By modality, float32 [rows, size].
        present: By modality, which rows have it, [rows].
        labels: int32 [rows].
        batch_size: Rows in a batch.
        seed: Of all that is drawn.
        missing: Fraction of the rows with several inputs that lose one or more.
    """

    def __init__(
        self,
        embeddings: Mapping[str, Floats],
        present: Mapping[str, Flags],
        labels: Labels,
        batch_size: int,
        seed: int,
        *,
        missing: float,
    ) -> None:
        super().__init__(len(labels), batch_size, seed)
        self._embeddings = embeddings
        self._present = np.stack([present[name] for name in embeddings], axis=1)
        self._labels = labels
        self._missing = missing

    def _make_batch(
        self, chosen: npt.NDArray[np.int64], generator: np.random.Generator
    ) -> tuple[dict[str, Floats], Labels]:
        left = drop_inputs(self._present[chosen], generator, self._missing)
        inputs = fusion_inputs(
            {name: rows[chosen] for name, rows in self._embeddings.items()},
            {name: left[:, place] for place, name in enumerate(self._embeddings)},
        )
        return inputs, self._labels[chosen]


def fusion_inputs(embeddings: Mapping[str, Floats], present: Mapping[str, Flags]) -> dict[str, Floats]:
    """Name the inputs of a `FusionClassifier`.

    Args:
        embeddings: By modality, float32 [rows, size].
        present: By modality, [rows].

    Returns:
        The dictionary that the classifier takes; flags are float32 [rows, 1].
    """
    return {f"{name.upper()}_EMBEDDING": rows for name, rows in embeddings.items()} | {
        f"{name.upper()}_PRESENT": present[name].astype(np.float32)[:, None] for name in embeddings
    }


def drop_inputs(present: Flags, generator: np.random.Generator, fraction: float) -> Flags:
    """Take inputs away from some rows: which are left is drawn from all sets that are neither empty nor whole.

    Args:
        present: Which inputs each row has, [rows, inputs]; not changed.
        generator: Where the draws come from.
        fraction: Of the rows that have several inputs.

    Returns:
        Which are left, [rows, inputs].
    """
    rows, inputs = present.shape
    sets = np.arange(1, 2**inputs)[:, None] >> np.arange(inputs) & 1 == 1
    possible = ~(sets[None] & ~present[:, None]).any(axis=2) & (sets.sum(axis=1) < present.sum(axis=1)[:, None])
    drawn = sets[np.argmax(generator.random((rows, len(sets))) * possible, axis=1)]
    loses = (generator.random(rows) < fraction) & possible.any(axis=1)
    left: Flags = np.where(loses[:, None], drawn, present)
    return left


def drop_tokens(token_ids: TokenIds, generator: np.random.Generator, fraction: float) -> TokenIds:
    """Take tokens out of titles; what is left moves together, and a title never loses all.

    Args:
        token_ids: int32 [rows, length], padding (0) at the end; not changed.
        generator: Where the draws come from.
        fraction: Probability for each token.

    Returns:
        Token ids of the same shape.
    """
    kept = (token_ids != 0) & (generator.random(token_ids.shape) >= fraction)
    kept |= (token_ids != 0) & ~kept.any(axis=1, keepdims=True)
    # A stable sort on "taken out" brings what is kept to the front, in its order.
    order = np.argsort(~kept, axis=1, kind="stable")
    return np.take_along_axis(np.where(kept, token_ids, 0), order, axis=1)
