"""Reading config.pbtxt, and writing it back as a message."""

from __future__ import annotations

import pytest
from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st

from aisle_protocol.generated import model_config_pb2 as pb
from aisle_server.errors import InvalidArgumentError
from aisle_server.model_config.message import to_message, type_name
from aisle_server.model_config.pbtxt import MAX_CONFIG_BYTES, from_message, parse_config
from aisle_server.model_config.ragged import BatchInput, BatchInputKind
from aisle_server.model_config.schema import (
    DynamicBatching,
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
from aisle_server.model_config.sequence import (
    DirectStrategy,
    InitialState,
    OldestStrategy,
    SequenceBatching,
    SequenceControlInput,
    SequenceState,
)

EVERYTHING = """
name: "shoes" platform: "onnxruntime_onnx" backend: "onnxruntime" runtime: "libfast.so" max_batch_size: 8
version_policy { specific { versions: [1, 3] } }
input [
  { name: "IMAGE" data_type: TYPE_STRING dims: [1] optional: true is_shape_tensor: true },
  { name: "TOKENS" data_type: TYPE_INT32 dims: [-1, 4] reshape { shape: [] } allow_ragged_batch: true format: FORMAT_NHWC }
]
output { name: "CATEGORY" data_type: TYPE_FP32 dims: 3 reshape { shape: [3, 1] }
         label_filename: "labels.txt" is_non_linear_format_io: true }
batch_input { kind: BATCH_ITEM_SHAPE target_name: "SHAPE" data_type: TYPE_FP32 source_input: "TOKENS" }
batch_output { kind: BATCH_SCATTER_WITH_INPUT_SHAPE target_name: "CATEGORY" source_input: "TOKENS" }
optimization { graph { level: 1 } priority: PRIORITY_MAX input_pinned_memory { enable: true } }
dynamic_batching {
  preferred_batch_size: [2, 8] max_queue_delay_microseconds: 500 preserve_ordering: true priority_levels: 2 default_priority_level: 1
  default_queue_policy { max_queue_size: 7 }
  priority_queue_policy { key: 2 value { timeout_action: DELAY default_timeout_microseconds: 9 allow_timeout_override: true } }
}
instance_group [
  { count: 2 },
  { name: "second" kind: KIND_GPU gpus: [0, 1] count: 1 passive: true profile: "fast" host_policy: "node_0" rate_limiter { priority: 4 } }
]
default_model_filename: "net.onnx"
cc_model_filenames { key: "8.6" value: "other.onnx" }
parameters { key: "threshold" value { string_value: "0.5" } }
metric_tags { key: "team" value: "search" }
model_warmup { name: "zeros" batch_size: 2 count: 3 inputs { key: "TOKENS" value { data_type: TYPE_INT32 dims: [4, 4] zero_data: true } } }
model_warmup { name: "some" batch_size: 1 inputs { key: "TOKENS" value { data_type: TYPE_INT32 dims: [4, 4] random_data: true } } }
model_warmup { name: "file" batch_size: 1 inputs { key: "IMAGE" value { data_type: TYPE_STRING dims: 1 input_data_file: "a.raw" } } }
model_operations { op_library_filename: "ops.so" }
model_transaction_policy { decoupled: true }
model_repository_agents { agents { name: "checksum" parameters { key: "a" value: "b" } } }
response_cache { enable: true }
model_metrics { metric_control { metric_identifier { family: "f" } histogram_options { buckets: [1, 2.5] } } }
"""

ENSEMBLE = """
platform: "ensemble"
ensemble_scheduling {
  max_inflight_requests: 5
  step { model_name: "a" model_version: -1 input_map { key: "IN" value: "X" } output_map { key: "OUT" value: "t" } }
  step { model_name: "b" model_version: 2 input_map { key: "IN" value: "t" } output_map { key: "OUT" value: "Y" } model_namespace: "other" }
}
"""

SEQUENCES = """
sequence_batching {
  max_sequence_idle_microseconds: 5
  oldest { max_candidate_sequences: 4 preferred_batch_size: [2, 4] max_queue_delay_microseconds: 7 preserve_ordering: true }
  control_input { name: "START" control { kind: CONTROL_SEQUENCE_START int32_false_true: [0, 1] } }
  control_input { name: "READY" control { kind: CONTROL_SEQUENCE_READY fp32_false_true: [-1, 1] } }
  control_input { name: "END" control { kind: CONTROL_SEQUENCE_END bool_false_true: [false, true] } }
  control_input { name: "CORRID" control { kind: CONTROL_SEQUENCE_CORRID data_type: TYPE_STRING } }
  state { input_name: "S" output_name: "T" data_type: TYPE_FP32 dims: [2] initial_state { name: "zero" zero_data: true } }
  iterative_sequence: true
}
"""

DIRECT = (
    "sequence_batching { direct { max_queue_delay_microseconds: 7 minimum_slot_utilization: 0.5 } control_input {} }"
)


def test_every_field_that_the_server_acts_upon_is_read() -> None:
    """What config.pbtxt says arrives in the schema, field by field."""
    config = parse_config(EVERYTHING)
    assert config == ModelConfig(
        name="shoes",
        platform="onnxruntime_onnx",
        backend="onnxruntime",
        version_policy=VersionPolicy(latest=None, specific=(1, 3)),
        max_batch_size=8,
        inputs=(
            ModelInput("IMAGE", "BYTES", (1,), optional=True),
            ModelInput("TOKENS", "INT32", (-1, 4), reshape=(), allow_ragged_batch=True, format="FORMAT_NHWC"),
        ),
        outputs=(ModelOutput("CATEGORY", "FP32", (3,), reshape=(3, 1), label_filename="labels.txt"),),
        dynamic_batching=DynamicBatching(
            preferred_batch_size=(2, 8),
            max_queue_delay_microseconds=500,
            preserve_ordering=True,
            priority_levels=2,
            default_priority_level=1,
            default_queue_policy=QueuePolicy(max_queue_size=7),
            priority_queue_policy={2: QueuePolicy(TimeoutAction.DELAY, 9, True)},
        ),
        instance_groups=(
            InstanceGroup(count=2),
            InstanceGroup("second", InstanceKind.KIND_GPU, 1, (0, 1), passive=True),
        ),
        default_model_filename="net.onnx",
        parameters={"threshold": "0.5"},
        metric_tags={"team": "search"},
        warmups=(
            Warmup("zeros", 2, {"TOKENS": WarmupInput("INT32", (4, 4), zero_data=True)}, 3),
            Warmup("some", 1, {"TOKENS": WarmupInput("INT32", (4, 4), random_data=True)}),
            Warmup("file", 1, {"IMAGE": WarmupInput("BYTES", (1,), input_data_file="a.raw")}),
        ),
        response_cache=True,
        decoupled=True,
        batch_inputs=(BatchInput(BatchInputKind.BATCH_ITEM_SHAPE, ("SHAPE",), "FP32", ("TOKENS",)),),
        batch_outputs=config.batch_outputs,
        carried=config.carried,
    )


def test_the_graph_of_an_ensemble_is_read() -> None:
    """Each step of an ensemble arrives with its maps, in the order of the file."""
    scheduling = parse_config(ENSEMBLE).ensemble_scheduling
    assert scheduling is not None
    assert scheduling.max_inflight_requests == 5
    assert scheduling.steps == (
        EnsembleStep("a", -1, {"IN": "X"}, {"OUT": "t"}),
        EnsembleStep("b", 2, {"IN": "t"}, {"OUT": "Y"}),
    )


def test_a_sequence_batcher_is_read() -> None:
    """Strategy, patience and control tensors arrive in the schema."""
    config = parse_config(DIRECT)
    assert config.sequence_batching == SequenceBatching(
        DirectStrategy(7, 0.5), control_inputs=(SequenceControlInput(""),)
    )
    batching = parse_config(SEQUENCES).sequence_batching
    assert batching is not None
    assert batching.strategy == OldestStrategy(4, (2, 4), 7, True)
    assert [each.control.tensor_datatype for each in batching.control_inputs] == ["INT32", "FP32", "BOOL", "BYTES"]
    assert (batching.max_sequence_idle_microseconds, batching.states, batching.iterative) == (
        5,
        (SequenceState("S", "T", "FP32", (2,), (InitialState("zero", "", ()),)),),
        True,
    )


@pytest.mark.parametrize("text", [EVERYTHING, ENSEMBLE, SEQUENCES, DIRECT, "sequence_batching {}", ""])
def test_a_configuration_is_echoed_whole(text: str) -> None:
    """The message that goes out says what the file said, fields that Aisle does not act upon included."""
    message = to_message(parse_config(text))
    expected = text_format.Parse(text, pb.ModelConfig())
    if not expected.HasField("version_policy"):
        expected.version_policy.latest.num_versions = 1
    assert message == expected


@pytest.mark.parametrize("policy", ["latest { num_versions: 3 }", "all { }", "specific { versions: [2] }"])
def test_every_version_policy_survives_the_way_there_and_back(policy: str) -> None:
    """Each of the three version policies is read and written as itself."""
    config = parse_config(f"version_policy {{ {policy} }}")
    assert from_message(to_message(config)) == config
    assert to_message(config).version_policy == text_format.Parse(policy, pb.ModelVersionPolicy())


@pytest.mark.parametrize("number", pb.DataType.values())
def test_every_datatype_survives_the_way_there_and_back(number: int) -> None:
    """Each datatype of model configurations has a name in the protocol, and finds its way back."""
    message = pb.ModelConfig(input=[pb.ModelInput(name="x", data_type=pb.DataType.Name(number))])
    (tensor,) = from_message(message).inputs
    assert type_name(tensor.datatype) == pb.DataType.Name(number)
    assert to_message(from_message(message)).input[0].data_type == number


def test_strings_of_configurations_are_bytes_of_the_protocol() -> None:
    """TYPE_STRING is BYTES to callers, and a tensor without a datatype has none."""
    config = parse_config('input { name: "a" data_type: TYPE_STRING } input { name: "b" }')
    assert [tensor.datatype for tensor in config.inputs] == ["BYTES", ""]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('name: "m"\nbatch_size: 3', ["line 2", "batch_size"]),
        ("input {\n  data_type: TYPE_FLOAT\n}", ["line 2", "data_type", "TYPE_FLOAT"]),
        ("instance_group { kind: KIND_TPU }", ["line 1", "KIND_TPU"]),
        ("input { dims: [ 1, \n x ] }", ["line 2", "x"]),
        ("max_batch_size: 99999999999", ["line 1", "99999999999"]),
        ("max_batch_size: 1\nmax_batch_size: 2", ["line 2", "max_batch_size"]),
        ("input {", ["line 1"]),
        ("sequence_batching {} dynamic_batching {}", ["scheduling_choice"]),
        ('parameters { key: "a" value { string_value: "\\xff" } }', ["line 1"]),
        ("\x00", ["line 1"]),
        ("{" * 100_000, ["line 1"]),
    ],
)
def test_what_is_no_configuration_is_refused_with_its_place(text: str, words: list[str]) -> None:
    """Unknown fields, unknown values and broken text are errors that say where."""
    with pytest.raises(InvalidArgumentError) as caught:
        parse_config(text)
    assert all(word in caught.value.message for word in words), caught.value.message
    assert len(caught.value.message) < 600


@pytest.mark.parametrize("text", ["#" * (MAX_CONFIG_BYTES + 1), "#" + "ä" * (MAX_CONFIG_BYTES // 2)])
def test_a_giant_configuration_is_refused_before_it_is_parsed(text: str) -> None:
    """A text over the limit in bytes is refused."""
    with pytest.raises(InvalidArgumentError, match="too long"):
        parse_config(text)


def test_a_message_with_an_unknown_enum_number_is_refused() -> None:
    """A message from elsewhere may hold any enum number; one that means nothing is an error, not a crash."""
    message = pb.ModelConfig.FromString(b"\x3a\x02\x20\x63")  # instance_group { kind: 99 }
    with pytest.raises(InvalidArgumentError, match="99 where a Kind belongs"):
        from_message(message)


@given(st.text() | st.text("{}[]:\"'\\ \n<>,;#-.0123456789einputdmsABC_\ud800\xff\x00"))
def test_no_text_makes_the_parser_fall_over(text: str) -> None:
    """Whatever the text, the answer is a configuration or an InvalidArgumentError."""
    try:
        config = parse_config(text)
    except InvalidArgumentError:
        return
    assert from_message(to_message(config)) == config
