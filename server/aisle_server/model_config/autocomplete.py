"""Completing a model configuration: from the model directory, with defaults, and from what a model file knows of its tensors.

All of it is pure: the repository says what lies in a directory, a backend says what its model's signature is.

Source: Triton, "Auto-Generated Model Configuration".
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from aisle_server.errors import InternalError, InvalidArgumentError
from aisle_server.messages import dims_text
from aisle_server.model_config.message import names_given_by_batcher, type_name, with_pinned_memory
from aisle_server.model_config.schema import (
    Dims,
    DynamicBatching,
    InstanceGroup,
    InstanceKind,
    ModelConfig,
    ModelInput,
    ModelOutput,
)
from aisle_server.model_config.sequence import (
    DEFAULT_SEQUENCE_IDLE_MICROSECONDS,
    OldestStrategy,
    SequenceBatching,
)
from aisle_server.model_config.validation import BACKEND_OF_PLATFORM

DEFAULT_MAX_BATCH_SIZE: Final = 4


@dataclass(frozen=True, slots=True)
class _FileKind:
    """A file by whose name a backend knows its models."""

    filename: str
    backend: str
    platform: str = ""
    is_directory: bool = False


# In the order in which they are looked for.
_FILE_KINDS: Final = (
    _FileKind("model.savedmodel", "tensorflow", "tensorflow_savedmodel", is_directory=True),
    _FileKind("model.graphdef", "tensorflow", "tensorflow_graphdef"),
    _FileKind("model.plan", "tensorrt", "tensorrt_plan"),
    _FileKind("model.onnx", "onnxruntime", "onnxruntime_onnx"),
    _FileKind("model.xml", "openvino"),
    _FileKind("model.pt", "pytorch", "pytorch_libtorch"),
    _FileKind("model.pt2", "pytorch"),
    _FileKind("model.py", "python"),
)
_TWO_INSTANCES_ON_CPU: Final = ("tensorflow", "onnxruntime")


@dataclass(frozen=True, slots=True)
class SignatureTensor:
    """A tensor as a model file knows it.

    Attributes:
        name: As the model configuration must spell it.
        datatype: Name in the protocol.
        shape: All dimensions, a batch dimension included; -1 is any size. () for a scalar, and when the rank is unknown.
    """

    name: str
    datatype: str
    shape: Dims


def complete_from_files(
    config: ModelConfig,
    directory_name: str,
    version_entries: Mapping[str, bool],
    *,
    available_gpus: Sequence[int] = (),
    gpu_backends: Collection[str] | None = None,
) -> ModelConfig:
    """Fill in what the model directory tells: name, platform, backend, file name, instance groups, and defaults.

    Args:
        config: As parsed; an empty one when there is no config.pbtxt.
        directory_name: Of the model directory.
        version_entries: What lies in the first version directory by name, True for a directory; empty when there is none.
        available_gpus: Ids of the GPUs that instances may use.
        gpu_backends: Backends whose models use them when the configuration leaves the choice; None for all.

    Returns:
        A configuration that `validation.validate_config` can judge.

    Raises:
        InvalidArgumentError: The name in the file is not that of the directory, or no backend can be found out.
    """
    if config.name and config.name != directory_name:
        raise InvalidArgumentError(
            f"unexpected directory name '{directory_name}' for model '{config.name}', directory name must equal model name"
        )
    config = replace(config, name=directory_name)
    if config.is_ensemble or config.ensemble_scheduling is not None:
        return with_defaults(config)
    config = _with_backend(config, version_entries)
    auto_gpus = available_gpus if gpu_backends is None or config.backend in gpu_backends else ()
    config = replace(
        config,
        instance_groups=_instance_groups(config, available_gpus, auto_gpus),
        carried=with_pinned_memory(config.carried),
    )
    return with_defaults(config)


def with_defaults(config: ModelConfig) -> ModelConfig:
    """Fill in what a batcher does not say: the largest batch is preferred, and a sequence may be idle for a second.

    Doing it twice changes nothing.
    """
    if config.sequence_batching is not None:
        config = replace(config, sequence_batching=_sequence_defaults(config.sequence_batching, config.max_batch_size))
    batching = config.dynamic_batching
    if batching is None or batching.preferred_batch_size or not config.is_batching:
        return config
    return replace(config, dynamic_batching=replace(batching, preferred_batch_size=(config.max_batch_size,)))


def _sequence_defaults(batching: SequenceBatching, max_batch_size: int) -> SequenceBatching:
    strategy = batching.strategy
    if isinstance(strategy, OldestStrategy) and not strategy.preferred_batch_size and max_batch_size > 0:
        strategy = replace(strategy, preferred_batch_size=(max_batch_size,))
    idle_us = batching.max_sequence_idle_microseconds or DEFAULT_SEQUENCE_IDLE_MICROSECONDS
    return replace(batching, strategy=strategy, max_sequence_idle_microseconds=idle_us)


def complete_from_signature(
    config: ModelConfig,
    inputs: Sequence[SignatureTensor],
    outputs: Sequence[SignatureTensor],
    default_max_batch_size: int = DEFAULT_MAX_BATCH_SIZE,
) -> ModelConfig:
    """Fill in tensors, `max_batch_size` and the dynamic batcher from what the model file knows.

    A model batches when every tensor has a first dimension of any size, and no tensor of the configuration says otherwise by its
    rank. Missing inputs are added; outputs are added only when none is listed. A batching model without a scheduler gets the
    dynamic batcher.

    Args:
        config: Validated by `validation.validate_config`.
        inputs: What the model takes.
        outputs: What the model gives.
        default_max_batch_size: For a model that batches and whose configuration does not say how much; 0 leaves it unbatched.

    Returns:
        The configuration, complete. `check_against_signature` tells whether it fits the model.

    Raises:
        InternalError: The configuration wants a batch dimension and the model has none, or its tensors contradict each other.
        InvalidArgumentError: A tensor that must be filled in has no rank.
    """
    supports_batching = all(tensor.shape[:1] in ((), (-1,)) for tensor in (*inputs, *outputs))
    if config.is_batching and not supports_batching:
        raise InternalError(
            f"unable to autofill for '{config.name}', configuration specified max-batch {config.max_batch_size}"
            " but model signature does not support batching"
        )
    if supports_batching:
        hint = _batching_hint(config, (*inputs, *outputs))
        if hint is not False and not config.is_batching:
            config = replace(config, max_batch_size=default_max_batch_size)
    has_scheduler = config.dynamic_batching is not None or config.sequence_batching is not None
    if config.max_batch_size > 1 and not has_scheduler:
        config = replace(config, dynamic_batching=DynamicBatching())
    return with_defaults(
        replace(config, inputs=_complete_inputs(config, inputs), outputs=_complete_outputs(config, outputs))
    )


def check_against_signature(
    config: ModelConfig, inputs: Sequence[SignatureTensor], outputs: Sequence[SignatureTensor]
) -> None:
    """Check a complete model configuration against what the model file knows.

    Args:
        config: Complete.
        inputs: What the model takes.
        outputs: What the model gives; the configuration may leave some out.

    Raises:
        InvalidArgumentError: Number, names, datatypes or shapes differ.
    """
    given_elsewhere = names_given_by_batcher(config)
    needed = [tensor for tensor in inputs if tensor.name not in given_elsewhere]
    if len(config.inputs) != len(needed):
        raise InvalidArgumentError(
            f"unable to load model '{config.name}', configuration expects {len(config.inputs)} inputs, model provides {len(needed)}"
        )
    _check_tensors(config, "input", config.inputs, inputs)
    _check_tensors(config, "output", config.outputs, outputs)


def _with_backend(config: ModelConfig, version_entries: Mapping[str, bool]) -> ModelConfig:
    kind = _file_kind(config, version_entries)
    backend = config.backend or BACKEND_OF_PLATFORM.get(config.platform, "") or (kind.backend if kind else "")
    filename = config.default_model_filename
    if not backend and not config.platform and not filename:
        _, dot, backend = config.name.partition(".")
        if not dot or not backend:
            raise InvalidArgumentError(
                f"Invalid model name: Could not determine backend for model '{config.name}' with no backend in model configuration."
                " Expected model name of the form 'model.<backend_name>'."
            )
        filename = f"model.{backend}"
    return replace(
        config,
        backend=backend,
        platform=config.platform or (kind.platform if kind else ""),
        default_model_filename=filename or (kind.filename if kind else ""),
    )


def _file_kind(config: ModelConfig, version_entries: Mapping[str, bool]) -> _FileKind | None:
    """Return the kind of model file that a configuration speaks of, else the first that lies in the version directory."""
    candidates = [
        kind for kind in _FILE_KINDS if config.backend in ("", kind.backend) and config.platform in ("", kind.platform)
    ]
    present = (kind for kind in candidates if version_entries.get(kind.filename) is kind.is_directory)
    if config.default_model_filename:
        return next((kind for kind in candidates if kind.filename == config.default_model_filename), None)
    if found := next(present, None):
        return found
    # Whoever names a backend that has one kind of file, or a platform, has named the file; whether it is there shows at loading.
    return candidates[0] if candidates and (len(candidates) == 1 or config.platform) else None


def _instance_groups(
    config: ModelConfig, available_gpus: Sequence[int], auto_gpus: Sequence[int]
) -> tuple[InstanceGroup, ...]:
    if not config.instance_groups:
        return (_complete_group(InstanceGroup(name=config.name), config, available_gpus, auto_gpus),)
    return tuple(
        _complete_group(replace(group, name=group.name or f"{config.name}_{index}"), config, available_gpus, auto_gpus)
        for index, group in enumerate(config.instance_groups)
    )


def _complete_group(
    group: InstanceGroup, config: ModelConfig, available_gpus: Sequence[int], auto_gpus: Sequence[int]
) -> InstanceGroup:
    kind = group.kind
    if kind is InstanceKind.KIND_AUTO:
        kind = InstanceKind.KIND_GPU if auto_gpus or group.gpus else InstanceKind.KIND_CPU
    on_cpu = kind is InstanceKind.KIND_CPU
    gpus = group.gpus
    if kind is InstanceKind.KIND_GPU and not gpus:
        gpus = tuple(available_gpus)
    # The runtimes that Triton gives two instances on the CPU compute on one thread for part of each request.
    count = group.count or (2 if on_cpu and config.backend in _TWO_INSTANCES_ON_CPU else 1)
    return replace(group, kind=kind, gpus=gpus, count=count)


def _batching_hint(config: ModelConfig, signature: Sequence[SignatureTensor]) -> bool | None:
    """Return whether the tensors of a configuration say by their rank that the model batches; None when they say nothing."""
    known = {tensor.name: tensor for tensor in signature}
    flattened = config.flattened_inputs | config.flattened_outputs  # whose rank says nothing of it
    listed: tuple[ModelInput | ModelOutput, ...] = (*config.inputs, *config.outputs)
    hints = {
        len(tensor.dims if tensor.reshape is None else tensor.reshape) == len(known[tensor.name].shape) - 1
        for tensor in listed
        if tensor.dims and tensor.name in known and known[tensor.name].shape and tensor.name not in flattened
    }
    if len(hints) > 1:
        raise InternalError(
            f"unable to autofill for '{config.name}', model tensor configurations are contradicting each other"
            " in terms of whether batching is supported"
        )
    return hints.pop() if hints else None


def _complete_inputs(config: ModelConfig, signature: Sequence[SignatureTensor]) -> tuple[ModelInput, ...]:
    known = {tensor.name: tensor for tensor in signature}
    listed = {tensor.name for tensor in config.inputs}
    if len(config.inputs) <= len(signature):
        # A misspelt name, to be told before the right one is added beside it. With more inputs than the model has, their number is.
        _check_names("input", config.inputs, known)
    given_elsewhere = names_given_by_batcher(config)
    added = (
        ModelInput(tensor.name, "", ())
        for tensor in signature
        if tensor.name not in listed and tensor.name not in given_elsewhere
    )
    return tuple(_complete_input(config, tensor, known) for tensor in (*config.inputs, *added))


def _complete_input(config: ModelConfig, tensor: ModelInput, known: Mapping[str, SignatureTensor]) -> ModelInput:
    if tensor.name not in known or (tensor.datatype and tensor.dims):
        return tensor
    datatype = tensor.datatype or known[tensor.name].datatype
    if tensor.dims:
        return replace(tensor, datatype=datatype)
    dims, reshape = _dims(config, known[tensor.name])
    return replace(tensor, datatype=datatype, dims=dims, reshape=reshape)


def _complete_outputs(config: ModelConfig, signature: Sequence[SignatureTensor]) -> tuple[ModelOutput, ...]:
    known = {tensor.name: tensor for tensor in signature}
    states = {each.output_name for each in config.states}
    listed = config.outputs or tuple(
        ModelOutput(tensor.name, "", ()) for tensor in signature if tensor.name not in states
    )
    return tuple(_complete_output(config, tensor, known) for tensor in listed)


def _complete_output(config: ModelConfig, tensor: ModelOutput, known: Mapping[str, SignatureTensor]) -> ModelOutput:
    if tensor.name not in known or (tensor.datatype and tensor.dims):
        return tensor
    datatype = tensor.datatype or known[tensor.name].datatype
    if tensor.dims:
        return replace(tensor, datatype=datatype)
    dims, reshape = _dims(config, known[tensor.name])
    return replace(tensor, datatype=datatype, dims=dims, reshape=reshape)


def _dims(config: ModelConfig, tensor: SignatureTensor) -> tuple[Dims, Dims | None]:
    if not tensor.shape:
        raise InvalidArgumentError(
            f"unable to autofill for '{config.name}': the rank of model tensor '{tensor.name}' is 0"
            " and dimensions are not defined"
        )
    dims = tensor.shape[1:] if config.is_batching else tensor.shape
    # A model configuration has no empty dims: one element a row is dims [1], which the backend sees as no dimension at all.
    return (dims, None) if dims else ((1,), ())


def _check_tensors(
    config: ModelConfig, kind: str, tensors: Sequence[ModelInput | ModelOutput], signature: Sequence[SignatureTensor]
) -> None:
    known = {tensor.name: tensor for tensor in signature}
    _check_names(kind, tensors, known)
    for tensor in tensors:
        expected = known[tensor.name]
        if tensor.datatype != expected.datatype:
            raise InvalidArgumentError(
                f"unable to load model '{config.name}', configuration expects datatype {type_name(tensor.datatype)}"
                f" for {kind} '{tensor.name}', model provides {type_name(expected.datatype)}"
            )
        _check_shape(config, tensor, expected.shape)


def _check_names(kind: str, tensors: Sequence[ModelInput | ModelOutput], known: Mapping[str, SignatureTensor]) -> None:
    for tensor in tensors:
        if tensor.name not in known:
            allowed = ", ".join(sorted(known))
            raise InvalidArgumentError(f"unexpected inference {kind} '{tensor.name}', allowed {kind}s are: {allowed}")


def _check_shape(config: ModelConfig, tensor: ModelInput | ModelOutput, expected: Dims) -> None:
    dims = tensor.dims if tensor.reshape is None else tensor.reshape
    this = f"model '{config.name}', tensor '{tensor.name}'"
    flattened = config.flattened_inputs if isinstance(tensor, ModelInput) else config.flattened_outputs
    if tensor.name in flattened:
        if expected not in ((), (-1,)):
            raise InvalidArgumentError(
                f"{this}: a ragged batch is one dimension of any size, but shape expected by the model is {dims_text(expected)}"
            )
    elif config.is_batching:
        if expected[:1] != (-1,):
            raise InvalidArgumentError(
                f"{this}: for the model to support batching the shape should have at least 1 dimension and the first dimension"
                f" must be -1; but shape expected by the model is {dims_text(expected)}"
            )
        if not _fits((-1, *dims), expected):
            raise InvalidArgumentError(
                f"{this}: the model expects {len(expected)} dimensions (shape {dims_text(expected)})"
                f" but the model configuration specifies {len(dims) + 1} dimensions (an initial batch dimension because"
                " max_batch_size > 0 followed by the explicit tensor shape, making complete shape"
                f" {dims_text((-1, *dims))})"
            )
    # Without a batch dimension a model may leave a rank unknown; then there is nothing to compare.
    elif expected and not _fits(dims, expected):
        raise InvalidArgumentError(
            f"{this}: the model expects {len(expected)} dimensions (shape {dims_text(expected)})"
            f" but the model configuration specifies {len(dims)} dimensions (shape {dims_text(dims)})"
        )


def _fits(dims: Dims, expected: Dims) -> bool:
    return len(dims) == len(expected) and all(want in (-1, got) for got, want in zip(dims, expected, strict=True))
