"""`batch_input` and `batch_output` of a model configuration: what a model is told of a batch whose requests differ in shape.

Source: Triton, "Ragged Batching".
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class BatchInputKind(Enum):
    """What an input tells of a batch."""

    BATCH_ELEMENT_COUNT = 0
    BATCH_ACCUMULATED_ELEMENT_COUNT = 1
    BATCH_ACCUMULATED_ELEMENT_COUNT_WITH_ZERO = 2
    BATCH_MAX_ELEMENT_COUNT_AS_SHAPE = 3
    BATCH_ITEM_SHAPE = 4
    BATCH_ITEM_SHAPE_FLATTEN = 5


@dataclass(frozen=True, slots=True)
class BatchInput:
    """An input that the server derives from the batch.

    Attributes:
        kind: What it tells.
        target_names: The inputs of the model that are told.
        datatype: Theirs.
        source_inputs: The input that is told of; one, once validated.
    """

    kind: BatchInputKind
    target_names: tuple[str, ...]
    datatype: str
    source_inputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BatchOutput:
    """An output whose elements are shared out by the shapes of an input.

    Attributes:
        target_names: The outputs.
        source_inputs: The input; one, once validated.
    """

    target_names: tuple[str, ...]
    source_inputs: tuple[str, ...]
