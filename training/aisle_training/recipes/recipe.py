"""What a training run consists of, in numbers: all of them, and nowhere else.

A recipe is a frozen dataclass. A file in this room, named after it, builds it; that file's docstring gives the command,
the time and the scores to expect. A run keeps its recipe as `recipe.json`, which `Recipe.from_json` reads back.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

# The name of the classifier over all modalities.
FUSION: Final = "fusion_classifier"
# What it can be, see `models/fusion/`.
FUSION_KINDS: Final = ("late", "residual", "concatenation", "gated")


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
        patience: Epochs without a better validation accuracy, or an equal one at a lower loss, after which training stops.
        ema_momentum: Share of the old in a running average of the weights, renewed at each step; the average is what is
            validated, kept and exported. 0 for none. It begins at the first step's weights, so 0.999 takes some 3,000
            steps to forget them.
        max_steps: Steps of training, at most, in whole epochs but never less than one: a large catalogue is gone through
            fewer times. 0 for no such bound.
    """

    epochs: int
    batch_size: int = 64
    learning_rate: float = 1e-3
    warmup_epochs: float = 0.5
    weight_decay: float = 0.01
    label_smoothing: float = 0.0
    patience: int = 3
    ema_momentum: float = 0.0
    max_steps: int = 0

    def epochs_of(self, steps: int) -> int:
        """Say how many epochs of so many steps there are, at most."""
        return max(1, min(self.epochs, self.max_steps // steps)) if self.max_steps else self.epochs


@dataclass(frozen=True)
class ModalityRecipe:
    """What one modality is read and learnt with: the base of a dataclass for each kind of modality.

    Attributes:
        kind: What `recipe.json` calls it. Another kind is another subclass, and an encoder: see `modalities`.
        schedule: How the modality's classifier is trained.
    """

    kind: ClassVar[str]
    schedule: Schedule


@dataclass(frozen=True)
class ImageRecipe(ModalityRecipe):
    """The picture of a product. Its modality is named "image".

    Attributes:
        schedule: How it is trained.
        picture_size: Height and width to which every picture is squeezed, pixels.
        network: One of `image_networks.IMAGE_NETWORKS`.
        width: Multiplies the number of channels of the network.
        hidden_size: Units of a layer between the network's features and the logits, which is then the embedding; 0 for none.
        dropout: Fraction of the embedding dropped in training, and of the features before the hidden layer.
        frozen_until: Layer of the network up to which nothing is trained, "all" for the whole network, or "" for nothing.
            What it makes of each picture is computed once, so of the augmentations there is `flip` alone.
        flip: Whether half of the training pictures are mirrored left to right.
        shift: Training pictures are shifted by up to so many pixels each way; the edge is repeated.
        zoom: Training pictures are enlarged or reduced by up to this fraction, height and width apart.
        colour: Contrast and colours of training pictures are changed by up to this fraction.
        erase: Fraction of the training pictures of which a rectangle is painted over.
        mixup: Alpha of the Beta distribution from which the share of each training picture in its mixture with another
            is drawn; 0 for pictures as they are.
        flip_average: Whether the trained classifier answers with the mean for a picture and its mirror image, in twice
            the time. Training is the same with and without.
    """

    kind: ClassVar[str] = "image"
    picture_size: int = 96
    network: str = "mobilenet_v2"
    width: float = 1.0
    dropout: float = 0.2
    frozen_until: str = ""
    flip: bool = True
    shift: int = 6
    zoom: float = 0.0
    colour: float = 0.0
    erase: float = 0.0
    mixup: float = 0.0
    flip_average: bool = False
    hidden_size: int = 0


@dataclass(frozen=True)
class TextRecipe(ModalityRecipe):
    """A text of a product.

    Attributes:
        schedule: How it is trained.
        field: The text, "title" or "description".
        vocabulary_size: Token ids that the tokenizer may use, at most.
        length: Tokens of a text, padded or cut.
        longest: Where the training texts are longer, `length` grows with them, up to so many tokens: see `fit_to_texts`. 0 for
            a length that is the same for every catalogue, as it is in the recipe of a run.
        network: One of `title_networks.TITLE_NETWORKS`.
        token_size: Size of a subword's vector.
        filters: See `build_title_network`.
        embedding_size: Size of the embedding.
        dropout: Fraction dropped in training, in the network and before the logits.
        token_dropout: Fraction of the tokens of a training text that are taken out, anew in every epoch.
        ngrams: Character n-grams that get an id, at most; 0 for a network without them.
        few_texts: With more training texts than this there are no n-grams, which take long and help where
            texts are few. 0 for n-grams whatever there is, as it is in the recipe of a run.
        shortest_ngram: Characters of the shortest n-grams.
        longest_ngram: Characters of the longest.
        ngram_length: N-grams of a text, padded or cut.
        members: Networks that are trained alike but for what is drawn, and whose logits are averaged.
        masked: Fraction of the training texts that are read without the words of their category.
        unreadable: Fraction of the training texts that are read as if in an unknown script; all classes are then
            equally right.
        preset: The KerasHub preset that the network "bert" starts from: a name, or a folder.

    Raises:
        ValueError: The network is "bert" and there is no preset, or the other way round.
    """

    kind: ClassVar[str] = "text"
    field: str = "title"
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
    masked: float = 0.0
    unreadable: float = 0.0
    preset: str = ""
    longest: int = 0
    few_texts: int = 0

    def __post_init__(self) -> None:
        if (self.network == "bert") != bool(self.preset):
            raise ValueError(
                f"the network {self.network!r} is to start from the preset {self.preset!r}, expected one for 'bert' alone"
            )

    @property
    def token_ids(self) -> int:
        """Ids of a text: those of its subwords, and those of its n-grams."""
        return self.length + (self.ngram_length if self.ngrams else 0)


@dataclass(frozen=True)
class AttributeRecipe(ModalityRecipe):
    """An attribute that takes one of many values, such as the brand. Values share a vector where their hashes meet.

    Attributes:
        schedule: How it is trained.
        attribute: Its name in the catalogue.
        buckets: Values are hashed to so many numbers.
        embedding_size: Size of the embedding.
        dropout: Fraction of the embedding dropped in training.
    """

    kind: ClassVar[str] = "attribute"
    attribute: str = "brand"
    buckets: int = 4096
    embedding_size: int = 32
    dropout: float = 0.2


@dataclass(frozen=True)
class FusionRecipe:
    """The fusion classifier, which is made where there are two modalities or more.

    Attributes:
        schedule: How it is trained; "late" is not trained, and has no use for this nor for what follows `kind`.
        kind: One of `FUSION_KINDS`.
        hidden_size: Units of the hidden layer.
        dropout: Fraction dropped in training before each layer.
        missing: Fraction of the rows that are trained without some of what they have, never without all.

    Raises:
        ValueError: There is no such kind.
    """

    schedule: Schedule = Schedule(epochs=6, batch_size=256, learning_rate=3e-4, weight_decay=0.02)
    kind: str = "late"
    hidden_size: int = 256
    dropout: float = 0.4
    missing: float = 0.5

    def __post_init__(self) -> None:
        if self.kind not in FUSION_KINDS:
            raise ValueError(f"unknown kind of fusion {self.kind!r}, expected one of {', '.join(FUSION_KINDS)}")


@dataclass(frozen=True)
class Recipe:
    """A whole run.

    Attributes:
        name: What `aisle train` calls it.
        minimum_products: Categories with fewer products that have the first modality are not learnt.
        modalities: What products are told by, by name. The name is that of the models (`title_classifier`) and, in
            capitals, that of the tensors (`TITLE`).
        fusion: The fusion classifier.
        seed: Of everything that is drawn: initial weights, the order of rows, augmentation, dropout.

    Raises:
        ValueError: There are no modalities, or one has a name that its models and tensors cannot have.
    """

    name: str
    minimum_products: int
    modalities: dict[str, ModalityRecipe]
    fusion: FusionRecipe
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.modalities:
            raise ValueError("the recipe has no modalities, expected one or more")
        for name, modality in self.modalities.items():
            if not re.fullmatch("[a-z][a-z0-9_]*", name) or name in ("fusion", "product"):
                raise ValueError(
                    f"a modality is named {name!r}, expected small letters, digits and _, and not fusion or product"
                )
            if (name == "image") != isinstance(modality, ImageRecipe):
                raise ValueError(
                    f"the modality {name!r} is of the kind {modality.kind!r}, but images are named 'image'"
                )

    @property
    def classifiers(self) -> tuple[str, ...]:
        """The names of the classifiers, in the order in which they are trained."""
        single = [f"{name}_classifier" for name in self.modalities]
        return tuple([*single, FUSION] if len(single) > 1 else single)

    def with_epochs(self, epochs: int) -> Recipe:
        """Give the same recipe with `epochs` epochs for each of its networks."""
        return dataclasses.replace(
            self,
            modalities={name: _with_epochs(modality, epochs) for name, modality in self.modalities.items()},
            fusion=_with_epochs(self.fusion, epochs),
        )

    def with_preset(self, preset: str) -> Recipe:
        """Give the same recipe with another KerasHub preset for the network "bert".

        Raises:
            ValueError: The recipe has no such network.
        """
        changed = {
            name: dataclasses.replace(modality, preset=preset)
            for name, modality in self.modalities.items()
            if isinstance(modality, TextRecipe) and modality.network == "bert"
        }
        if not changed:
            raise ValueError(f"the recipe {self.name!r} has no network that starts from a preset")
        return dataclasses.replace(self, modalities={**self.modalities, **changed})

    def fitted(self, fitted: Mapping[str, ModalityRecipe]) -> Recipe:
        """Give the same recipe with numbers that follow from the catalogue, for some of its modalities."""
        return dataclasses.replace(self, modalities={**self.modalities, **fitted})

    def with_modalities(self, names: Iterable[str]) -> Recipe:
        """Give the same recipe with no other modalities than these.

        Raises:
            ValueError: None of the recipe's modalities is left, or one is asked for that it does not have.
        """
        wanted = set(names)
        if unknown := wanted - set(self.modalities):
            raise ValueError(
                f"the recipe {self.name!r} has no modality {', '.join(sorted(unknown))}, "
                f"expected some of {', '.join(self.modalities)}"
            )
        kept = {name: modality for name, modality in self.modalities.items() if name in wanted}
        return dataclasses.replace(self, modalities=kept)

    def to_json(self) -> str:
        """Write all numbers down; `from_json` reads them back."""
        fields = dataclasses.asdict(self)
        fields["modalities"] = {
            name: {"kind": self.modalities[name].kind, **numbers} for name, numbers in fields["modalities"].items()
        }
        return json.dumps(fields, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        """Read a recipe that `to_json` wrote.

        Raises:
            ValueError: `text` is no recipe of this version of Aisle.
        """
        kinds = {kind.kind: kind for kind in ModalityRecipe.__subclasses__()}
        try:
            fields: dict[str, Any] = json.loads(text)
            fields["modalities"] = {
                name: _with_schedule(kinds[numbers.pop("kind")], numbers)
                for name, numbers in fields["modalities"].items()
            }
            fields["fusion"] = _with_schedule(FusionRecipe, fields["fusion"])
            return cls(**fields)
        except (AttributeError, KeyError, TypeError, json.JSONDecodeError) as error:
            raise ValueError(f"this is no recipe of this version of Aisle: {error}") from error


def _with_epochs(part: Any, epochs: int) -> Any:
    return dataclasses.replace(part, schedule=dataclasses.replace(part.schedule, epochs=epochs))


def _with_schedule(part: type[Any], numbers: dict[str, Any]) -> Any:
    return part(**{**numbers, "schedule": Schedule(**numbers["schedule"])})
