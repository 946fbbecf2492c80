"""Whether the `sequence_batching` of a model configuration makes sense.

Source: Triton model configuration, "Sequence Batcher"; texts as its clients and tests know them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aisle_server.errors import InvalidArgumentError, UnsupportedError
from aisle_server.model_config.sequence import (
    ControlKind,
    DirectStrategy,
    OldestStrategy,
    SequenceBatching,
    SequenceControl,
    SequenceState,
)

# Those whose networks can be asked for outputs that no caller sees.
_BACKENDS_WITH_STATE: Final = ("onnxruntime", "tensorflow")
_CORRELATION_ID_DATATYPES: Final = ("UINT64", "INT64", "UINT32", "INT32", "BYTES")


def validate_sequence_batching(model: str, backend: str, max_batch_size: int, batching: SequenceBatching) -> None:
    """Check a sequence batcher.

    Args:
        model: Name of the model.
        backend: Of the model.
        max_batch_size: Of the model.
        batching: Its sequence batcher.

    Raises:
        InvalidArgumentError: A size, a share or a control tensor is not as it must be.
        UnsupportedError: It asks for implicit state of a backend that has none, or for iterative sequences.
    """
    if batching.states:
        _validate_states(model, backend, batching.states)
    if batching.iterative:
        raise UnsupportedError(f"'sequence_batching' of {model} asks for 'iterative_sequence', which is not supported")
    if isinstance(batching.strategy, OldestStrategy):
        _validate_oldest(model, max_batch_size, batching.strategy)
    if isinstance(batching.strategy, DirectStrategy) and not 0 <= batching.strategy.minimum_slot_utilization <= 1:
        raise InvalidArgumentError(
            f"sequence batching minimum slot utilization must be in range (0.0, 1.0] for {model}"
        )
    _validate_controls(model, batching)


def _validate_states(model: str, backend: str, states: Sequence[SequenceState]) -> None:
    if backend not in _BACKENDS_WITH_STATE:
        raise UnsupportedError(
            f"'sequence_batching' of {model} asks for implicit state ('state'), which is not supported for backend '{backend}', only"
            f" for {' and '.join(_BACKENDS_WITH_STATE)}; other models can keep state by their correlation ids"
        )
    for state in states:
        if not (state.input_name and state.output_name and state.datatype and state.dims):
            raise InvalidArgumentError(
                f"sequence batching state must have 'input_name', 'output_name', 'data_type' and 'dims' for {model}"
            )
        if any(dim < 1 and dim != -1 for dim in state.dims):
            raise InvalidArgumentError(
                f"dims of sequence batching state '{state.input_name}' must be 1 or more, or -1 for {model}, got {list(state.dims)}"
            )
        _validate_initial(model, state)
    if len({state.input_name for state in states}) < len(states):
        raise InvalidArgumentError(f"sequence batching states must have different 'input_name's for {model}")


def _validate_initial(model: str, state: SequenceState) -> None:
    if len(state.initial) > 1:
        raise InvalidArgumentError(
            f"initial_state field for state input '{state.input_name}' must contain exactly one or zero element. Found"
            f" '{len(state.initial)}' elements."
        )
    for initial in state.initial:
        if not initial.name:
            raise InvalidArgumentError(
                f"Field 'name' must be set when using initial_state for state input '{state.input_name}'."
            )
        if initial.datatype != state.datatype:
            raise InvalidArgumentError(
                f"The data type used for 'initial_state' field of state '{state.input_name}' does not match the state data type."
            )
        is_of_rank = len(initial.dims) == len(state.dims)
        if not is_of_rank or any(
            got < 1 or wanted not in (-1, got) for got, wanted in zip(initial.dims, state.dims, strict=True)
        ):
            raise InvalidArgumentError(
                f"'initial_state' of state '{state.input_name}' of {model} has dims {list(initial.dims)}; expected every one, of"
                f" {list(state.dims)}"
            )


def _validate_oldest(model: str, max_batch_size: int, strategy: OldestStrategy) -> None:
    for size in strategy.preferred_batch_size:
        if size <= 0:
            raise InvalidArgumentError(f"sequence batching preferred batch size must be positive for {model}")
        if size > max_batch_size:
            raise InvalidArgumentError(f"sequence batching preferred batch size must be <= max batch size for {model}")
    if strategy.max_candidate_sequences < 0:
        raise InvalidArgumentError(
            f"'max_candidate_sequences' of {model} is {strategy.max_candidate_sequences}; expected 0 or more"
        )


def _validate_controls(model: str, batching: SequenceBatching) -> None:
    names: set[str] = set()
    kinds: set[ControlKind] = set()
    for control_input in batching.control_inputs:
        name = control_input.name
        if not name:
            raise InvalidArgumentError(f"sequence batching control tensor must have a name for {model}")
        if name in names or len(control_input.controls) > 1:
            raise InvalidArgumentError(
                f"sequence batching control tensor '{name}' is specified for multiple control kinds for {model}"
            )
        names.add(name)
        if not control_input.controls:
            raise InvalidArgumentError(f"sequence batching control tensor '{name}' has no 'control' for {model}")
        control = control_input.controls[0]
        if control.kind in kinds:
            raise InvalidArgumentError(f"sequence batching specifies multiple {control.kind.name} tensors for {model}")
        kinds.add(control.kind)
        _validate_control(model, control)


def _validate_control(model: str, control: SequenceControl) -> None:
    kind = control.kind.name
    pairs = {
        "int32_false_true": control.int32_false_true,
        "fp32_false_true": control.fp32_false_true,
        "bool_false_true": control.bool_false_true,
    }
    given = [name for name, pair in pairs.items() if pair]
    if control.kind is ControlKind.CONTROL_SEQUENCE_CORRID:
        if given:
            raise InvalidArgumentError(f"sequence batching must not specify '{given[0]}' for {kind} for {model}")
        if control.datatype not in _CORRELATION_ID_DATATYPES:
            raise InvalidArgumentError(
                f"unexpected data type for control {kind} for {model}. Allowed data types are TYPE_UINT64, TYPE_INT64, TYPE_UINT32,"
                " TYPE_INT32 and TYPE_STRING"
            )
        return
    if len(given) != 1:
        came = " and ".join(f"'{name}'" for name in given) or "none"
        raise InvalidArgumentError(
            f"sequence batching must specify one of 'int32_false_true', 'fp32_false_true' and 'bool_false_true' for {kind}"
            f" for {model}, got {came}"
        )
    if len(pairs[given[0]]) != 2:
        raise InvalidArgumentError(
            f"sequence batching control '{given[0]}' must have exactly 2 entries for {kind} for {model}"
        )
    if control.datatype:
        raise InvalidArgumentError(f"sequence batching must not specify 'data_type' for {kind} for {model}")
