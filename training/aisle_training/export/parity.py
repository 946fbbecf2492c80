"""Whether an exported classifier answers like the Keras network it was made from."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from aisle_training.export.classifiers import Classifier, Network, Tensors, TensorSpec
from aisle_training.export.errors import ExportError

# Float32 sums in another order differ in the seventh digit; over the depth of a network, in the fifth.
MAXIMUM_DIFFERENCE: Final = 1e-4
BATCH_SIZES: Final = (1, 5)


def check_parity(classifier: Classifier, exported: Network) -> float:
    """Hold an exported network against its Keras network, on drawn inputs in batches of 1 and 5.

    Args:
        classifier: The Keras network.
        exported: What was written, opened by the runtime that will serve it.

    Returns:
        The largest difference of two probabilities.

    Raises:
        ExportError: A probability differs by more than `MAXIMUM_DIFFERENCE`, an element of an embedding by more than
            ten times that relative to the largest, or a tensor has another name, datatype or shape.
    """
    random = np.random.default_rng(0)
    worst = 0.0
    for rows in BATCH_SIZES:
        inputs = {spec.name: _drawn(spec, rows, random, classifier.highest) for spec in classifier.inputs}
        expected = {name: np.asarray(output) for name, output in classifier.call(inputs).items()}
        outputs = exported(inputs)
        if set(outputs) != set(expected):
            raise ExportError(f"exported {classifier.name} has outputs {sorted(outputs)}, expected {sorted(expected)}")
        for spec in classifier.outputs:
            difference = _difference(classifier.name, spec, outputs, expected)
            if spec.name == "PROBABILITIES":
                worst = max(worst, difference)
            bound = 1.0 if spec.name == "PROBABILITIES" else 10 * max(1.0, float(np.abs(expected[spec.name]).max()))
            # Written so that NaN fails.
            if not difference <= MAXIMUM_DIFFERENCE * bound:
                raise ExportError(
                    f"{spec.name} of exported {classifier.name} differs from the network by {difference:.2g} in a batch "
                    f"of {rows}, expected at most {MAXIMUM_DIFFERENCE * bound:.2g}"
                )
    return worst


def _difference(classifier: str, spec: TensorSpec, outputs: Tensors, expected: Tensors) -> float:
    output, other = outputs[spec.name], expected[spec.name]
    if output.shape != other.shape or output.dtype != other.dtype:
        raise ExportError(
            f"{spec.name} of exported {classifier} is {output.dtype} {list(output.shape)}, "
            f"expected {other.dtype} {list(other.shape)}"
        )
    return float(np.abs(output - other).max())


def _drawn(spec: TensorSpec, rows: int, random: np.random.Generator, highest: int) -> npt.NDArray[Any]:
    """Draw a batch of one input: numbers that exist, flags of both kinds, embeddings around zero."""
    shape, dtype = (rows, *spec.dims), spec.zeros(1).dtype
    if spec.name.endswith("_PRESENT"):
        return random.integers(0, 2, shape).astype(dtype)
    if dtype.kind == "f":
        return random.normal(size=shape).astype(dtype)
    return random.integers(0, highest + 1, shape).astype(dtype)
