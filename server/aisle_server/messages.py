"""Texts that Triton's clients and their tests compare, word for word. Texts of our own stand where they are raised.

Source: Triton Inference Server, error texts of core and frontends.
"""

from __future__ import annotations

from collections.abc import Sequence

QUEUE_TIMEOUT = "Request timeout expired"
SERVER_EXITING = "Server exiting"
SERVER_NOT_READY = "Server not ready"
LOAD_NOT_ALLOWED = "explicit model load / unload is not allowed if polling is enabled"
FILE_OVERRIDE_DISABLED = "file override is disabled. Start the server with '--allow-file-override=true' to enable."
REPOSITORY_NAME_UNSUPPORTED = "'repository_name' specification is not supported"
SHUTTING_DOWN = "GRPC server is shutting down and has stopped accepting new requests."
DECOUPLED_ON_UNARY = "ModelInfer RPC doesn't support models with decoupled transaction policy"
SHARED_MEMORY_DISABLED = "Client shared memory is disabled. Start the server with '--allow-client-shm=true' to enable."
PRIORITY_NEGATIVE = "invalid value for 'priority', expected value >= 0."
SEQUENCE_ID_TOO_LONG = "string correlation ID cannot be longer than 128 characters"
CLASSIFICATION_NOT_POSITIVE = "invalid value for 'classification' parameter, expected >= 0"
CLASSIFICATION_TYPE = "invalid value type for 'classification' parameter, expected int64_param"
CLASSIFICATION_WITH_SHARED_MEMORY = "output can't set both 'shared_memory_region' and 'classification'"
CLASSIFICATION_TOO_LARGE = "classification output tensor too large"


DECOUPLED_OVER_HTTP = "HTTP end point doesn't support models with decoupled transaction policy"
MODEL_VERSION_NOT_READY = "Model version not ready"
SHAPE_IS_NOT_THE_DATAS = "Unable to parse 'data': Shape does not match true shape of 'data' field"
NO_FP16_JSON_INPUT = (
    "receiving {datatype} data via JSON is not supported. Please use the binary data format for input {name}"
)
NO_FP16_JSON_OUTPUT = (
    "sending {datatype} data via JSON is not supported. Please use the binary data format for output {name}"
)


def dims_text(dims: Sequence[int]) -> str:
    """Write dimensions as Triton does: `[-1,16]`."""
    return f"[{','.join(map(str, dims))}]"


def queue_full(log_prefix: str) -> str:
    """The queue had no room for a request."""
    return f"{log_prefix}Exceeds maximum queue size"


def scheduler_stopping(log_prefix: str) -> str:
    """A request came while its model was being unloaded or the server stopped."""
    return f"{log_prefix}Server is stopping, scheduler for model has stopped accepting new inference requests"


def sequence_batch_size(model: str) -> str:
    """A request of a sequence has several rows."""
    return f"inference request to model '{model}' must specify batch-size 1 due to requirements of sequence batcher"


def sequence_id_missing(model: str) -> str:
    """A request for a model that keeps state does not say which sequence it belongs to."""
    return f"inference request to model '{model}' must specify a non-zero or non-empty correlation ID"


def sequence_not_started(sequence_id: int | str, model: str) -> str:
    """A request belongs to a sequence that nobody has started, or that was over."""
    return (
        f"inference request for sequence {sequence_id} to model '{model}' must specify the START flag on the first request of the"
        " sequence"
    )


def version_not_integral(text: str) -> str:
    """A version string is no number at all."""
    return (
        f"failed to get model version from specified version string '{text}' (details: stol), "
        "version should be an integral value > 0"
    )


def version_negative(text: str) -> str:
    """A version string is a negative number."""
    return f"invalid model version specified '{text}' , version should be an integral value > 0"


def duplicate_input(log_prefix: str, name: str) -> str:
    """A request gives one input twice."""
    return f"{log_prefix}input '{name}' already exists in request"


def duplicate_output(log_prefix: str, name: str) -> str:
    """A request asks for one output twice."""
    return f"{log_prefix}output '{name}' already exists in request"


def reserved_parameter(name: str) -> str:
    """A request parameter has a name that the protocol keeps for itself."""
    return (
        "parameter keys starting with 'triton_' are reserved for Triton usage. Only the following keys starting with 'triton_' are"
        f" allowed: triton_enable_empty_final_response, got '{name}'"
    )


def parameter_type(name: str, expected: str) -> str:
    """A request parameter has a value of the wrong type."""
    return f"invalid value type for '{name}' parameter, expected {expected}."


def contents_with_raw_contents(name: str, model: str) -> str:
    """An input has typed contents in a request that has raw contents."""
    return f"contents field must not be specified when using raw_input_contents for '{name}' for model '{model}'"


def contents_with_shared_memory(name: str, model: str) -> str:
    """An input has typed contents and lies in shared memory."""
    return f"unexpected 'content' provided when using shared memory for input tensor '{name}' for model '{model}'"


def no_data(name: str, model: str) -> str:
    """An input came without data."""
    return f"unable to find data for input tensor '{name}' for model '{model}' in request."


def unexpected_contents(name: str, model: str, came: str, expected: str, *, is_second: bool = False) -> str:
    """Typed contents stand in a field of another datatype, or in two fields."""
    text = f"unexpected explicit tensor data for input tensor '{name}' for model '{model}'"
    if is_second:
        return f"{text}, binary data was already supplied."
    return f"{text} of type '{came}', expected datatype '{expected}'"


def unknown_shared_memory(region: str) -> str:
    """A tensor lies in a region that nobody registered."""
    return f"Unable to find shared memory region: '{region}'"


def unknown_shared_memory_status(kind: str, region: str) -> str:
    """The status was asked of a region that nobody registered."""
    return f"Unable to find {kind} shared memory region: '{region}'"


def dimension_unspecified(log_prefix: str, name: str, model: str, dims: Sequence[int]) -> str:
    """A request leaves a dimension of an input open."""
    return f"{log_prefix}All input dimensions should be specified for input '{name}' for model '{model}', got {dims_text(dims)}"


def dimension_invalid(name: str, dims: Sequence[int]) -> str:
    """An input has a negative dimension."""
    return f"tensor '{name}' contains an invalid dimension in shape {dims_text(dims)}"


def byte_size_overflow(name: str) -> str:
    """An input's shape promises more bytes than can be counted."""
    return f"byte size for tensor '{name}' exceeds maximum size of 9223372036854775807"


def byte_size_mismatch(log_prefix: str, name: str, model: str, expected: int, got: int) -> str:
    """An input's data does not fill its shape, or overflows it."""
    return (
        f"{log_prefix}input byte size mismatch for input '{name}' for model '{model}'. Expected {expected}, got {got}"
    )


def incomplete_string_length(log_prefix: str, name: str, model: str, left: int) -> str:
    """BYTES data ends within the length of an element."""
    return (
        f"{log_prefix}incomplete string length indicator for inference input '{name}' for model '{model}', "
        f"expecting 4 bytes but only {left} bytes available. Please make sure the string length indicator is in one buffer."
    )


def incomplete_string(name: str, declared: int, left: int) -> str:
    """BYTES data ends within the last element."""
    return (
        f"incomplete string data for inference input '{name}', "
        f"expecting string of length {declared} but only {left} bytes available"
    )


def too_many_strings(log_prefix: str, name: str, model: str, came: int, expected: int) -> str:
    """BYTES data goes on after its last element. Counting stops at the first that is too many."""
    return (
        f"{log_prefix}unexpected number of string elements {came} for inference input '{name}' for model '{model}', "
        f"expecting {expected}"
    )


def too_few_strings(log_prefix: str, name: str, model: str, came: int, expected: int) -> str:
    """BYTES data ends before its last element."""
    return (
        f"{log_prefix}expected {expected} string elements for inference input '{name}' for model '{model}', got {came}"
    )


def response_too_large(byte_size: int, limit: int) -> str:
    """The outputs do not fit into one message."""
    return f"Response has byte size {byte_size} which exceeds gRPC's byte size limit {limit}."


def not_classifiable(datatype: str) -> str:
    """A classification was asked of an output whose elements have no order."""
    return f"class result not available for output due to unsupported type '{datatype}'"


def unknown_model(name: str) -> str:
    """No such model was ever loaded."""
    return f"Request for unknown model: '{name}' is not found"


def unknown_version(name: str, version: int) -> str:
    """The model has no such version."""
    return f"Request for unknown model: '{name}' version {version} is not found"


def no_available_versions(name: str) -> str:
    """The latest version was asked for, and none is ready."""
    return f"Request for unknown model: '{name}' has no available versions"


def version_not_ready(name: str, version: int) -> str:
    """The version is known, and is loading, unloading or broken."""
    return f"Request for unknown model: '{name}' version {version} is not at ready state"


def unexpected_output(output: str, model: str) -> str:
    """A requested output is not the model's."""
    return f"unexpected inference output '{output}' for model '{model}'"


def unexpected_input(name: str, model: str) -> str:
    """A given input is not the model's."""
    return f"unexpected inference input '{name}' for model '{model}'"


def batch_too_large(log_prefix: str, limit: int, model: str) -> str:
    """More rows in one request than the model takes."""
    return f"{log_prefix}inference request batch-size must be <= {limit} for '{model}'"


def in_ensemble(ensemble: str, message: str) -> str:
    """A step of an ensemble failed."""
    return f"in ensemble '{ensemble}', {message}"


def wrong_inputs(
    log_prefix: str, model: str, given: Sequence[str], missing: Sequence[str], required: int, total: int
) -> str:
    """Too few or too many inputs, or not the required ones.

    Args:
        log_prefix: `InferenceRequest.log_prefix()`.
        model: Which model.
        given: Names that came.
        missing: Required names that did not, in the order of the model configuration.
        required: Inputs that are not optional.
        total: Inputs of the model.
    """
    count = f"{total} inputs" if required == total else f"number of inputs between {required} and {total}"
    came = _quoted(sorted(given))
    text = f"{log_prefix}expected {count} but got {len(given)} inputs for model '{model}'. Got input(s) [{came}]"
    if missing:
        text += f", but missing required input(s) [{_quoted(missing)}]. Please provide all required input(s)"
    return f"{text}."


def no_batch_dimension(log_prefix: str, name: str, model: str) -> str:
    """A scalar came for a model that batches."""
    return f"{log_prefix}input '{name}' has no shape but model requires batch dimension for '{model}'"


def unequal_batch_sizes(log_prefix: str, name: str, model: str) -> str:
    """Two inputs of one request have different numbers of rows."""
    return f"{log_prefix}input '{name}' batch size does not match other inputs for '{model}'"


def wrong_datatype(log_prefix: str, name: str, model: str, given: str, expected: str) -> str:
    """An input has another datatype than the model configuration says."""
    return f"{log_prefix}inference input '{name}' data-type is '{given}', but model '{model}' expects '{expected}'"


def invalid_datatype(log_prefix: str, name: str, model: str, given: str, expected: str) -> str:
    """An input has a datatype that the protocol does not know."""
    return f"{wrong_datatype(log_prefix, name, model, '<invalid>', expected)}, got '{given}'"


def wrong_shape(
    log_prefix: str, name: str, model: str, given: Sequence[int], dims: Sequence[int], is_batching: bool
) -> str:
    """An input has another shape than the model configuration says. What to send instead is ours to add.

    Args:
        log_prefix: `InferenceRequest.log_prefix()`.
        name: Of the input.
        model: Which model.
        given: The shape that came.
        dims: The shape that the configuration says, without the batch dimension.
        is_batching: Whether the model wants a batch dimension in front.
    """
    if not is_batching:
        expected = dims_text(dims)
        return f"{log_prefix}unexpected shape for input '{name}' for model '{model}'. Expected {expected}, got {dims_text(given)}. "
    return (
        f"{log_prefix}unexpected shape for input '{name}' for model '{model}'."
        f" Expected {dims_text((-1, *dims))}, got {dims_text(given)}."
        " NOTE: Setting a non-zero max_batch_size in the model config requires a batch dimension to be prepended to each input shape."
        " If you want to specify the full shape including the batch dim in your input dims config, try setting max_batch_size to zero."
        " See the model configuration docs for more info on max_batch_size."
        f" Send one element as shape {dims_text((1, *dims))}, N of them as {dims_text(dims).replace('[', '[N,', 1)}."
    )


def no_version_to_load(model: str) -> str:
    """The version policy leaves nothing of what the model directory holds."""
    return f"at least one version must be available under the version policy of model '{model}'"


def version_states(reasons: Sequence[tuple[int, str]]) -> str:
    """Why versions are not served, a line each: pairs of version and reason."""
    return "".join(f"version {version} is at UNAVAILABLE state: {reason};\n" for version, reason in reasons)


def load_failed(model: str, reasons: Sequence[tuple[int, str]]) -> str:
    """A model that was found could not be loaded: pairs of version and why it is not served."""
    return f"load failed for model '{model}': {version_states(reasons)}"


def failed_to_poll(model: str) -> str:
    """A model is in no repository, or what is there cannot be read."""
    return f"failed to load '{model}', failed to poll from model repository"


EMPTY_MODEL_NAME = "Model name cannot be empty. Please enter a valid name to deploy."
DUPLICATE_MODEL = "model appears in two or more repositories"
UNLOADED = "unloaded"


def unknown_load_parameter(name: str) -> str:
    """A load came with a parameter that loads do not have."""
    return f"unrecognized load parameter '{name}'."


def load_parameter_type(name: str, expected: str) -> str:
    """A parameter of a load has a value of the wrong type."""
    return f"invalid value type for load parameter '{name}', expected {expected}."


def unsafe_model_name(name: str) -> str:
    """A model name that could lead out of the repository."""
    return f"invalid model name '{name}', model name must not contain path traversal characters"


def model_not_available(name: str) -> str:
    """Statistics of a model that is unknown or not ready."""
    return f"requested model '{name}' is not available"


def model_version_not_available(name: str) -> str:
    """Statistics of a model version that is unknown or not ready."""
    return f"requested model version is not available for model '{name}'"


def body_too_large(byte_size: int | str, limit: int) -> str:
    """An HTTP body, as sent or decompressed, is larger than the endpoint takes."""
    return (
        f"Request JSON size of {byte_size} bytes exceeds the maximum allowed value of {limit} bytes. "
        "Use --http-max-input-size to increase the limit."
    )


def header_length_out_of_range(text: str, byte_size: int) -> str:
    """`Inference-Header-Content-Length` points outside of the body, or is no number."""
    return f"inference header size should be in range (0, {byte_size}), got: {text}"


def not_one_way_of_data(name: str, given: Sequence[str]) -> str:
    """An input of an HTTP request has no data, or has them twice. Which input is ours to add."""
    return (
        "Input must set only one of the following fields: 'data', 'binary_data_size' in 'parameters', 'shared_memory_region' in"
        f" 'parameters'. But {f'set {chr(32).join(given)}' if given else 'no field is set'}, input '{name}'"
    )


def too_little_binary_data(name: str, model: str, missing: int) -> str:
    """A body ends before the binary data of an input do."""
    return f"unexpected size for input '{name}', expecting {missing} additional bytes for model '{model}'"


def too_much_binary_data(model: str) -> str:
    """A body goes on after the binary data of the last input."""
    return f"unexpected additional input data for model '{model}'"


def _quoted(names: Sequence[str]) -> str:
    return ",".join(f"'{name}'" for name in names)
