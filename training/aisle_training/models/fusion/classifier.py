"""What all fusion classifiers have in common: their inputs, their temperatures, and how they are saved."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import keras
import numpy as np
from keras import layers

from aisle_training.models.missing_embedding import MissingEmbedding
from aisle_training.models.temperature import PresenceTemperatureSoftmax, mask_number


@dataclass(frozen=True)
class FusionInputs:
    """The symbolic inputs of a fusion classifier.

    Attributes:
        embeddings: By modality, [rows, size].
        present: By modality, [rows, 1].
    """

    embeddings: dict[str, Any]
    present: dict[str, Any]

    @classmethod
    def of(cls, embedding_sizes: Mapping[str, int]) -> FusionInputs:
        """Make the inputs of these modalities."""
        return cls(
            {name: keras.Input((size,), name=f"{name.upper()}_EMBEDDING") for name, size in embedding_sizes.items()},
            {name: keras.Input((1,), name=f"{name.upper()}_PRESENT") for name in embedding_sizes},
        )

    def normalized(self) -> list[Any]:
        """Give the embeddings normalised, [rows, size] each; a learnt vector stands for one that is missing."""
        return [
            MissingEmbedding(name=f"{name}_or_missing")(
                [layers.LayerNormalization(name=f"{name}_normalization")(embedding), self.present[name]]
            )
            for name, embedding in self.embeddings.items()
        ]


class FusionClassifier(keras.Model):  # type: ignore[misc]
    """Tell a product's category from its picture, its title, whatever else it is told by, or some of these.

    Inputs, a dictionary, for each modality: `<NAME>_EMBEDDING` float32 [rows, size], and `<NAME>_PRESENT` float32
    [rows, 1], 1 where there is such an input. What stands in an embedding whose flag is 0 has no influence.
    Output: a dictionary of `PROBABILITIES`, float32 [rows, classes].

    Args:
        inputs: Its inputs.
        logits: What its layers make of them, [rows, classes].
        config: The arguments that build the subclass again, but for its name: `classes`, `embedding_sizes`, ...

    Attributes:
        kind: What recipes call it.
        classes: Number of categories.
        names: The modalities, in the order of the inputs.
    """

    kind: ClassVar[str]

    def __init__(self, inputs: FusionInputs, logits: Any, config: Mapping[str, Any], **kwargs: Any) -> None:
        softmax = PresenceTemperatureSoftmax(name="temperature_softmax")
        probabilities = softmax([logits, *inputs.present.values()])
        super().__init__(
            inputs={tensor.name: tensor for tensor in (*inputs.embeddings.values(), *inputs.present.values())},
            outputs={"PROBABILITIES": probabilities},
            **{"name": "fusion_classifier", **kwargs},
        )
        self.temperature_softmax = softmax
        self.classes = int(config["classes"])
        self.names = tuple(inputs.embeddings)
        self._logits = logits
        # A list of pairs: Keras may sort a mapping.
        sizes = [(str(name), int(size)) for name, size in config["embedding_sizes"].items()]
        self._arguments = {name: value for name, value in config.items() if name != "embedding_sizes"}
        self._arguments["modalities"] = sizes

    def start_from(self, classifiers: Mapping[str, Any]) -> None:
        """Take over what the trained classifiers of the modalities, by name, make of their embeddings; some take nothing."""

    def logits_model(self) -> Any:
        """Give the part that is trained: the inputs -> logits [rows, classes]; it shares its layers with this model."""
        return keras.Model(self.input, self._logits, name="fusion_classifier_logits")

    def set_temperature(self, temperature: float, present: Collection[str]) -> None:
        """Set the temperature of the probabilities of rows that have just these modalities."""
        variable = self.temperature_softmax.temperatures
        temperatures = np.array(keras.ops.convert_to_numpy(variable))
        temperatures[self.mask_number(present)] = temperature
        variable.assign(temperatures)

    def mask_number(self, present: Collection[str]) -> int:
        """Number a set of modalities, see `temperature.mask_number`."""
        return mask_number(self.names.index(name) for name in present)

    def get_config(self) -> dict[str, Any]:
        """Give the arguments that build this model again; its weights are saved apart."""
        return {"name": self.name, **self._arguments}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        """Build the model that `get_config` describes, with random weights."""
        sizes = dict(config.pop("modalities"))
        return cls(embedding_sizes=sizes, **config)
