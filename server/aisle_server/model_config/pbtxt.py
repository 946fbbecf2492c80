"""config.pbtxt text, or the protocol's message, to ModelConfig. Nothing that the file said gets lost; the way back is in `message.py`.

What the server does not act upon is kept in `ModelConfig.carried`: a serialized message in which inputs and outputs stand under their
names, instance groups and ensemble steps at their places.

Source: Triton model configuration (`protos/model_config.proto`).
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Final, TypeAlias

from google.protobuf import text_format

from aisle_protocol.generated import model_config_pb2 as pb
from aisle_server.errors import InvalidArgumentError
from aisle_server.model_config.ragged import BatchInput, BatchInputKind, BatchOutput
from aisle_server.model_config.schema import (
    Dims,
    DynamicBatching,
    EnsembleScheduling,
    EnsembleStep,
    InstanceGroup,
    InstanceKind,
    ModelConfig,
    ModelInput,
    ModelOutput,
    QueuePolicy,
    TimeoutAction,
    VersionPolicy,
    Warmup,
    WarmupInput,
)
from aisle_server.model_config.sequence_message import sequence_batching_of

# The largest configurations seen in the wild are a few kB. The parser is plain Python: this many bytes cost it seconds.
MAX_CONFIG_BYTES: Final = 1 << 20
_LONGEST_ERROR_TEXT: Final = 400

_ACTED_UPON: Final = (
    "name", "platform", "backend", "version_policy", "max_batch_size", "dynamic_batching", "default_model_filename",
    "parameters", "metric_tags", "model_warmup", "response_cache", "model_transaction_policy", "batch_input", "batch_output",
)  # fmt: skip
_ACTED_UPON_IN_TENSORS: Final = (
    "data_type", "dims", "reshape", "optional", "allow_ragged_batch", "format", "label_filename",
)  # fmt: skip
_ACTED_UPON_IN_GROUPS: Final = ("name", "kind", "count", "gpus", "passive")
_ACTED_UPON_IN_STEPS: Final = ("model_name", "model_version", "input_map", "output_map")

_Message: TypeAlias = (
    Any  # of protobuf; its stubs do not say which fields a message has when they are named by a string
)


def parse_config(text: str) -> ModelConfig:
    """Read the text of a config.pbtxt.

    Args:
        text: Protobuf text format, at most MAX_CONFIG_BYTES.

    Returns:
        What the text says, neither completed nor validated: a tensor without a datatype has "", one without dims has ().

    Raises:
        InvalidArgumentError: Too long, not text format, or a field or value that model configurations do not have;
            the message names line and column.
    """
    # Characters first, since they are never more than bytes: a giant is refused before it is encoded.
    if len(text) > MAX_CONFIG_BYTES or len(text.encode(errors="replace")) > MAX_CONFIG_BYTES:
        raise InvalidArgumentError(f"model configuration is too long; expected at most {MAX_CONFIG_BYTES} bytes")
    try:
        message = text_format.Parse(text, pb.ModelConfig())
    except text_format.ParseError as error:
        raise InvalidArgumentError(_parse_error_text(error)) from None
    return from_message(message)


def from_message(message: pb.ModelConfig) -> ModelConfig:
    """Return the model configuration that a message of the protocol holds.

    Raises:
        InvalidArgumentError: An enum has a number that model configurations do not know.
    """
    choice = message.WhichOneof("scheduling_choice")
    return ModelConfig(
        name=message.name,
        platform=message.platform,
        backend=message.backend,
        version_policy=_version_policy(message),
        max_batch_size=message.max_batch_size,
        inputs=tuple(_input(each) for each in message.input),
        outputs=tuple(_output(each) for each in message.output),
        dynamic_batching=_dynamic_batching(message.dynamic_batching) if choice == "dynamic_batching" else None,
        ensemble_scheduling=_ensemble(message.ensemble_scheduling) if choice == "ensemble_scheduling" else None,
        sequence_batching=sequence_batching_of(message.sequence_batching) if choice == "sequence_batching" else None,
        instance_groups=tuple(_instance_group(each) for each in message.instance_group),
        default_model_filename=message.default_model_filename,
        parameters=MappingProxyType({key: value.string_value for key, value in sorted(message.parameters.items())}),
        metric_tags=MappingProxyType(dict(sorted(message.metric_tags.items()))),
        warmups=tuple(_warmup(each) for each in message.model_warmup),
        response_cache=message.response_cache.enable,
        decoupled=message.model_transaction_policy.decoupled,
        batch_inputs=tuple(_batch_input(each) for each in message.batch_input),
        batch_outputs=tuple(_batch_output(each) for each in message.batch_output),
        carried=_residue(message).SerializeToString(deterministic=True),
    )


def not_served(config: ModelConfig) -> str | None:
    """Return why a model cannot be served that asks for what only NVIDIA's build has, and would be another model without it.

    Args:
        config: Completed.
    """
    carried = pb.ModelConfig.FromString(config.carried)
    for agent in carried.model_repository_agents.agents:
        return f"unable to find 'libtritonrepoagent_{agent.name}.so' for repo agent '{agent.name}'"
    if any(each.is_shape_tensor for each in carried.input) or any(each.is_shape_tensor for each in carried.output):
        return f"shape tensors are only supported for TensorRT platform for {config.name}"
    for group, rest in zip(config.instance_groups, carried.instance_group, strict=False):
        if rest.profile:
            return (
                f"instance group {group.name} of model {config.name} and platform {config.platform} specifies profile field which"
                " is only supported for TensorRT models"
            )
    return None


def _datatype(number: int) -> str:
    name = _enum_name(pb.DataType, number)
    return {"TYPE_STRING": "BYTES", "TYPE_INVALID": ""}.get(name, name.removeprefix("TYPE_"))


def _enum_name(enum: Any, number: int) -> str:
    # Text format refuses unknown names; messages that came as bytes may hold any number.
    try:
        return str(enum.Name(number))
    except ValueError:
        raise InvalidArgumentError(
            f"model configuration holds {number} where a {enum.DESCRIPTOR.name} belongs"
        ) from None


def _parse_error_text(error: text_format.ParseError) -> str:
    # The parser's text begins with "line:column : ", and often quotes the whole line, which may be all of a file.
    line, column = error.GetLine(), error.GetColumn()
    text = str(error).removeprefix(f"{line}:{column} : ").encode(errors="backslashreplace").decode()
    if len(text) > _LONGEST_ERROR_TEXT:
        text = f"{text[: _LONGEST_ERROR_TEXT // 2]} ... {text[-_LONGEST_ERROR_TEXT // 2 :]}"
    place = "" if line is None else f", line {line}, column {column}"
    return f"model configuration cannot be read{place}: {text}"


def _reshape(message: pb.ModelInput | pb.ModelOutput) -> Dims | None:
    return tuple(message.reshape.shape) if message.HasField("reshape") else None


def _input(message: pb.ModelInput) -> ModelInput:
    return ModelInput(
        name=message.name,
        datatype=_datatype(message.data_type),
        dims=tuple(message.dims),
        reshape=_reshape(message),
        optional=message.optional,
        allow_ragged_batch=message.allow_ragged_batch,
        format=_enum_name(pb.ModelInput.Format, message.format),
    )


def _output(message: pb.ModelOutput) -> ModelOutput:
    return ModelOutput(
        name=message.name,
        datatype=_datatype(message.data_type),
        dims=tuple(message.dims),
        reshape=_reshape(message),
        label_filename=message.label_filename,
    )


def _batch_input(message: pb.BatchInput) -> BatchInput:
    kind = BatchInputKind[_enum_name(pb.BatchInput.Kind, message.kind)]
    return BatchInput(kind, tuple(message.target_name), _datatype(message.data_type), tuple(message.source_input))


def _batch_output(message: pb.BatchOutput) -> BatchOutput:
    _enum_name(pb.BatchOutput.Kind, message.kind)  # there is one kind; any other number is refused
    return BatchOutput(tuple(message.target_name), tuple(message.source_input))


def _version_policy(message: pb.ModelConfig) -> VersionPolicy:
    policy = message.version_policy
    match policy.WhichOneof("policy_choice"):
        case "latest":
            return VersionPolicy(latest=policy.latest.num_versions)
        case "all":
            return VersionPolicy(latest=None, all=True)
        case "specific":
            return VersionPolicy(latest=None, specific=tuple(policy.specific.versions))
        case _:
            return VersionPolicy()


def _instance_group(message: pb.ModelInstanceGroup) -> InstanceGroup:
    return InstanceGroup(
        name=message.name,
        kind=InstanceKind[_enum_name(pb.ModelInstanceGroup.Kind, message.kind)],
        count=message.count,
        gpus=tuple(message.gpus),
        passive=message.passive,
    )


def _queue_policy(message: pb.ModelQueuePolicy) -> QueuePolicy:
    return QueuePolicy(
        timeout_action=TimeoutAction[_enum_name(pb.ModelQueuePolicy.TimeoutAction, message.timeout_action)],
        default_timeout_microseconds=message.default_timeout_microseconds,
        allow_timeout_override=message.allow_timeout_override,
        max_queue_size=message.max_queue_size,
    )


def _dynamic_batching(message: pb.ModelDynamicBatching) -> DynamicBatching:
    policies = sorted(message.priority_queue_policy.items())
    return DynamicBatching(
        preferred_batch_size=tuple(message.preferred_batch_size),
        max_queue_delay_microseconds=message.max_queue_delay_microseconds,
        preserve_ordering=message.preserve_ordering,
        priority_levels=message.priority_levels,
        default_priority_level=message.default_priority_level,
        default_queue_policy=_queue_policy(message.default_queue_policy),
        priority_queue_policy=MappingProxyType({level: _queue_policy(policy) for level, policy in policies}),
    )


def _ensemble(message: pb.ModelEnsembling) -> EnsembleScheduling:
    return EnsembleScheduling(
        steps=tuple(
            EnsembleStep(
                model_name=step.model_name,
                model_version=step.model_version,
                input_map=MappingProxyType(dict(sorted(step.input_map.items()))),
                output_map=MappingProxyType(dict(sorted(step.output_map.items()))),
            )
            for step in message.step
        ),
        max_inflight_requests=message.max_inflight_requests,
    )


def _warmup(message: pb.ModelWarmup) -> Warmup:
    return Warmup(
        name=message.name,
        batch_size=message.batch_size,
        inputs=MappingProxyType(
            {
                name: WarmupInput(
                    datatype=_datatype(each.data_type),
                    dims=tuple(each.dims),
                    zero_data=each.zero_data,
                    random_data=each.random_data,
                    input_data_file=each.input_data_file,
                )
                for name, each in sorted(message.inputs.items())
            }
        ),
        count=message.count,
    )


def _residue(message: pb.ModelConfig) -> pb.ModelConfig:
    rest = pb.ModelConfig()
    rest.CopyFrom(message)
    _clear(rest, _ACTED_UPON)
    for field in ("input", "output"):
        tensors = [_cleared(each, _ACTED_UPON_IN_TENSORS) for each in getattr(message, field)]
        rest.ClearField(field)
        # A name alone says nothing that the schema does not say.
        getattr(rest, field).extend(each for each in tensors if len(each.ListFields()) > bool(each.name))
    groups = [_cleared(each, _ACTED_UPON_IN_GROUPS) for each in message.instance_group]
    rest.ClearField("instance_group")
    rest.instance_group.extend(_without_empty_tail(groups))
    steps = [_cleared(each, _ACTED_UPON_IN_STEPS) for each in message.ensemble_scheduling.step]
    rest.ClearField("ensemble_scheduling")
    if kept := _without_empty_tail(steps):
        rest.ensemble_scheduling.step.extend(kept)
    states = list(message.sequence_batching.state)
    rest.ClearField("sequence_batching")
    if states:
        rest.sequence_batching.state.extend(states)
    return rest


def _clear(message: _Message, fields: tuple[str, ...]) -> None:
    for field in fields:
        if field in message.DESCRIPTOR.fields_by_name:
            message.ClearField(field)


def _cleared(message: _Message, fields: tuple[str, ...]) -> _Message:
    copy = type(message)()
    copy.CopyFrom(message)
    _clear(copy, fields)
    return copy


def _without_empty_tail(messages: list[_Message]) -> list[_Message]:
    end = max((index + 1 for index, each in enumerate(messages) if each.ByteSize()), default=0)
    return messages[:end]
