"""What the server finds out for itself about a model."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aisle_server.errors import InternalError, InvalidArgumentError
from aisle_server.model_config.autocomplete import (
    SignatureTensor,
    check_against_signature,
    complete_from_files,
    complete_from_signature,
)
from aisle_server.model_config.message import to_message
from aisle_server.model_config.pbtxt import parse_config
from aisle_server.model_config.schema import (
    DynamicBatching,
    InstanceGroup,
    InstanceKind,
    ModelConfig,
    ModelInput,
    ModelOutput,
    VersionPolicy,
)
from aisle_server.model_config.sequence import OldestStrategy, SequenceBatching

BATCHING = (
    (SignatureTensor("INPUT0", "INT32", (-1, 16)), SignatureTensor("INPUT1", "INT32", (-1, 16))),
    (SignatureTensor("OUTPUT0", "INT32", (-1, 16)), SignatureTensor("OUTPUT1", "FP32", (-1,))),
)
NO_BATCHING = (
    (SignatureTensor("INPUT0", "INT32", (16,)), SignatureTensor("INPUT1", "INT32", (4, -1))),
    (SignatureTensor("OUTPUT0", "INT32", (16,)),),
)
HINT = (
    (SignatureTensor("INPUT0", "INT32", (-1, 16)),),
    (SignatureTensor("OUTPUT0", "INT32", (-1, 16)),),
)


def parsed(text: str = "", name: str = "m") -> ModelConfig:
    """A configuration with a name, as text says."""
    return replace(parse_config(text), name=name)


@pytest.mark.parametrize(
    ("entries", "text", "backend", "platform", "filename"),
    [
        ({"model.savedmodel": True}, "", "tensorflow", "tensorflow_savedmodel", "model.savedmodel"),
        ({"model.graphdef": False}, "", "tensorflow", "tensorflow_graphdef", "model.graphdef"),
        ({"model.onnx": False}, "", "onnxruntime", "onnxruntime_onnx", "model.onnx"),
        ({"model.py": False, "model.onnx": False}, "", "onnxruntime", "onnxruntime_onnx", "model.onnx"),
        ({"model.py": False}, "", "python", "", "model.py"),
        ({"model.plan": False}, "", "tensorrt", "tensorrt_plan", "model.plan"),
        ({"model.pt": False}, "", "pytorch", "pytorch_libtorch", "model.pt"),
        ({"model.savedmodel": False, "model.py": False}, "", "python", "", "model.py"),
        ({"model.savedmodel": True}, 'backend: "tensorflow"', "tensorflow", "tensorflow_savedmodel", "model.savedmodel"),
        ({}, 'platform: "tensorflow_savedmodel"', "tensorflow", "tensorflow_savedmodel", "model.savedmodel"),
        ({}, 'platform: "onnxruntime_onnx"', "onnxruntime", "onnxruntime_onnx", "model.onnx"),
        ({}, 'backend: "onnxruntime"', "onnxruntime", "onnxruntime_onnx", "model.onnx"),
        ({}, 'platform: "onnxruntime_onnx" default_model_filename: "n.onnx"', "onnxruntime", "onnxruntime_onnx", "n.onnx"),
        ({}, 'default_model_filename: "model.savedmodel"', "tensorflow", "tensorflow_savedmodel", "model.savedmodel"),
        ({"model.onnx": False}, 'backend: "python"', "python", "", "model.py"),
        ({"model.onnx": False}, 'backend: "identity"', "identity", "", ""),
    ],
)  # fmt: skip
def test_backend_platform_and_file_name_follow_from_each_other(
    entries: dict[str, bool], text: str, backend: str, platform: str, filename: str
) -> None:
    """What config.pbtxt leaves out is taken from the names in the first version directory."""
    config = complete_from_files(parse_config(text), "m", entries)
    assert (config.backend, config.platform, config.default_model_filename) == (backend, platform, filename)


def test_a_model_named_after_its_backend_needs_no_configuration() -> None:
    """`model.identity` runs on the identity backend, although it has neither a file nor a configuration."""
    config = complete_from_files(ModelConfig(name=""), "echo.identity", {})
    assert (config.name, config.backend, config.default_model_filename) == (
        "echo.identity",
        "identity",
        "model.identity",
    )


def test_a_model_of_which_nothing_is_known_is_refused() -> None:
    """When neither file, configuration nor name tells the backend, the text says how to name the model."""
    with pytest.raises(InvalidArgumentError) as caught:
        complete_from_files(ModelConfig(name=""), "echo", {"weights.bin": False})
    assert caught.value.message == (
        "Invalid model name: Could not determine backend for model 'echo' with no backend in model configuration."
        " Expected model name of the form 'model.<backend_name>'."
    )


def test_the_name_in_the_file_must_be_that_of_the_directory() -> None:
    """A configuration that was copied from another model is noticed."""
    with pytest.raises(InvalidArgumentError) as caught:
        complete_from_files(parse_config('name: "shoes" backend: "identity"'), "hats", {})
    assert caught.value.message == (
        "unexpected directory name 'hats' for model 'shoes', directory name must equal model name"
    )


def test_defaults_are_triton_s() -> None:
    """Name, latest version, one instance on the CPU, largest batch preferred, pinned memory: what Triton would have filled in."""
    config = complete_from_files(parse_config('backend: "identity" max_batch_size: 8 dynamic_batching {}'), "m", {})
    assert config.name == "m"
    assert config.version_policy == VersionPolicy(latest=1)
    assert config.instance_groups == (InstanceGroup("m", InstanceKind.KIND_CPU, 1),)
    assert config.dynamic_batching == DynamicBatching(preferred_batch_size=(8,))
    optimization = to_message(config).optimization
    assert optimization.input_pinned_memory.enable
    assert optimization.output_pinned_memory.enable


def test_pinned_memory_stays_off_when_the_file_says_so() -> None:
    """A default does not overrule the file."""
    text = 'backend: "identity" optimization { input_pinned_memory { enable: false } graph { level: 1 } }'
    optimization = to_message(complete_from_files(parse_config(text), "m", {})).optimization
    assert not optimization.input_pinned_memory.enable
    assert optimization.output_pinned_memory.enable
    assert optimization.graph.level == 1


@pytest.mark.parametrize(("backend", "count"), [("onnxruntime", 2), ("tensorflow", 2), ("python", 1), ("identity", 1)])
def test_runtimes_have_two_instances_on_the_cpu(backend: str, count: int) -> None:
    """TensorFlow and ONNX Runtime models have two instances on the CPU unless the file says otherwise."""
    unsaid = complete_from_files(parse_config(f'backend: "{backend}"'), "m", {})
    said = complete_from_files(parse_config(f'backend: "{backend}" instance_group {{ count: 3 }}'), "m", {})
    assert [group.count for group in (*unsaid.instance_groups, *said.instance_groups)] == [count, 3]


def test_groups_get_names_kinds_and_gpus() -> None:
    """A group without a name is called after the model and its place; one without a kind goes where there is hardware."""
    text = 'backend: "onnxruntime" instance_group [ { }, { name: "slow" kind: KIND_CPU }, { kind: KIND_GPU gpus: 1 } ]'
    config = complete_from_files(parse_config(text), "m", {}, available_gpus=(0, 1))
    assert config.instance_groups == (
        InstanceGroup("m_0", InstanceKind.KIND_GPU, 1, (0, 1)),
        InstanceGroup("slow", InstanceKind.KIND_CPU, 2),
        InstanceGroup("m_2", InstanceKind.KIND_GPU, 1, (1,)),
    )


def test_an_ensemble_gets_neither_backend_nor_instances() -> None:
    """An ensemble is completed with its name alone."""
    text = 'platform: "ensemble" ensemble_scheduling { step { model_name: "a" } }'
    config = complete_from_files(parse_config(text), "e", {"model.onnx": False})
    assert config == replace(parse_config(text), name="e")


def test_a_bare_model_is_described_by_its_signature() -> None:
    """Without any configuration, tensors, batch size and dynamic batcher come from the model file."""
    config = complete_from_signature(ModelConfig("m", backend="onnxruntime"), *BATCHING)
    assert config.max_batch_size == 4
    assert config.dynamic_batching == DynamicBatching(preferred_batch_size=(4,))
    assert config.inputs == (ModelInput("INPUT0", "INT32", (16,)), ModelInput("INPUT1", "INT32", (16,)))
    # One number a row is dims [1] to callers and no dimension to the model.
    assert config.outputs == (ModelOutput("OUTPUT0", "INT32", (16,)), ModelOutput("OUTPUT1", "FP32", (1,), reshape=()))
    check_against_signature(config, *BATCHING)


def test_a_signature_without_batch_dimension_gives_no_batching() -> None:
    """One tensor whose first dimension is fixed is enough to say that the model does not batch."""
    config = complete_from_signature(ModelConfig("m"), *NO_BATCHING)
    assert config.max_batch_size == 0
    assert config.dynamic_batching is None
    assert config.inputs == (ModelInput("INPUT0", "INT32", (16,)), ModelInput("INPUT1", "INT32", (4, -1)))
    check_against_signature(config, *NO_BATCHING)


@pytest.mark.parametrize(
    ("text", "max_batch_size", "batching"),
    [
        ("max_batch_size: 8", 8, DynamicBatching(preferred_batch_size=(8,))),
        ("max_batch_size: 1", 1, None),
        (
            "max_batch_size: 8 dynamic_batching { max_queue_delay_microseconds: 5 }",
            8,
            DynamicBatching(preferred_batch_size=(8,), max_queue_delay_microseconds=5),
        ),
        ('input { name: "INPUT0" data_type: TYPE_INT32 dims: [-1, 16] }', 0, None),
        ('output { name: "OUTPUT0" data_type: TYPE_INT32 dims: [-1, 16] }', 0, None),
        ('input { name: "INPUT0" dims: 16 }', 4, DynamicBatching(preferred_batch_size=(4,))),
        (
            'input { name: "INPUT0" dims: [4, 4] reshape { shape: 16 } }',
            4,
            DynamicBatching(preferred_batch_size=(4,)),
        ),
    ],
)
def test_the_configuration_decides_where_it_says_something(
    text: str, max_batch_size: int, batching: DynamicBatching | None
) -> None:
    """A batch size, a scheduler, or a tensor with as many dims as the model has, settle whether and how the model batches."""
    config = complete_from_signature(parsed(text), *HINT)
    assert config.max_batch_size == max_batch_size
    assert config.dynamic_batching == batching


def test_a_misspelt_input_is_told_by_name() -> None:
    """Not as one input too many, beside the one that it stands for; with more inputs than the model has, their number is told."""
    with pytest.raises(InvalidArgumentError, match="^unexpected inference input 'ELSE', allowed inputs are: INPUT0$"):
        complete_from_signature(parsed('input { name: "ELSE" dims: [1, 2, 3] }'), *HINT)
    config = complete_from_signature(parsed('input { name: "ELSE" } input { name: "INPUT0" }'), *HINT)
    with pytest.raises(InvalidArgumentError, match="configuration expects 2 inputs, model provides 1$"):
        check_against_signature(config, *HINT)


def test_a_server_without_default_batch_size_leaves_models_unbatched() -> None:
    """With a default of 0 a batching signature gives a model whose batch dimension is an ordinary, variable one."""
    config = complete_from_signature(ModelConfig("m"), *HINT, default_max_batch_size=0)
    assert config.max_batch_size == 0
    assert config.inputs == (ModelInput("INPUT0", "INT32", (-1, 16)),)


def test_missing_inputs_are_added_after_those_listed_and_outputs_are_not() -> None:
    """Who lists an output means these outputs; who lists an input has still to give the others."""
    text = 'input { name: "INPUT1" optional: true } output { name: "OUTPUT1" label_filename: "l.txt" }'
    config = complete_from_signature(parsed(text), *BATCHING)
    assert config.inputs == (ModelInput("INPUT1", "INT32", (16,), optional=True), ModelInput("INPUT0", "INT32", (16,)))
    assert config.outputs == (ModelOutput("OUTPUT1", "FP32", (1,), reshape=(), label_filename="l.txt"),)


def test_inputs_that_the_batcher_gives_are_not_asked_of_callers() -> None:
    """A batch input is made by the server, so it is not added to what callers send."""
    text = (
        'batch_input { kind: BATCH_ELEMENT_COUNT target_name: "INPUT1" data_type: TYPE_INT32 source_input: "INPUT0" }'
    )
    config = complete_from_signature(parsed(text), *BATCHING)
    assert [tensor.name for tensor in config.inputs] == ["INPUT0"]
    check_against_signature(config, *BATCHING)


def test_completing_twice_changes_nothing() -> None:
    """A complete configuration is completed to itself."""
    once = complete_from_signature(ModelConfig("m"), *BATCHING)
    assert complete_from_signature(once, *BATCHING) == once


def test_a_batch_size_that_the_model_cannot_honour_is_refused() -> None:
    """A model without a batch dimension cannot be configured to batch."""
    with pytest.raises(InternalError) as caught:
        complete_from_signature(parsed("max_batch_size: 8"), *NO_BATCHING)
    assert caught.value.message == (
        "unable to autofill for 'm', configuration specified max-batch 8 but model signature does not support batching"
    )


def test_tensors_that_contradict_each_other_are_refused() -> None:
    """One tensor with, and one without a batch dimension cannot both be right."""
    text = 'input [ { name: "INPUT0" dims: 16 }, { name: "INPUT1" dims: [-1, 16] } ]'
    with pytest.raises(InternalError) as caught:
        complete_from_signature(parsed(text), *BATCHING)
    assert caught.value.message == (
        "unable to autofill for 'm', model tensor configurations are contradicting each other"
        " in terms of whether batching is supported"
    )


def test_a_tensor_of_unknown_rank_must_be_described_by_hand() -> None:
    """A scalar, or a tensor whose rank the model does not know, cannot be filled in; described by hand it can be served."""
    signature = ((SignatureTensor("x", "FP32", ()),), (SignatureTensor("y", "FP32", (3,)),))
    with pytest.raises(InvalidArgumentError) as caught:
        complete_from_signature(parsed(), *signature)
    assert caught.value.message == (
        "unable to autofill for 'm': the rank of model tensor 'x' is 0 and dimensions are not defined"
    )
    config = complete_from_signature(parsed('input { name: "x" data_type: TYPE_FP32 dims: 7 }'), *signature)
    assert config.inputs == (ModelInput("x", "FP32", (7,)),)
    check_against_signature(config, *signature)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            'input [ { name: "INPUT0" }, { name: "INPUT1" }, { name: "EXTRA" data_type: TYPE_FP32 dims: 1 } ]',
            "unable to load model 'm', configuration expects 3 inputs, model provides 2",
        ),
        (
            'output { name: "OUTPUT_UNKNOWN" data_type: TYPE_INT32 dims: 16 }',
            "unexpected inference output 'OUTPUT_UNKNOWN', allowed outputs are: OUTPUT0, OUTPUT1",
        ),
        (
            'input { name: "INPUT1" data_type: TYPE_FP32 dims: 16 }',
            "unable to load model 'm', configuration expects datatype TYPE_FP32 for input 'INPUT1', model provides TYPE_INT32",
        ),
        (
            'output { name: "OUTPUT0" data_type: TYPE_STRING dims: 16 }',
            "unable to load model 'm', configuration expects datatype TYPE_STRING for output 'OUTPUT0', model provides TYPE_INT32",
        ),
        (
            'max_batch_size: 8 output { name: "OUTPUT0" data_type: TYPE_INT32 dims: 1 }',
            "model 'm', tensor 'OUTPUT0': the model expects 2 dimensions (shape [-1,16]) but the model configuration specifies"
            " 2 dimensions (an initial batch dimension because max_batch_size > 0 followed by the explicit tensor shape,"
            " making complete shape [-1,1])",
        ),
        (
            'input [ { name: "INPUT0" data_type: TYPE_INT32 dims: [-1, 8] }, { name: "INPUT1" data_type: TYPE_INT32 dims: [-1, 16] } ]',
            "model 'm', tensor 'INPUT0': the model expects 2 dimensions (shape [-1,16]) but the model configuration specifies"
            " 2 dimensions (shape [-1,8])",
        ),
    ],
)
def test_a_configuration_that_does_not_fit_the_model_is_refused_in_these_words(text: str, message: str) -> None:
    """Number, names, datatypes and shapes of tensors are compared with the model file."""
    config = complete_from_signature(parsed(text), *BATCHING)
    with pytest.raises(InvalidArgumentError) as caught:
        check_against_signature(config, *BATCHING)
    assert caught.value.message == message


def test_an_unknown_input_is_named_beside_those_there_are() -> None:
    """A misspelt input is told with the names that the model has."""
    config = ModelConfig(
        "m",
        max_batch_size=4,
        inputs=(ModelInput("INPUT0", "INT32", (16,)), ModelInput("INPUT_UNKNOWN", "INT32", (16,))),
    )
    with pytest.raises(InvalidArgumentError) as caught:
        check_against_signature(config, *BATCHING)
    assert caught.value.message == ("unexpected inference input 'INPUT_UNKNOWN', allowed inputs are: INPUT0, INPUT1")


def test_a_scalar_has_no_batch_dimension() -> None:
    """A model with a scalar tensor is not vetoed as a batching one by its rank alone, and is refused when compared."""
    signature = ((SignatureTensor("x", "FP32", ()),), (SignatureTensor("y", "FP32", (-1, 3)),))
    config = complete_from_signature(
        parsed('max_batch_size: 2 input { name: "x" data_type: TYPE_FP32 dims: 1 }'), *signature
    )
    with pytest.raises(InvalidArgumentError) as caught:
        check_against_signature(config, *signature)
    assert caught.value.message == (
        "model 'm', tensor 'x': for the model to support batching the shape should have at least 1 dimension and the first"
        " dimension must be -1; but shape expected by the model is []"
    )


def test_a_sequence_batcher_gets_its_defaults() -> None:
    """A sequence may be idle for a second, and the oldest strategy prefers the largest batch, where the file says nothing."""
    config = complete_from_files(
        parse_config('backend: "python" max_batch_size: 8 sequence_batching { oldest {} }'), "m", {}
    )
    assert config.sequence_batching == SequenceBatching(OldestStrategy(preferred_batch_size=(8,)), 1_000_000)
