"""What a training run consists of, in numbers: all of them, and nowhere else.

A recipe is a frozen dataclass. A file in this room, named after it, builds it; that file's docstring gives the command,
the time and the scores to expect. A run keeps its recipe as `recipe.json`, which `Recipe.from_json` reads back.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Schedule:
    """How one network is trained: AdamW, a warm-up, then a cosine down to zero.

    Attributes:
        epochs: Times through the training split, at most.
        batch_size: Rows a step.
        learning_rate: At the end of the warm-up, where it is highest.
        warmup_epochs: Epochs, or a fraction of one, over which the learning rate rises from zero.
        weight_decay: Of AdamW.
        label_smoothing: Probability that is taken from the true class and spread over all.
        patience: Epochs without a better validation accuracy after which training stops.
        ema_momentum: Share of the old in a running average of the weights, renewed at each step; the average is what is
            validated, kept and exported. 0 for none. It begins at the first step's weights, so 0.999 takes some 3,000
            steps to forget them.
    """

    epochs: int
    batch_size: int = 64
    learning_rate: float = 1e-3
    warmup_epochs: float = 0.5
    weight_decay: float = 0.01
    label_smoothing: float = 0.0
    patience: int = 3
    ema_momentum: float = 0.0


@dataclass(frozen=True)
class ImageRecipe:
    """The image classifier.

    Attributes:
        schedule: How it is trained.
        picture_size: Height and width to which every picture is squeezed, pixels.
        network: One of `image_networks.IMAGE_NETWORKS`.
        width: Multiplies the number of channels of the network.
        dropout: Fraction of the embedding dropped in training.
        flip: Whether half of the training pictures are mirrored left to right.
        shift: Training pictures are shifted by up to so many pixels each way; the edge is repeated.
        mixup: Alpha of the Beta distribution from which the share of each training picture in its mixture with another
            is drawn; 0 for pictures as they are.
        flip_average: Whether the trained classifier answers with the mean for a picture and its mirror image, in twice
            the time. Training is the same with and without.
    """

    schedule: Schedule
    picture_size: int = 96
    network: str = "mobilenet_v2"
    width: float = 1.0
    dropout: float = 0.2
    flip: bool = True
    shift: int = 6
    mixup: float = 0.0
    flip_average: bool = False


@dataclass(frozen=True)
class TitleRecipe:
    """The title classifier.

    Attributes:
        schedule: How it is trained.
        vocabulary_size: Token ids that the tokenizer may use, at most.
        length: Tokens of a title, padded or cut.
        network: One of `title_networks.TITLE_NETWORKS`.
        token_size: Size of a subword's vector.
        filters: See `build_title_network`.
        embedding_size: Size of the embedding.
        dropout: Fraction dropped in training, in the network and before the logits.
        token_dropout: Fraction of the tokens of a training title that are taken out, anew in every epoch.
        ngrams: Character n-grams that get an id, at most; 0 for a network without them.
        shortest_ngram: Characters of the shortest n-grams.
        longest_ngram: Characters of the longest.
        ngram_length: N-grams of a title, padded or cut.
        members: Networks that are trained alike but for what is drawn, and whose logits are averaged.
        masked_titles: Fraction of the training titles that are read without the words of their category.
        unreadable_titles: Fraction of the training titles that are read as if in an unknown script; all classes are then
            equally right.
        preset: The KerasHub preset that the network "bert" starts from: a name, or a folder.
    """

    schedule: Schedule
    vocabulary_size: int = 8000
    length: int = 32
    network: str = "subwords"
    token_size: int = 128
    filters: int = 128
    embedding_size: int = 256
    dropout: float = 0.4
    token_dropout: float = 0.1
    ngrams: int = 0
    shortest_ngram: int = 3
    longest_ngram: int = 5
    ngram_length: int = 160
    members: int = 1
    masked_titles: float = 0.0
    unreadable_titles: float = 0.0
    preset: str = ""

    @property
    def token_ids(self) -> int:
        """Ids of a title: those of its subwords, and those of its n-grams."""
        return self.length + (self.ngram_length if self.ngrams else 0)


@dataclass(frozen=True)
class FusionRecipe:
    """The fusion classifier.

    Attributes:
        schedule: How it is trained.
        hidden_size: Units of the hidden layer.
        dropout: Fraction dropped in training before each layer.
        image_missing: Fraction of the rows that are trained without their picture.
        title_missing: Fraction of the rows that are trained without their title.
    """

    schedule: Schedule
    hidden_size: int = 256
    dropout: float = 0.4
    image_missing: float = 0.25
    title_missing: float = 0.25


@dataclass(frozen=True)
class Recipe:
    """A whole run.

    Attributes:
        name: What `aisle train` calls it.
        minimum_pictures: Categories with fewer pictures in the catalogue are not learnt.
        image: The image classifier.
        title: The title classifier.
        fusion: The fusion classifier.
        seed: Of everything that is drawn: initial weights, the order of rows, augmentation, dropout.
    """

    name: str
    minimum_pictures: int
    image: ImageRecipe
    title: TitleRecipe
    fusion: FusionRecipe
    seed: int = 0

    def with_epochs(self, epochs: int) -> Recipe:
        """Give the same recipe with `epochs` epochs for each of its three networks."""
        image, title, fusion = (
            dataclasses.replace(part.schedule, epochs=epochs) for part in (self.image, self.title, self.fusion)
        )
        return dataclasses.replace(
            self,
            image=dataclasses.replace(self.image, schedule=image),
            title=dataclasses.replace(self.title, schedule=title),
            fusion=dataclasses.replace(self.fusion, schedule=fusion),
        )

    def to_json(self) -> str:
        """Write all numbers down; `from_json` reads them back."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        """Read a recipe that `to_json` wrote.

        Raises:
            ValueError: `text` is no recipe of this version of Aisle.
        """
        try:
            fields: dict[str, Any] = json.loads(text)
            parts = {"image": ImageRecipe, "title": TitleRecipe, "fusion": FusionRecipe}
            for key, part in parts.items():
                fields[key] = part(**{**fields[key], "schedule": Schedule(**fields[key]["schedule"])})
            return cls(**fields)
        except (KeyError, TypeError, json.JSONDecodeError) as error:
            raise ValueError(f"this is no recipe of this version of Aisle: {error}") from error
