"""What makes a model configuration wrong, and the words for it."""

from __future__ import annotations

import re

import pytest

from aisle_server.errors import InvalidArgumentError, UnsupportedError
from aisle_server.model_config.autocomplete import complete_from_files
from aisle_server.model_config.pbtxt import parse_config
from aisle_server.model_config.schema import ModelConfig
from aisle_server.model_config.validation import validate_config, validate_tensors

TENSORS = 'input { name: "x" data_type: TYPE_FP32 dims: 3 } output { name: "y" data_type: TYPE_FP32 dims: 3 }'


def completed(text: str, available_gpus: tuple[int, ...] = ()) -> ModelConfig:
    """A configuration as the repository completes it."""
    return complete_from_files(parse_config(text), "m", {}, available_gpus=available_gpus)


@pytest.mark.parametrize(
    "text",
    [
        'backend: "python"',
        'platform: "onnxruntime_onnx" max_batch_size: 8',
        'platform: "of_our_own" backend: "identity"',
        'backend: "identity" max_batch_size: 8 dynamic_batching { }',
        'backend: "identity" max_batch_size: 8 dynamic_batching { preferred_batch_size: [2, 8] preserve_ordering: true }',
        'backend: "identity" dynamic_batching { priority_levels: 3 default_priority_level: 3 priority_queue_policy { key: 1 value {} } }',
        'backend: "identity" instance_group { count: 3 kind: KIND_CPU }',
        'backend: "identity" default_model_filename: "sub/model.bin"',
        'backend: "identity" max_batch_size: 2 model_warmup { name: "w" batch_size: 2'
        ' inputs { key: "x" value { data_type: TYPE_FP32 dims: 3 zero_data: true } } }',
    ],
)
def test_a_sound_configuration_passes(text: str) -> None:
    """A configuration that contradicts nothing is accepted."""
    config = completed(f"{text} {TENSORS}")
    validate_config(config)
    validate_tensors(config)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('backend: "identity" max_batch_size: -1', "'max_batch_size' must be non-negative value for m"),
        ('platform: "tensorflo"', "unexpected platform type 'tensorflo' for m"),
        (
            'platform: "onnxruntime_onnx" backend: "python"',
            "unexpected 'platform' and 'backend' pair, got:onnxruntime_onnx, python",
        ),
        (
            'platform: "of_our_own" backend: "python"',
            "unexpected 'platform' and 'backend' pair, got:of_our_own, python",
        ),
        ('default_model_filename: "weights.bin"', "must specify 'platform' or 'backend' for 'm'"),
        (
            'backend: "identity" max_batch_size: 4 dynamic_batching { preferred_batch_size: 0 }',
            "dynamic batching preferred size must be positive for m",
        ),
        (
            'backend: "identity" max_batch_size: 4 dynamic_batching { preferred_batch_size: 5 }',
            "dynamic batching preferred size must be <= max batch size for m",
        ),
        (
            'backend: "identity" dynamic_batching { priority_levels: 3 }',
            "default priority level must be in range [1, 3] for m",
        ),
        (
            'backend: "identity" dynamic_batching { priority_levels: 3 default_priority_level: 4 }',
            "default priority level must be in range [1, 3] for m",
        ),
        (
            'backend: "identity" dynamic_batching { priority_levels: 2 default_priority_level: 1'
            " priority_queue_policy { key: 3 value {} } }",
            "priority queue policy must have priority level in range [1, 2] for m",
        ),
        (
            'backend: "identity" dynamic_batching { preserve_ordering: true priority_levels: 2 default_priority_level: 1 }',
            "Only one priority level is allowed when 'preserve_ordering' is true for m",
        ),
        (
            'backend: "identity" dynamic_batching { preserve_ordering: true'
            " default_queue_policy { timeout_action: DELAY default_timeout_microseconds: 1 } }",
            "Queue policy can not have DELAY as timeout action when 'preserve_ordering' is true for m",
        ),
        (
            'backend: "identity" dynamic_batching { preserve_ordering: true priority_levels: 1 default_priority_level: 1'
            " priority_queue_policy { key: 1 value { timeout_action: DELAY default_timeout_microseconds: 1 } } }",
            "Queue policy can not have DELAY as timeout action when 'preserve_ordering' is true for m",
        ),
        (
            'backend: "identity" instance_group { kind: KIND_CPU gpus: 0 }',
            "instance group m_0 of model m has kind KIND_CPU but specifies one or more GPUs",
        ),
        (
            'backend: "identity" instance_group { kind: KIND_GPU }',
            "instance group m_0 of model m has kind KIND_GPU but no GPUs are available",
        ),
        (
            'backend: "identity" instance_group { count: -2 }',
            "instance group m_0 of model m must have a positive count, got -2",
        ),
        ('platform: "ensemble"', "ensemble scheduling must be set for ensemble m whose platform is ensemble"),
        (
            'platform: "ensemble" backend: "python"',
            "Ensemble model 'm' must have platform type 'ensemble' and empty backend type",
        ),
        (
            'backend: "identity" ensemble_scheduling { step { model_name: "a" } }',
            "ensemble scheduling cannot be set for model 'm' whose platform is not ensemble",
        ),
        (
            'backend: "identity" default_model_filename: "../other/model.onnx"',
            "'default_model_filename' of m is '../other/model.onnx'; expected a file in the version directory",
        ),
        (
            'backend: "identity" default_model_filename: "/etc/passwd"',
            "'default_model_filename' of m is '/etc/passwd'; expected a file in the version directory",
        ),
        (
            "backend: \"identity\" default_model_filename: 'C:\\\\model.onnx'",
            "'default_model_filename' of m is 'C:\\model.onnx'; expected a file in the version directory",
        ),
        (
            'backend: "identity" max_batch_size: 2 model_warmup { name: "w" batch_size: 3 }',
            "warmup sample 'w' of m has batch_size 3; expected at most 2",
        ),
        (
            'backend: "identity" model_warmup { name: "w" batch_size: 1'
            ' inputs { key: "x" value { data_type: TYPE_FP32 dims: -1 zero_data: true } } }',
            "warmup setting expects all variable-size dimensions are specified for input 'x', got [-1] in warmup sample 'w' of m",
        ),
        (
            'backend: "identity" instance_group { kind: KIND_CPU } instance_group { kind: KIND_CPU profile: "0" }',
            "instance group m_1 of model m and platform  specifies profile field which is only supported for TensorRT models",
        ),
        (
            'backend: "identity" model_repository_agents { agents { name: "checksum" } }',
            "unable to find 'libtritonrepoagent_checksum.so' for repo agent 'checksum'",
        ),
        (
            'backend: "identity" output { name: "y" is_shape_tensor: true }',
            "shape tensors are only supported for TensorRT platform for m",
        ),
        (
            'backend: "identity" model_warmup { name: "w" batch_size: 1 inputs { key: "x" value { dims: 1 zero_data: true } } }',
            "warmup sample 'w' of m must specify 'data_type' of input 'x'",
        ),
        (
            'backend: "identity" model_warmup { name: "w" batch_size: 1'
            ' inputs { key: "x" value { data_type: TYPE_FP32 dims: 1 } } }',
            "warmup sample 'w' of m says of input 'x' neither zero_data, random_data nor a file",
        ),
    ],
)
def test_a_contradiction_is_refused_in_these_words(text: str, message: str) -> None:
    """Each way to be wrong has its text, which names the model."""
    with pytest.raises(InvalidArgumentError) as caught:
        validate_config(completed(text))
    assert caught.value.message == message


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        (
            "state { input_name: 'S' output_name: 'T' data_type: TYPE_FP32 dims: 2 }",
            "asks for implicit state ('state'), which is not supported for backend 'identity'",
        ),
        ("iterative_sequence: true", "asks for 'iterative_sequence', which is not supported"),
    ],
)
def test_what_the_sequence_batcher_does_not_offer_is_refused(fields: str, text: str) -> None:
    """A model that asks for what the sequence batcher does not do does not load and then misbehave: it does not load."""
    with pytest.raises(UnsupportedError, match=f"'sequence_batching' of m {re.escape(text)}"):
        validate_config(completed(f'backend: "identity" sequence_batching {{ {fields} }}'))


def test_sequences_of_a_decoupled_model_are_refused() -> None:
    """A model cannot both keep sequences in order and answer any number of times."""
    text = "'sequence_batching' of a decoupled model is not supported; 'm' asks for it"
    with pytest.raises(UnsupportedError, match=text):
        validate_config(
            completed('backend: "identity" sequence_batching {} model_transaction_policy { decoupled: true }')
        )


STATE = "state { input_name: 'S' output_name: 'T' data_type: TYPE_FP32 dims: 2 }"


def _with_initial(*initials: str) -> str:
    return STATE.replace("dims: 2", f"dims: 2 {' '.join(f'initial_state {{ {each} }}' for each in initials)}")


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        (
            "state { input_name: 'S' }",
            "sequence batching state must have 'input_name', 'output_name', 'data_type' and 'dims' for m",
        ),
        (
            STATE.replace("dims: 2", "dims: 0"),
            "dims of sequence batching state 'S' must be 1 or more, or -1 for m, got [0]",
        ),
        (f"{STATE} {STATE}", "sequence batching states must have different 'input_name's for m"),
        (
            _with_initial("name: 'a'", "name: 'b'"),
            "initial_state field for state input 'S' must contain exactly one or zero element. Found '2' elements.",
        ),
        (_with_initial("dims: 2"), "Field 'name' must be set when using initial_state for state input 'S'."),
        (
            _with_initial("name: 'a' data_type: TYPE_INT32"),
            "The data type used for 'initial_state' field of state 'S' does not match the state data type.",
        ),
        (
            _with_initial("name: 'a' data_type: TYPE_FP32 dims: 3"),
            "'initial_state' of state 'S' of m has dims [3]; expected every one, of [2]",
        ),
    ],
)
def test_implicit_state_that_makes_no_sense_is_refused(fields: str, text: str) -> None:
    """States are checked when the model loads; the text says what is wrong."""
    with pytest.raises((InvalidArgumentError, UnsupportedError), match=f"^{re.escape(text)}$"):
        validate_config(completed(f'platform: "onnxruntime_onnx" sequence_batching {{ {fields} }}'))


START = "kind: CONTROL_SEQUENCE_START"
CORRID = "kind: CONTROL_SEQUENCE_CORRID"


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ("oldest { preferred_batch_size: 0 }", "sequence batching preferred batch size must be positive for m"),
        (
            "oldest { preferred_batch_size: 9 }",
            "sequence batching preferred batch size must be <= max batch size for m",
        ),
        ("oldest { max_candidate_sequences: -1 }", "'max_candidate_sequences' of m is -1; expected 0 or more"),
        (
            "direct { minimum_slot_utilization: 1.5 }",
            "sequence batching minimum slot utilization must be in range (0.0, 1.0] for m",
        ),
        ("control_input {}", "sequence batching control tensor must have a name for m"),
        ("control_input { name: 'A' }", "sequence batching control tensor 'A' has no 'control' for m"),
        (
            f"control_input {{ name: 'A' control {{ {START} }} control {{ {CORRID} }} }}",
            "sequence batching control tensor 'A' is specified for multiple control kinds for m",
        ),
        (
            f"control_input {{ name: 'A' control {{ {CORRID} data_type: TYPE_UINT64 }} }}"
            f" control_input {{ name: 'B' control {{ {CORRID} data_type: TYPE_UINT64 }} }}",
            "sequence batching specifies multiple CONTROL_SEQUENCE_CORRID tensors for m",
        ),
        (
            f"control_input {{ name: 'A' control {{ {START} }} }}",
            "sequence batching must specify one of 'int32_false_true', 'fp32_false_true' and 'bool_false_true' for"
            " CONTROL_SEQUENCE_START for m, got none",
        ),
        (
            f"control_input {{ name: 'A' control {{ {START} int32_false_true: [0] }} }}",
            "sequence batching control 'int32_false_true' must have exactly 2 entries for CONTROL_SEQUENCE_START for m",
        ),
        (
            f"control_input {{ name: 'A' control {{ {START} int32_false_true: [0, 1] data_type: TYPE_FP16 }} }}",
            "sequence batching must not specify 'data_type' for CONTROL_SEQUENCE_START for m",
        ),
        (
            f"control_input {{ name: 'A' control {{ {CORRID} data_type: TYPE_FP32 }} }}",
            "unexpected data type for control CONTROL_SEQUENCE_CORRID for m. Allowed data types are TYPE_UINT64, TYPE_INT64,"
            " TYPE_UINT32, TYPE_INT32 and TYPE_STRING",
        ),
        (
            f"control_input {{ name: 'A' control {{ {CORRID} bool_false_true: [false, true] }} }}",
            "sequence batching must not specify 'bool_false_true' for CONTROL_SEQUENCE_CORRID for m",
        ),
    ],
)
def test_a_sequence_batcher_that_makes_no_sense_is_refused(fields: str, text: str) -> None:
    """Sizes, shares and control tensors are checked when the model loads; the text says what is wrong."""
    with pytest.raises(InvalidArgumentError, match=f"^{re.escape(text)}$"):
        validate_config(completed(f'backend: "identity" max_batch_size: 8 sequence_batching {{ {fields} }}'))


@pytest.mark.parametrize(
    ("group", "message"),
    [
        ("kind: KIND_GPU", ""),
        ("kind: KIND_GPU gpus: [1, 0]", ""),
        ("", ""),
        ("kind: KIND_GPU gpus: 2", "specifies invalid or unsupported gpu id 2. Available GPUs are: 0, 1"),
        ("kind: KIND_MODEL gpus: 0", "has kind KIND_MODEL but specifies one or more GPUs"),
    ],
)
def test_groups_on_gpus_are_judged_by_the_gpus_there_are(group: str, message: str) -> None:
    """A group may name GPUs that the process has, and no others."""
    config = completed(f'backend: "identity" instance_group {{ {group} }}', available_gpus=(0, 1))
    if not message:
        validate_config(config, available_gpus=(0, 1))
        return
    with pytest.raises(InvalidArgumentError) as caught:
        validate_config(config, available_gpus=(0, 1))
    assert caught.value.message == f"instance group m_0 of model m {message}"


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ("input { data_type: TYPE_FP32 dims: 1 }", "model input must specify 'name' for m"),
        ('input { name: "x" dims: 1 }', "model input 'x' must specify 'data_type' for m"),
        ('output { name: "x" data_type: TYPE_FP32 }', "model output 'x' must specify 'dims' for m"),
        (
            'input { name: "x" data_type: TYPE_FP32 dims: 0 }',
            "model input 'x' dimension must be integer >= 1, or -1 to indicate a variable-size dimension for m",
        ),
        (
            'output { name: "x" data_type: TYPE_FP32 dims: -2 }',
            "model output 'x' dimension must be integer >= 1, or -1 to indicate a variable-size dimension for m",
        ),
        (
            'input { name: "x" data_type: TYPE_FP32 dims: [2, 3] reshape { shape: [5] } }',
            "model input 'x' has different size for dims and reshape for m",
        ),
        (
            'input { name: "x" data_type: TYPE_FP32 dims: [2, -1] reshape { shape: [2] } }',
            "model input 'x' has different number of variable-size dimensions for dims and reshape for m",
        ),
        (
            'input { name: "x" data_type: TYPE_FP32 dims: [2, 4, -1, 6] reshape { shape: [4, -1, 12] } }',
            "model input 'x' has different size for dims and reshape for m",
        ),
        (
            'input { name: "x" data_type: TYPE_FP32 dims: 1 reshape { } }',
            "model input 'x' cannot have empty reshape for non-batching model as scalar tensors are not supported for m",
        ),
        (
            'input { name: "x" data_type: TYPE_FP32 dims: 4 reshape { shape: [-2, -2] } }',
            "model input 'x' reshape dimensions must be integer >= 1, or -1 to indicate a variable-size dimension for m",
        ),
        (
            'input { name: "x" data_type: TYPE_FP32 dims: [3, 3] format: FORMAT_NHWC }',
            "model input NHWC/NCHW require 3 dims for m",
        ),
        (
            'output { name: "x" data_type: TYPE_FP32 dims: 1 } output { name: "x" data_type: TYPE_FP32 dims: 1 }',
            "model output 'x' is listed twice for m",
        ),
    ],
)
def test_a_wrong_tensor_is_refused_in_these_words(tensors: str, message: str) -> None:
    """Each way for a tensor to be wrong has its text, which names the tensor and the model."""
    with pytest.raises(InvalidArgumentError) as caught:
        validate_tensors(completed(f'backend: "identity" {tensors}'))
    assert caught.value.message == message


@pytest.mark.parametrize(
    "tensor",
    [
        "dims: [2, 4, -1, 6] reshape { shape: [8, -1, 1, 6] }",
        "dims: [-1, 4] reshape { shape: [-1, 2, 2] }",
        "dims: 1 reshape { }",
        "dims: [-1, -1]",
    ],
)
def test_a_reshape_that_holds_as_many_elements_passes(tensor: str) -> None:
    """Between variable dimensions as many elements must stand on either side, in whatever shape."""
    validate_tensors(
        completed(f'backend: "identity" max_batch_size: 1 input {{ name: "x" data_type: TYPE_FP32 {tensor} }}')
    )
