"""What is asked over HTTP beside inference: paths and JSON <-> the messages of the RPCs that answer.

Source: Triton inference protocol over HTTP, with its extensions for statistics, model configuration, model repository, shared memory,
trace and logging.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from google.protobuf.message import Message

from aisle_protocol.generated import grpc_service_pb2 as pb
from aisle_server import messages
from aisle_server.errors import InvalidArgumentError
from aisle_server.frontends.http.json_text import kind_of
from aisle_server.model_config.json_form import message_fields

Path = Mapping[str, str]
Fields = Mapping[str, Any]


class HttpRpc(NamedTuple):
    """An RPC over HTTP.

    Attributes:
        method: Of HTTP. A GET has no body.
        paths: Where it is asked; what stands in braces goes to `read`.
        rpc: Its name.
        read: The path's parts and the body's fields to its request.
        write: Its response to JSON values.
    """

    method: str
    paths: tuple[str, ...]
    rpc: str
    read: Callable[[Path, Fields], Message]
    write: Callable[[Any], Any] = message_fields


def _of_model(tail: str) -> tuple[str, ...]:
    return f"/v2/models/{{model}}{tail}", f"/v2/models/{{model}}/versions/{{version}}{tail}"


def _named(kind: type[Message]) -> Callable[[Path, Fields], Message]:
    return lambda path, _fields: kind(name=path.get("model", ""), version=path.get("version", ""))


def _region(kind: type[Message]) -> Callable[[Path, Fields], Message]:
    return lambda path, _fields: kind(name=path.get("region", ""))


def _index_request(path: Path, fields: Fields) -> Message:
    return _filled(
        pb.RepositoryIndexRequest, repository_name=path.get("repository", ""), ready=fields.get("ready", False)
    )


def _index_json(response: pb.RepositoryIndexResponse) -> list[dict[str, str]]:
    # A model that was never loaded is a name alone.
    return [
        {"name": each.name}
        | ({"version": each.version, "state": each.state, "reason": each.reason} if each.state else {})
        for each in response.models
    ]


def _load_request(path: Path, fields: Fields) -> Message:
    request = pb.RepositoryModelLoadRequest(repository_name=path.get("repository", ""), model_name=path["model"])
    for name, value in _parameters(fields).items():
        if name.startswith("file:"):
            try:
                request.parameters[name].bytes_param = base64.b64decode(_text(name, value), validate=True)
            except (binascii.Error, ValueError):
                raise InvalidArgumentError(f"load parameter '{name}' is not Base64") from None
        else:
            _set(request.parameters[name], name, value)
    return request


def _unload_request(path: Path, fields: Fields) -> Message:
    request = pb.RepositoryModelUnloadRequest(repository_name=path.get("repository", ""), model_name=path["model"])
    for name, value in _parameters(fields).items():
        _set(request.parameters[name], name, value)
    return request


def _nothing(_response: Message) -> None:
    """These are answered by an empty body."""


def _register_request(path: Path, fields: Fields) -> Message:
    for name in ("key", "byte_size"):
        if name not in fields:
            raise InvalidArgumentError(f"Shared memory register request has no '{name}' field")
    return _filled(
        pb.SystemSharedMemoryRegisterRequest,
        name=path["region"],
        key=fields["key"],
        offset=fields.get("offset", 0),
        byte_size=fields["byte_size"],
    )


def _cuda_register_request(path: Path, _fields: Fields) -> Message:
    # Refused whatever it says.
    return pb.CudaSharedMemoryRegisterRequest(name=path["region"])


def _regions_json(response: Any) -> list[dict[str, Any]]:
    return [message_fields(response.regions[name]) for name in sorted(response.regions)]


def _trace_request(path: Path, fields: Fields) -> Message:
    request = pb.TraceSettingRequest(model_name=path.get("model", ""))
    for name, value in fields.items():
        # No value clears what was set.
        values = [] if value is None else value if isinstance(value, list) else [value]
        request.settings[name].value.extend(_text(name, each) for each in values)
    return request


def _trace_json(response: pb.TraceSettingResponse) -> dict[str, Any]:
    # Of all the settings one is a list.
    return {
        name: list(setting.value) if name == "trace_level" else next(iter(setting.value), "")
        for name, setting in response.settings.items()
    }


def _log_request(_path: Path, fields: Fields) -> Message:
    request = pb.LogSettingsRequest()
    for name, value in fields.items():
        if value is None:
            continue  # null is no change
        setting = request.settings[name]
        if isinstance(value, bool):
            setting.bool_param = value
        elif isinstance(value, int) and 0 <= value < 2**32:
            setting.uint32_param = value
        else:
            setting.string_param = _text(name, value)
    return request


def _log_json(response: pb.LogSettingsResponse) -> dict[str, Any]:
    return {name: getattr(each, each.WhichOneof("parameter_choice")) for name, each in response.settings.items()}


def _no_fields(kind: type[Message]) -> Callable[[Path, Fields], Message]:
    return lambda _path, _fields: kind()


def _config_json(response: pb.ModelConfigResponse) -> Any:
    return message_fields(response.config)


_REPOSITORY: Final = ("/v2/repository", "/v2/repository/{repository}")
_SYSTEM, _CUDA = "/v2/systemsharedmemory", "/v2/cudasharedmemory"
_TRACE: Final = ("/v2/trace/setting", "/v2/models/{model}/trace/setting")


def _in_repository(tail: str) -> tuple[str, ...]:
    return tuple(each + tail for each in _REPOSITORY)


def _of_region(kind: str, verb: str) -> tuple[str, ...]:
    return f"{kind}/{verb}", f"{kind}/region/{{region}}/{verb}"


# `/v2/models/stats` stands before the models: one that is called so is described only with its version in the path, as on Triton.
HTTP_RPCS: Final = (
    HttpRpc("GET", ("/v2",), "ServerMetadata", _no_fields(pb.ServerMetadataRequest)),
    HttpRpc("GET", ("/v2/models/stats", *_of_model("/stats")), "ModelStatistics", _named(pb.ModelStatisticsRequest)),
    HttpRpc("GET", _of_model(""), "ModelMetadata", _named(pb.ModelMetadataRequest)),
    HttpRpc("GET", _of_model("/config"), "ModelConfig", _named(pb.ModelConfigRequest), _config_json),
    HttpRpc("POST", _in_repository("/index"), "RepositoryIndex", _index_request, _index_json),
    HttpRpc("POST", _in_repository("/models/{model}/load"), "RepositoryModelLoad", _load_request, _nothing),
    HttpRpc("POST", _in_repository("/models/{model}/unload"), "RepositoryModelUnload", _unload_request, _nothing),
    HttpRpc(
        "GET",
        _of_region(_SYSTEM, "status"),
        "SystemSharedMemoryStatus",
        _region(pb.SystemSharedMemoryStatusRequest),
        _regions_json,
    ),
    HttpRpc("POST", _of_region(_SYSTEM, "register")[1:], "SystemSharedMemoryRegister", _register_request, _nothing),
    HttpRpc(
        "POST",
        _of_region(_SYSTEM, "unregister"),
        "SystemSharedMemoryUnregister",
        _region(pb.SystemSharedMemoryUnregisterRequest),
        _nothing,
    ),
    HttpRpc(
        "GET",
        _of_region(_CUDA, "status"),
        "CudaSharedMemoryStatus",
        _region(pb.CudaSharedMemoryStatusRequest),
        _regions_json,
    ),
    HttpRpc("POST", _of_region(_CUDA, "register")[1:], "CudaSharedMemoryRegister", _cuda_register_request, _nothing),
    HttpRpc(
        "POST",
        _of_region(_CUDA, "unregister"),
        "CudaSharedMemoryUnregister",
        _region(pb.CudaSharedMemoryUnregisterRequest),
        _nothing,
    ),
    HttpRpc("GET", _TRACE, "TraceSetting", _trace_request, _trace_json),
    HttpRpc("POST", _TRACE, "TraceSetting", _trace_request, _trace_json),
    HttpRpc("GET", ("/v2/logging",), "LogSettings", _log_request, _log_json),
    HttpRpc("POST", ("/v2/logging",), "LogSettings", _log_request, _log_json),
)


def _filled(kind: type[Message], **fields: Any) -> Message:
    try:
        return kind(**fields)
    except (TypeError, ValueError):
        given = ", ".join(f"'{name}': {kind_of(value)}" for name, value in fields.items())
        raise InvalidArgumentError(
            f"the request JSON has a value of the wrong kind or out of range, got {given}"
        ) from None


def _parameters(fields: Fields) -> Mapping[str, Any]:
    parameters = fields.get("parameters", {})
    if not isinstance(parameters, dict):
        raise InvalidArgumentError(f"Unable to parse 'parameters': got {kind_of(parameters)}, expected an object")
    return parameters


def _set(target: Any, name: str, value: Any) -> None:
    if isinstance(value, bool):
        target.bool_param = value
    elif isinstance(value, int) and -(2**63) <= value < 2**63:
        target.int64_param = value
    elif isinstance(value, str):
        target.string_param = _text(name, value)
    else:
        raise InvalidArgumentError(messages.parameter_type(name, "a boolean, a 64-bit integer or a string"))


def _text(name: str, value: Any) -> str:
    try:
        if isinstance(value, str):
            value.encode()  # half a character, which JSON can write, is none
            return value
    except UnicodeEncodeError:
        pass
    raise InvalidArgumentError(f"'{name}' is {kind_of(value)}; expected a string of whole characters")
