"""A model configuration as the server reads it: frozen, validated once, trusted from there on.

Field names and defaults are Triton's. What Aisle accepts and echoes without acting on it (optimization hints, agents, ...) travels in
`ModelConfig.carried`, so that the ModelConfig RPC gives back all that the file said.

Source: Triton model configuration (`protos/model_config.proto`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Any, TypeAlias

from aisle_server.model_config.ragged import BatchInput, BatchOutput
from aisle_server.model_config.sequence import SequenceBatching, SequenceState

Dims: TypeAlias = tuple[int, ...]

ENSEMBLE_PLATFORM = "ensemble"


def _empty() -> Mapping[Any, Any]:
    return MappingProxyType({})


class InstanceKind(Enum):
    """Where the instances of a group execute."""

    KIND_AUTO = 0
    KIND_GPU = 1
    KIND_CPU = 2
    KIND_MODEL = 3


class TimeoutAction(Enum):
    """What becomes of a request that has waited too long."""

    REJECT = 0
    DELAY = 1


@dataclass(frozen=True, slots=True)
class ModelInput:
    """A tensor that callers send.

    Attributes:
        name: Unique among the inputs.
        datatype: Name in the protocol, such as `FP32`.
        dims: Without the batch dimension when the model batches; -1 is any size.
        reshape: The shape that the backend sees instead of `dims`; None for the same.
        optional: A request may leave it out.
        allow_ragged_batch: Requests of one batch may differ in their variable dimensions.
        format: `FORMAT_NONE`, `FORMAT_NHWC` or `FORMAT_NCHW`; echoed.
    """

    name: str
    datatype: str
    dims: Dims
    reshape: Dims | None = None
    optional: bool = False
    allow_ragged_batch: bool = False
    format: str = "FORMAT_NONE"


@dataclass(frozen=True, slots=True)
class ModelOutput:
    """A tensor that callers receive.

    Attributes:
        name: Unique among the outputs.
        datatype: Name in the protocol.
        dims: Without the batch dimension when the model batches; -1 is any size.
        reshape: The shape that the backend gives instead of `dims`; None for the same.
        label_filename: Names of the classes, one a line, relative to the model directory; empty for none.
    """

    name: str
    datatype: str
    dims: Dims
    reshape: Dims | None = None
    label_filename: str = ""


@dataclass(frozen=True, slots=True)
class VersionPolicy:
    """Which versions are served: exactly one of the three is set.

    Attributes:
        latest: So many of the highest version numbers.
        all: Every version there is.
        specific: These versions.
    """

    latest: int | None = 1
    all: bool = False
    specific: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class InstanceGroup:
    """So many instances of a model, on each device.

    Attributes:
        name: `<model>` or `<model>_<index of the group>` when the file gives none.
        kind: Where they execute.
        count: Instances on each device; 0 until autocomplete has chosen.
        gpus: Devices of KIND_GPU; empty for all.
        passive: The group takes no work.
    """

    name: str = ""
    kind: InstanceKind = InstanceKind.KIND_AUTO
    count: int = 0
    gpus: tuple[int, ...] = ()
    passive: bool = False


@dataclass(frozen=True, slots=True)
class QueuePolicy:
    """Bounds on a queue.

    Attributes:
        timeout_action: What becomes of a request that has waited too long.
        default_timeout_microseconds: How long that is; 0 for ever.
        allow_timeout_override: A request may ask for a shorter timeout.
        max_queue_size: Requests that may wait; 0 for no bound.
    """

    timeout_action: TimeoutAction = TimeoutAction.REJECT
    default_timeout_microseconds: int = 0
    allow_timeout_override: bool = False
    max_queue_size: int = 0


@dataclass(frozen=True, slots=True)
class DynamicBatching:
    """Combine requests of different callers into one execution.

    Attributes:
        preferred_batch_size: Sizes to stop at, ascending; `(max_batch_size,)` when the file gives none.
        max_queue_delay_microseconds: How long the oldest request may wait for company.
        preserve_ordering: Answer in the order in which requests were taken into batches.
        priority_levels: Levels 1 (first) to this one; 0 for no levels.
        default_priority_level: Of a request that names none, or one that does not exist.
        default_queue_policy: Of every level that has no policy of its own.
        priority_queue_policy: By level.
    """

    preferred_batch_size: tuple[int, ...] = ()
    max_queue_delay_microseconds: int = 0
    preserve_ordering: bool = False
    priority_levels: int = 0
    default_priority_level: int = 0
    default_queue_policy: QueuePolicy = QueuePolicy()
    priority_queue_policy: Mapping[int, QueuePolicy] = field(default_factory=_empty)

    def policy_of(self, level: int) -> QueuePolicy:
        """Return the queue policy of a priority level."""
        return self.priority_queue_policy.get(level, self.default_queue_policy)

    @property
    def has_queue_policy(self) -> bool:
        """Whether any level, timeout or bound is set. Then batches are formed only when an instance waits for work."""
        policies = (self.default_queue_policy, *self.priority_queue_policy.values())
        return self.priority_levels > 0 or any(policy != QueuePolicy() for policy in policies)


@dataclass(frozen=True, slots=True)
class EnsembleStep:
    """One model of an ensemble.

    Attributes:
        model_name: The composing model.
        model_version: Its version; -1 for the latest.
        input_map: Input of the model -> tensor of the ensemble.
        output_map: Output of the model -> tensor of the ensemble.
    """

    model_name: str
    model_version: int
    input_map: Mapping[str, str]
    output_map: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class EnsembleScheduling:
    """A graph of models.

    Attributes:
        steps: In the order of the file; the data decides the order of execution.
        max_inflight_requests: Requests that a step may have under way; 0 for no bound.
    """

    steps: tuple[EnsembleStep, ...]
    max_inflight_requests: int = 0


@dataclass(frozen=True, slots=True)
class WarmupInput:
    """What a warm-up request sends; exactly one of the last three is set.

    Attributes:
        datatype: Name in the protocol.
        dims: Without the batch dimension; none is -1.
        zero_data: Zeros; empty elements for BYTES.
        random_data: Random values.
        input_data_file: A file of raw contents in the folder `warmup` of the model directory.
    """

    datatype: str
    dims: Dims
    zero_data: bool = False
    random_data: bool = False
    input_data_file: str = ""


@dataclass(frozen=True, slots=True)
class Warmup:
    """A request that every instance runs before the model is ready.

    Attributes:
        name: For messages.
        batch_size: Rows.
        inputs: By name.
        count: How often; 0 counts as 1.
    """

    name: str
    batch_size: int
    inputs: Mapping[str, WarmupInput]
    count: int = 0


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """All of a config.pbtxt that the server acts upon.

    Attributes:
        name: The model's; equal to its directory.
        platform: `onnxruntime_onnx`, `tensorflow_savedmodel`, `ensemble` or empty.
        backend: `onnxruntime`, `tensorflow`, `python`, `identity`; empty for an ensemble.
        version_policy: Which versions are served.
        max_batch_size: Rows of one execution; 0 when the model has no batch dimension.
        inputs: In the order of the file.
        outputs: In the order of the file.
        dynamic_batching: None for none.
        ensemble_scheduling: None unless this is an ensemble.
        sequence_batching: None for none.
        instance_groups: One or more, but for an ensemble.
        default_model_filename: The backend's own name for it when empty.
        parameters: For the backend and the model.
        metric_tags: Labels that are added to the model's metrics.
        warmups: Run before the model is ready.
        response_cache: Equal requests may be answered from memory.
        decoupled: One request may have any number of responses.
        batch_inputs: What the model is told of a batch whose requests differ in shape.
        batch_outputs: Outputs that are shared out by the shapes of an input.
        carried: A serialized ModelConfig message with the fields that are echoed and not acted upon.
    """

    name: str
    platform: str = ""
    backend: str = ""
    version_policy: VersionPolicy = VersionPolicy()
    max_batch_size: int = 0
    inputs: tuple[ModelInput, ...] = ()
    outputs: tuple[ModelOutput, ...] = ()
    dynamic_batching: DynamicBatching | None = None
    ensemble_scheduling: EnsembleScheduling | None = None
    sequence_batching: SequenceBatching | None = None
    instance_groups: tuple[InstanceGroup, ...] = ()
    default_model_filename: str = ""
    parameters: Mapping[str, str] = field(default_factory=_empty)
    metric_tags: Mapping[str, str] = field(default_factory=_empty)
    warmups: tuple[Warmup, ...] = ()
    response_cache: bool = False
    decoupled: bool = False
    batch_inputs: tuple[BatchInput, ...] = ()
    batch_outputs: tuple[BatchOutput, ...] = ()
    carried: bytes = field(default=b"", repr=False)

    @property
    def is_batching(self) -> bool:
        """Whether tensors have a batch dimension in front."""
        return self.max_batch_size > 0

    @property
    def is_ensemble(self) -> bool:
        """Whether other models do the work."""
        return self.platform == ENSEMBLE_PLATFORM

    @property
    def states(self) -> tuple[SequenceState, ...]:
        """What the server carries from one request of a sequence to the next."""
        return () if self.sequence_batching is None else self.sequence_batching.states

    @property
    def network_outputs(self) -> tuple[tuple[str, str], ...]:
        """Name and datatype of each output that a network is asked for: those that callers see, then implicit state."""
        seen = [(each.name, each.datatype) for each in self.outputs]
        states = [(each.output_name, each.datatype) for each in self.states]
        return tuple(dict.fromkeys((*seen, *states)))

    @property
    def flattened_inputs(self) -> frozenset[str]:
        """Inputs that a network gets as one dimension, the elements of all requests of a batch."""
        return frozenset(each.name for each in self.inputs if each.allow_ragged_batch and self.batch_inputs)

    @property
    def flattened_outputs(self) -> frozenset[str]:
        """Outputs that a network gives as one dimension."""
        return frozenset(name for each in self.batch_outputs for name in each.target_names)

    def input(self, name: str) -> ModelInput | None:
        """Return an input by name, None when there is none."""
        return next((tensor for tensor in self.inputs if tensor.name == name), None)

    def output(self, name: str) -> ModelOutput | None:
        """Return an output by name, None when there is none."""
        return next((tensor for tensor in self.outputs if tensor.name == name), None)
