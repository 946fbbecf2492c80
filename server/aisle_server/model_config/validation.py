"""Whether a model configuration makes sense. What passes here is trusted everywhere else.

`validate_config` looks at all but the tensors and may run before a backend has filled them in; `validate_tensors` looks at the tensors.
Graphs of ensembles have a file of their own, `ensemble_graph.py`.

Source: Triton model configuration; texts as its clients and tests know them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath, PureWindowsPath
from typing import Final

from aisle_server.errors import InvalidArgumentError, UnsupportedError
from aisle_server.model_config.ensemble_graph import validate_ensemble
from aisle_server.model_config.pbtxt import not_served
from aisle_server.model_config.ragged_validation import validate_batch_tensors
from aisle_server.model_config.schema import (
    ENSEMBLE_PLATFORM,
    Dims,
    DynamicBatching,
    InstanceGroup,
    InstanceKind,
    ModelConfig,
    ModelInput,
    ModelOutput,
    TimeoutAction,
    Warmup,
)
from aisle_server.model_config.sequence_validation import validate_sequence_batching

BACKEND_OF_PLATFORM: Final = {
    "tensorflow_savedmodel": "tensorflow",
    "tensorflow_graphdef": "tensorflow",
    "onnxruntime_onnx": "onnxruntime",
    "tensorrt_plan": "tensorrt",
    "pytorch_libtorch": "pytorch",
}
# Those that have a platform, or are known to have none. Of any other backend Triton knows nothing, nor do we.
_KNOWN_BACKENDS: Final = frozenset((*BACKEND_OF_PLATFORM.values(), "openvino", "python"))
_IMAGE_FORMATS: Final = ("FORMAT_NHWC", "FORMAT_NCHW")


def validate_config(config: ModelConfig, *, available_gpus: Sequence[int] = ()) -> None:
    """Check all of a model configuration but its tensors.

    Args:
        config: Completed by `autocomplete.complete_from_files`.
        available_gpus: Ids of the GPUs that instances may use.

    Raises:
        InvalidArgumentError: A field contradicts another, or is out of its range.
        UnsupportedError: The configuration asks for something of a scheduler that Aisle's does not have.
    """
    if not config.name:
        raise InvalidArgumentError("model configuration must specify 'name'")
    reason = not_served(config)
    if reason is not None:
        raise InvalidArgumentError(reason)
    _validate_platform(config)
    if config.max_batch_size < 0:
        raise InvalidArgumentError(f"'max_batch_size' must be non-negative value for {config.name}")
    if config.dynamic_batching is not None:
        _validate_dynamic_batching(config.name, config.max_batch_size, config.dynamic_batching)
    if config.sequence_batching is not None:
        validate_sequence_batching(config.name, config.backend, config.max_batch_size, config.sequence_batching)
        if config.decoupled:
            raise UnsupportedError(
                f"'sequence_batching' of a decoupled model is not supported; '{config.name}' asks for it"
            )
    if config.ensemble_scheduling is not None:
        validate_ensemble(config, config.ensemble_scheduling)
    elif config.is_ensemble:
        raise InvalidArgumentError(
            f"ensemble scheduling must be set for ensemble {config.name} whose platform is {ENSEMBLE_PLATFORM}"
        )
    else:
        _validate_instance_groups(config, available_gpus)
    _validate_file_name(config)
    for warmup in config.warmups:
        _validate_warmup(config, warmup)


def validate_tensors(config: ModelConfig) -> None:
    """Check the inputs and outputs of a model configuration. They must be complete by now.

    Raises:
        InvalidArgumentError: No name, datatype or dims, a name twice, or a reshape that does not hold as many elements.
    """
    for kind, tensors in (("input", config.inputs), ("output", config.outputs)):
        names: set[str] = set()
        for tensor in tensors:
            _validate_tensor(config, kind, tensor)
            if tensor.name in names:
                raise InvalidArgumentError(f"model {kind} '{tensor.name}' is listed twice for {config.name}")
            names.add(tensor.name)
    validate_batch_tensors(config)


def _validate_platform(config: ModelConfig) -> None:
    if config.is_ensemble:
        if config.backend:
            raise InvalidArgumentError(
                f"Ensemble model '{config.name}' must have platform type '{ENSEMBLE_PLATFORM}' and empty backend type"
            )
        return
    if not config.backend:
        if not config.platform and config.ensemble_scheduling is None:
            raise InvalidArgumentError(f"must specify 'platform' or 'backend' for '{config.name}'")
        if config.platform:
            raise InvalidArgumentError(f"unexpected platform type '{config.platform}' for {config.name}")
    expected = BACKEND_OF_PLATFORM.get(config.platform)
    known = config.backend if config.backend in _KNOWN_BACKENDS else None
    if config.platform and expected != known:
        raise InvalidArgumentError(f"unexpected 'platform' and 'backend' pair, got:{config.platform}, {config.backend}")


def _validate_dynamic_batching(model: str, max_batch_size: int, batching: DynamicBatching) -> None:
    for size in batching.preferred_batch_size:
        if size <= 0:
            raise InvalidArgumentError(f"dynamic batching preferred size must be positive for {model}")
        if size > max_batch_size:
            raise InvalidArgumentError(f"dynamic batching preferred size must be <= max batch size for {model}")
    levels = batching.priority_levels
    if levels:
        if not 1 <= batching.default_priority_level <= levels:
            raise InvalidArgumentError(f"default priority level must be in range [1, {levels}] for {model}")
        if any(not 1 <= level <= levels for level in batching.priority_queue_policy):
            raise InvalidArgumentError(
                f"priority queue policy must have priority level in range [1, {levels}] for {model}"
            )
    if batching.preserve_ordering:
        if levels > 1:
            raise InvalidArgumentError(
                f"Only one priority level is allowed when 'preserve_ordering' is true for {model}"
            )
        policies = (batching.default_queue_policy, *batching.priority_queue_policy.values())
        if any(each.default_timeout_microseconds and each.timeout_action is TimeoutAction.DELAY for each in policies):
            raise InvalidArgumentError(
                f"Queue policy can not have DELAY as timeout action when 'preserve_ordering' is true for {model}"
            )


def _validate_instance_groups(config: ModelConfig, available_gpus: Sequence[int]) -> None:
    if not config.instance_groups:
        raise InvalidArgumentError(f"must specify one or more 'instance group's for {config.name}")
    for group in config.instance_groups:
        problem = _problem_of(group, available_gpus)
        if problem:
            raise InvalidArgumentError(f"instance group {group.name} of model {config.name} {problem}")


def _problem_of(group: InstanceGroup, available_gpus: Sequence[int]) -> str:
    kind = group.kind
    if group.count < 1:
        return f"must have a positive count, got {group.count}"
    if kind is InstanceKind.KIND_AUTO:
        return "has unexpected kind KIND_AUTO"
    if kind is not InstanceKind.KIND_GPU:
        return f"has kind {kind.name} but specifies one or more GPUs" if group.gpus else ""
    if not available_gpus:
        return "has kind KIND_GPU but no GPUs are available"
    unknown = [gpu for gpu in group.gpus if gpu not in available_gpus]
    if unknown:
        available = ", ".join(map(str, available_gpus))
        return f"specifies invalid or unsupported gpu id {unknown[0]}. Available GPUs are: {available}"
    return "" if group.gpus else "has kind KIND_GPU but specifies no GPUs"


def _validate_file_name(config: ModelConfig) -> None:
    # Judged by the rules of either kind of path, so that a repository is as safe on one system as on another.
    name = config.default_model_filename
    for path in (PurePosixPath(name), PureWindowsPath(name)):
        if path.is_absolute() or path.anchor or ".." in path.parts or "\0" in name:
            raise InvalidArgumentError(
                f"'default_model_filename' of {config.name} is '{name}'; expected a file in the version directory"
            )


def _validate_warmup(config: ModelConfig, warmup: Warmup) -> None:
    where = f"warmup sample '{warmup.name}' of {config.name}"
    limit = max(config.max_batch_size, 1)
    if warmup.batch_size > limit:
        raise InvalidArgumentError(f"{where} has batch_size {warmup.batch_size}; expected at most {limit}")
    for name, tensor in warmup.inputs.items():
        if not tensor.datatype:
            raise InvalidArgumentError(f"{where} must specify 'data_type' of input '{name}'")
        if any(dim < 0 for dim in tensor.dims):
            raise InvalidArgumentError(
                f"warmup setting expects all variable-size dimensions are specified for input '{name}', got {list(tensor.dims)} in"
                f" {where}"
            )
        if not (tensor.zero_data or tensor.random_data or tensor.input_data_file):
            raise InvalidArgumentError(f"{where} says of input '{name}' neither zero_data, random_data nor a file")


def _validate_tensor(config: ModelConfig, kind: str, tensor: ModelInput | ModelOutput) -> None:
    if not tensor.name:
        raise InvalidArgumentError(f"model {kind} must specify 'name' for {config.name}")
    this = f"model {kind} '{tensor.name}'"
    if not tensor.datatype:
        raise InvalidArgumentError(f"{this} must specify 'data_type' for {config.name}")
    if not tensor.dims:
        raise InvalidArgumentError(f"{this} must specify 'dims' for {config.name}")
    if any(dim < 1 and dim != -1 for dim in tensor.dims):
        raise InvalidArgumentError(
            f"{this} dimension must be integer >= 1, or -1 to indicate a variable-size dimension for {config.name}"
        )
    if isinstance(tensor, ModelInput) and tensor.format in _IMAGE_FORMATS and len(tensor.dims) != 3:
        raise InvalidArgumentError(f"model {kind} NHWC/NCHW require 3 dims for {config.name}")
    if tensor.reshape is not None:
        _validate_reshape(config, this, tensor.dims, tensor.reshape)


def _validate_reshape(config: ModelConfig, this: str, dims: Dims, reshape: Dims) -> None:
    if any(dim < 1 and dim != -1 for dim in reshape):
        raise InvalidArgumentError(
            f"{this} reshape dimensions must be integer >= 1, or -1 to indicate a variable-size dimension for {config.name}"
        )
    if not reshape and not config.is_batching:
        raise InvalidArgumentError(
            f"{this} cannot have empty reshape for non-batching model as scalar tensors are not supported for {config.name}"
        )
    if dims.count(-1) != reshape.count(-1):
        raise InvalidArgumentError(
            f"{this} has different number of variable-size dimensions for dims and reshape for {config.name}"
        )
    # Variable dimensions are matched in order, so what stands between them must hold as many elements on either side:
    # [2, 4, -1, 6] may become [8, -1, 1, 6].
    if list(_element_counts(dims)) != list(_element_counts(reshape)):
        raise InvalidArgumentError(f"{this} has different size for dims and reshape for {config.name}")


def _element_counts(dims: Dims) -> Iterator[int]:
    count = 1
    for dim in dims:
        if dim == -1:
            yield count
            count = 1
        else:
            count *= dim
    yield count
