"""`sequence_batching` of a model configuration: the protocol's message <-> schema.

States are echoed out of `ModelConfig.carried`, for they say more than the server acts upon.

Source: Triton model configuration (`protos/model_config.proto`).
"""

from __future__ import annotations

from aisle_protocol.generated import model_config_pb2 as pb
from aisle_server.errors import InvalidArgumentError
from aisle_server.model_config.sequence import (
    ControlKind,
    DirectStrategy,
    InitialState,
    OldestStrategy,
    SequenceBatching,
    SequenceControl,
    SequenceControlInput,
    SequenceState,
)


def sequence_batching_of(message: pb.ModelSequenceBatching) -> SequenceBatching:
    """Return what a message says.

    Raises:
        InvalidArgumentError: An enum has a number that model configurations do not know.
    """
    return SequenceBatching(
        strategy=_strategy(message),
        max_sequence_idle_microseconds=message.max_sequence_idle_microseconds,
        control_inputs=tuple(
            SequenceControlInput(each.name, tuple(_control(control) for control in each.control))
            for each in message.control_input
        ),
        states=tuple(_state(state) for state in message.state),
        iterative=message.iterative_sequence,
    )


def sequence_batching_message(batching: SequenceBatching) -> pb.ModelSequenceBatching:
    """Return a sequence batcher as a message, all but its states."""
    message = pb.ModelSequenceBatching(
        max_sequence_idle_microseconds=batching.max_sequence_idle_microseconds,
        control_input=[
            pb.ModelSequenceBatching.ControlInput(
                name=each.name, control=[_control_message(control) for control in each.controls]
            )
            for each in batching.control_inputs
        ],
        iterative_sequence=batching.iterative,
    )
    strategy = batching.strategy
    if isinstance(strategy, DirectStrategy):
        message.direct.SetInParent()
        message.direct.max_queue_delay_microseconds = strategy.max_queue_delay_microseconds
        message.direct.minimum_slot_utilization = strategy.minimum_slot_utilization
    elif strategy is not None:
        message.oldest.SetInParent()
        message.oldest.max_candidate_sequences = strategy.max_candidate_sequences
        message.oldest.preferred_batch_size.extend(strategy.preferred_batch_size)
        message.oldest.max_queue_delay_microseconds = strategy.max_queue_delay_microseconds
        message.oldest.preserve_ordering = strategy.preserve_ordering
    return message


def _strategy(message: pb.ModelSequenceBatching) -> DirectStrategy | OldestStrategy | None:
    match message.WhichOneof("strategy_choice"):
        case "direct":
            direct = message.direct
            return DirectStrategy(direct.max_queue_delay_microseconds, direct.minimum_slot_utilization)
        case "oldest":
            oldest = message.oldest
            return OldestStrategy(
                oldest.max_candidate_sequences,
                tuple(oldest.preferred_batch_size),
                oldest.max_queue_delay_microseconds,
                oldest.preserve_ordering,
            )
        case _:
            return None


def _control(message: pb.ModelSequenceBatching.Control) -> SequenceControl:
    try:
        kind = ControlKind(message.kind)
    except ValueError as error:
        raise InvalidArgumentError(f"model configuration holds an unknown number in a control input: {error}") from None
    return SequenceControl(
        kind,
        tuple(message.int32_false_true),
        tuple(message.fp32_false_true),
        tuple(message.bool_false_true),
        _datatype(message.data_type),
    )


def _state(message: pb.ModelSequenceBatching.State) -> SequenceState:
    return SequenceState(
        message.input_name,
        message.output_name,
        _datatype(message.data_type),
        tuple(message.dims),
        tuple(
            InitialState(each.name, _datatype(each.data_type), tuple(each.dims), each.data_file)
            for each in message.initial_state
        ),
    )


def _datatype(number: pb.DataType) -> str:
    try:
        name = pb.DataType.Name(number).removeprefix("TYPE_")
    except ValueError as error:
        raise InvalidArgumentError(f"model configuration holds an unknown number for a datatype: {error}") from None
    return {"STRING": "BYTES", "INVALID": ""}.get(name, name)


def _control_message(control: SequenceControl) -> pb.ModelSequenceBatching.Control:
    datatype = {"BYTES": "STRING", "": "INVALID"}.get(control.datatype, control.datatype)
    return pb.ModelSequenceBatching.Control(
        kind=control.kind.name,
        int32_false_true=control.int32_false_true,
        fp32_false_true=control.fp32_false_true,
        bool_false_true=control.bool_false_true,
        data_type=f"TYPE_{datatype}",
    )
