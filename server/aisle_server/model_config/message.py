"""ModelConfig to the protocol's message, for the ModelConfig RPC and for backends that want it. The way back is in `pbtxt.py`.

Source: Triton model configuration (`protos/model_config.proto`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, TypeAlias

from aisle_protocol.generated import model_config_pb2 as pb
from aisle_server.model_config.schema import (
    Dims,
    DynamicBatching,
    EnsembleScheduling,
    InstanceGroup,
    ModelConfig,
    ModelInput,
    ModelOutput,
    QueuePolicy,
    VersionPolicy,
    Warmup,
    WarmupInput,
)
from aisle_server.model_config.sequence_message import sequence_batching_message

_KEPT_BY_NAME_OR_PLACE: Final = ("input", "output", "instance_group", "ensemble_scheduling")

_Message: TypeAlias = Any  # any message type of protobuf, whose stubs have no common generic


def to_message(config: ModelConfig) -> pb.ModelConfig:
    """Return a model configuration as a message of the protocol, with what the server does not act upon put back.

    `pbtxt.from_message` undoes it: `from_message(to_message(config)) == config`.
    """
    rest = pb.ModelConfig.FromString(config.carried)
    input_rests = {each.name: each for each in rest.input}
    output_rests = {each.name: each for each in rest.output}
    message = pb.ModelConfig(
        name=config.name,
        platform=config.platform,
        backend=config.backend,
        version_policy=_version_policy_message(config.version_policy),
        max_batch_size=config.max_batch_size,
        input=[_merged(_input_message(each), input_rests.get(each.name)) for each in config.inputs],
        output=[_merged(_output_message(each), output_rests.get(each.name)) for each in config.outputs],
        instance_group=_merged_by_place(map(_instance_group_message, config.instance_groups), rest.instance_group),
        default_model_filename=config.default_model_filename,
        parameters={key: pb.ModelParameter(string_value=value) for key, value in config.parameters.items()},
        metric_tags=config.metric_tags,
        batch_input=[
            pb.BatchInput(
                kind=each.kind.name,
                target_name=each.target_names,
                data_type=type_name(each.datatype),
                source_input=each.source_inputs,
            )
            for each in config.batch_inputs
        ],
        batch_output=[
            pb.BatchOutput(target_name=each.target_names, source_input=each.source_inputs)
            for each in config.batch_outputs
        ],
        model_warmup=[_warmup_message(each) for each in config.warmups],
    )
    if config.dynamic_batching is not None:
        message.dynamic_batching.CopyFrom(_dynamic_batching_message(config.dynamic_batching))
    if config.ensemble_scheduling is not None:
        message.ensemble_scheduling.CopyFrom(_ensemble_message(config.ensemble_scheduling, rest.ensemble_scheduling))
    if config.sequence_batching is not None:
        message.sequence_batching.SetInParent()
        message.sequence_batching.CopyFrom(sequence_batching_message(config.sequence_batching))
    if config.response_cache:
        message.response_cache.enable = True
    if config.decoupled:
        message.model_transaction_policy.decoupled = True
    for field in _KEPT_BY_NAME_OR_PLACE:
        rest.ClearField(field)
    message.MergeFrom(rest)
    return message


def carries(config: ModelConfig, field: str) -> bool:
    """Whether the file said something in a field that the server does not act upon, such as `optimization`."""
    return pb.ModelConfig.FromString(config.carried).HasField(field)


def names_given_by_batcher(config: ModelConfig) -> frozenset[str]:
    """Return the inputs of the model that no caller sends: batch inputs and sequence controls."""
    batch_inputs = (name for each in config.batch_inputs for name in each.target_names)
    sequence = config.sequence_batching
    if sequence is None:
        return frozenset(batch_inputs)
    return frozenset(
        (
            *batch_inputs,
            *(each.input_name for each in sequence.states),
            *(each.name for each in sequence.control_inputs),
        )
    )


def with_pinned_memory(carried: bytes) -> bytes:
    """Return `ModelConfig.carried` with pinned memory switched on where the file says nothing of it. Triton's default, echoed alone."""
    rest = pb.ModelConfig.FromString(carried)
    for field in ("input_pinned_memory", "output_pinned_memory"):
        if not rest.optimization.HasField(field):
            getattr(rest.optimization, field).enable = True
    return rest.SerializeToString(deterministic=True)


def type_name(datatype: str) -> str:
    """Return a datatype as model configurations spell it: `TYPE_FP32`, `TYPE_STRING` for BYTES, `TYPE_INVALID` for none."""
    return "TYPE_STRING" if datatype == "BYTES" else f"TYPE_{datatype or 'INVALID'}"


def _merged(message: _Message, rest: _Message | None) -> _Message:
    if rest is not None:
        message.MergeFrom(rest)
    return message


def _merged_by_place(messages: Iterable[_Message], rests: Sequence[_Message]) -> list[_Message]:
    return [_merged(message, rests[index] if index < len(rests) else None) for index, message in enumerate(messages)]


def _version_policy_message(policy: VersionPolicy) -> pb.ModelVersionPolicy:
    if policy.all:
        return pb.ModelVersionPolicy(all=pb.ModelVersionPolicy.All())
    if policy.specific is not None:
        return pb.ModelVersionPolicy(specific=pb.ModelVersionPolicy.Specific(versions=policy.specific))
    return pb.ModelVersionPolicy(latest=pb.ModelVersionPolicy.Latest(num_versions=policy.latest))


def _reshape_message(reshape: Dims | None) -> pb.ModelTensorReshape | None:
    return None if reshape is None else pb.ModelTensorReshape(shape=reshape)


def _input_message(tensor: ModelInput) -> pb.ModelInput:
    return pb.ModelInput(
        name=tensor.name,
        data_type=type_name(tensor.datatype),
        format=tensor.format,
        dims=tensor.dims,
        reshape=_reshape_message(tensor.reshape),
        optional=tensor.optional,
        allow_ragged_batch=tensor.allow_ragged_batch,
    )


def _output_message(tensor: ModelOutput) -> pb.ModelOutput:
    return pb.ModelOutput(
        name=tensor.name,
        data_type=type_name(tensor.datatype),
        dims=tensor.dims,
        reshape=_reshape_message(tensor.reshape),
        label_filename=tensor.label_filename,
    )


def _instance_group_message(group: InstanceGroup) -> pb.ModelInstanceGroup:
    return pb.ModelInstanceGroup(
        name=group.name, kind=group.kind.name, count=group.count, gpus=group.gpus, passive=group.passive
    )


def _queue_policy_message(policy: QueuePolicy) -> pb.ModelQueuePolicy:
    return pb.ModelQueuePolicy(
        timeout_action=policy.timeout_action.name,
        default_timeout_microseconds=policy.default_timeout_microseconds,
        allow_timeout_override=policy.allow_timeout_override,
        max_queue_size=policy.max_queue_size,
    )


def _dynamic_batching_message(batching: DynamicBatching) -> pb.ModelDynamicBatching:
    default = batching.default_queue_policy
    return pb.ModelDynamicBatching(
        preferred_batch_size=batching.preferred_batch_size,
        max_queue_delay_microseconds=batching.max_queue_delay_microseconds,
        preserve_ordering=batching.preserve_ordering,
        priority_levels=batching.priority_levels,
        default_priority_level=batching.default_priority_level,
        default_queue_policy=None if default == QueuePolicy() else _queue_policy_message(default),
        priority_queue_policy={
            level: _queue_policy_message(policy) for level, policy in batching.priority_queue_policy.items()
        },
    )


def _ensemble_message(ensemble: EnsembleScheduling, rest: pb.ModelEnsembling) -> pb.ModelEnsembling:
    steps = [
        pb.ModelEnsembling.Step(
            model_name=step.model_name,
            model_version=step.model_version,
            input_map=step.input_map,
            output_map=step.output_map,
        )
        for step in ensemble.steps
    ]
    return pb.ModelEnsembling(
        step=_merged_by_place(steps, rest.step),
        max_inflight_requests=ensemble.max_inflight_requests,
    )


def _warmup_message(warmup: Warmup) -> pb.ModelWarmup:
    return pb.ModelWarmup(
        name=warmup.name,
        batch_size=warmup.batch_size,
        count=warmup.count,
        inputs={name: _warmup_input_message(each) for name, each in warmup.inputs.items()},
    )


def _warmup_input_message(tensor: WarmupInput) -> pb.ModelWarmup.Input:
    message = pb.ModelWarmup.Input(data_type=type_name(tensor.datatype), dims=tensor.dims)
    # One of three, so the others must not even be set to nothing.
    if tensor.zero_data:
        message.zero_data = True
    elif tensor.random_data:
        message.random_data = True
    elif tensor.input_data_file:
        message.input_data_file = tensor.input_data_file
    return message
