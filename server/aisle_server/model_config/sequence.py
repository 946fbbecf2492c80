"""The `sequence_batching` of a model configuration: which instance the requests of a sequence go to, and what the model is told of them.

Source: Triton model configuration, "Sequence Batcher".
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

DEFAULT_SEQUENCE_IDLE_MICROSECONDS: Final = 1_000_000


class ControlKind(Enum):
    """What a control tensor tells a model about a request of a sequence."""

    CONTROL_SEQUENCE_START = 0
    CONTROL_SEQUENCE_READY = 1
    CONTROL_SEQUENCE_END = 2
    CONTROL_SEQUENCE_CORRID = 3


@dataclass(frozen=True, slots=True)
class SequenceControl:
    """One thing that a control tensor says; one of the three pairs is set, but for CORRID, which has a datatype.

    Attributes:
        kind: What it says.
        int32_false_true: The value for no, then the one for yes.
        fp32_false_true: The same, for a tensor of FP32.
        bool_false_true: The same, for a tensor of BOOL.
        datatype: Of CORRID; empty for the others.
    """

    kind: ControlKind
    int32_false_true: tuple[int, ...] = ()
    fp32_false_true: tuple[float, ...] = ()
    bool_false_true: tuple[bool, ...] = ()
    datatype: str = ""

    @property
    def tensor_datatype(self) -> str:
        """The datatype of the tensor, in the protocol's words."""
        if self.int32_false_true:
            return "INT32"
        return "FP32" if self.fp32_false_true else self.datatype or "BOOL"


@dataclass(frozen=True, slots=True)
class SequenceControlInput:
    """An input of the model that the server fills.

    Attributes:
        name: Of the input.
        controls: What it says; one, once validated.
    """

    name: str
    controls: tuple[SequenceControl, ...] = ()

    @property
    def control(self) -> SequenceControl:
        """What it says, once validated."""
        return self.controls[0]


@dataclass(frozen=True, slots=True)
class InitialState:
    """What a state is when a sequence starts.

    Attributes:
        name: For messages.
        datatype: That of the state.
        dims: Of the state, every one given.
        data_file: A file of raw contents in the folder `initial_state` of the model directory; empty for zeros.
    """

    name: str
    datatype: str
    dims: tuple[int, ...]
    data_file: str = ""


@dataclass(frozen=True, slots=True)
class SequenceState:
    """A tensor that the server carries from one request of a sequence to the next: implicit state.

    Attributes:
        input_name: Input of the model that it is given by.
        output_name: Output of the model that it becomes.
        datatype: Name in the protocol.
        dims: Without the batch dimension when the model batches; -1 is any size.
        initial: At most one, once validated; without one a sequence starts from zeros, one of them in each dimension of any size.
    """

    input_name: str
    output_name: str
    datatype: str
    dims: tuple[int, ...]
    initial: tuple[InitialState, ...] = ()


@dataclass(frozen=True, slots=True)
class DirectStrategy:
    """A sequence has a row of an instance's batches to itself.

    Attributes:
        max_queue_delay_microseconds: How long the oldest request may wait for company.
        minimum_slot_utilization: Of the rows, 0 to 1; with so many of them ready nobody waits.
    """

    max_queue_delay_microseconds: int = 0
    minimum_slot_utilization: float = 0.0


@dataclass(frozen=True, slots=True)
class OldestStrategy:
    """An instance has a number of sequences, and executes whichever of their requests are ready, oldest first.

    Attributes:
        max_candidate_sequences: Sequences that an instance has at a time; 0 for `max_batch_size`.
        preferred_batch_size: Sizes to stop at, ascending; `(max_batch_size,)` when the file gives none.
        max_queue_delay_microseconds: How long the oldest request may wait for company.
        preserve_ordering: Answer an instance's sequences in the order of their requests, which they are anyway.
    """

    max_candidate_sequences: int = 0
    preferred_batch_size: tuple[int, ...] = ()
    max_queue_delay_microseconds: int = 0
    preserve_ordering: bool = False


@dataclass(frozen=True, slots=True)
class SequenceBatching:
    """Send all requests of a sequence to the same instance, one after another.

    Attributes:
        strategy: None for direct.
        max_sequence_idle_microseconds: A sequence that has asked nothing for so long is over; one second when the file gives none.
        control_inputs: What the model is told of each request.
        states: What the server carries from one request of a sequence to the next.
        iterative: One request would be executed again and again.
    """

    strategy: DirectStrategy | OldestStrategy | None = None
    max_sequence_idle_microseconds: int = 0
    control_inputs: tuple[SequenceControlInput, ...] = ()
    states: tuple[SequenceState, ...] = ()
    iterative: bool = False
