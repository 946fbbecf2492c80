"""Parameters of loads and unloads: the protocol's messages -> plain values.

Source: Triton, "Model Repository Extension"; texts of its gRPC frontend.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from aisle_protocol.generated import grpc_service_pb2 as pb
from aisle_server import messages
from aisle_server.errors import InvalidArgumentError
from aisle_server.inference_server import LoadOverride

_FILE_PREFIX: Final = "file:"


def decode_load_override(parameters: Mapping[str, pb.ModelRepositoryParameter]) -> LoadOverride:
    """Return what a load request brings along.

    Raises:
        InvalidArgumentError: A parameter that loads do not have, or a value of the wrong type.
    """
    config: str | None = None
    files: dict[str, bytes] = {}
    for name, parameter in parameters.items():
        choice = parameter.WhichOneof("parameter_choice")
        if name == "config":
            if choice != "string_param":
                raise InvalidArgumentError(messages.load_parameter_type(name, "string_param"))
            config = parameter.string_param
        elif name.startswith(_FILE_PREFIX):
            if choice != "bytes_param":
                raise InvalidArgumentError(messages.load_parameter_type(name, "bytes_param"))
            files[name.removeprefix(_FILE_PREFIX)] = parameter.bytes_param
        else:
            raise InvalidArgumentError(messages.unknown_load_parameter(name))
    return LoadOverride(config, files)


def decode_unload_dependents(parameters: Mapping[str, pb.ModelRepositoryParameter]) -> bool:
    """Return whether an unload is about the models that an ensemble needs too. Other parameters are passed over, as Triton does.

    Raises:
        InvalidArgumentError: The value is not of the right type.
    """
    if "unload_dependents" not in parameters:
        return False
    parameter = parameters["unload_dependents"]
    if parameter.WhichOneof("parameter_choice") != "bool_param":
        raise InvalidArgumentError(messages.parameter_type("unload_dependents", "bool_param"))
    return parameter.bool_param
