"""The tensors of the classifiers: what a Keras model must take and give to be served."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from aisle_protocol.datatypes import datatype_of, dtype_of
from aisle_training.export.errors import ExportError

Tensors = Mapping[str, npt.NDArray[Any]]
Network = Callable[[Tensors], dict[str, npt.NDArray[Any]]]

# What the classifier of one modality gives. Names of tensors are a public interface: clients, ensembles and other
# people's configurations spell them.
EMBEDDING_AND_PROBABILITIES: Final = ("EMBEDDING", "PROBABILITIES")
PROBABILITIES: Final = ("PROBABILITIES",)
# What each classifier gives besides where the run measures it, and the ensembles pass on.
FAMILIARITY: Final = "FAMILIARITY"


@dataclass(frozen=True)
class TensorSpec:
    """A tensor of a model, as its configuration states it.

    Attributes:
        name: As clients spell it.
        datatype: Of the inference protocol, `FP32`.
        dims: Shape without the batch.
    """

    name: str
    datatype: str
    dims: tuple[int, ...]

    def zeros(self, rows: int) -> npt.NDArray[Any]:
        """Give a batch of zeros."""
        return np.zeros((rows, *self.dims), dtype=dtype_of(self.datatype))


@dataclass(frozen=True)
class Classifier:
    """A trained Keras network and its tensors.

    Attributes:
        name: Of the model, `title_classifier`.
        model: The Keras model; its outputs are a dictionary.
        inputs: In the order of the configuration.
        outputs: Likewise.
        highest: The highest number that an input of integers may hold.
    """

    name: str
    model: Any
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    highest: int = 1

    @classmethod
    def of(
        cls, name: str, model: Any, input_names: Sequence[str], output_names: Sequence[str], highest: int = 1
    ) -> Classifier:
        """Read the tensors off a Keras model.

        Args:
            name: Of the model.
            model: The Keras model.
            input_names: What its inputs must be named, in the order of the configuration.
            output_names: What its outputs must be named, likewise.
            highest: The highest number that an input of integers may hold.

        Raises:
            ExportError: Its tensors are named otherwise, or have a size that is not fixed.
        """
        inputs = {tensor.name: tensor for tensor in model.inputs}
        outputs = model.output if isinstance(model.output, dict) else {}
        for kind, tensors, names in (("inputs", inputs, input_names), ("outputs", outputs, output_names)):
            if set(tensors) != set(names):
                raise ExportError(f"{name} has {kind} {sorted(tensors)}, expected {sorted(names)}")
        return cls(
            name,
            model,
            tuple(_spec(name, tensor, inputs[tensor]) for tensor in input_names),
            tuple(_spec(name, tensor, outputs[tensor]) for tensor in output_names),
            highest,
        )

    def call(self, tensors: Mapping[str, Any]) -> dict[str, Any]:
        """Run the Keras model in inference mode on tensors of its backend, by name."""
        arguments = dict(tensors) if len(self.inputs) > 1 else tensors[self.inputs[0].name]
        outputs: dict[str, Any] = self.model(arguments, training=False)
        return outputs

    def dims_of(self, name: str) -> tuple[int, ...]:
        """Give the shape of an input or output without the batch."""
        return next(tensor.dims for tensor in (*self.inputs, *self.outputs) if tensor.name == name)


def _spec(classifier: str, name: str, tensor: Any) -> TensorSpec:
    _, *dims = tensor.shape
    if any(size is None for size in dims):
        raise ExportError(
            f"{name} of {classifier} has shape {tuple(tensor.shape)}, expected fixed sizes after the batch"
        )
    return TensorSpec(name, datatype_of(tensor.dtype), tuple(int(size) for size in dims))
