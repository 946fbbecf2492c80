"""Tensors in shared memory, as the parameters of inputs and requested outputs name it.

Source: Triton inference protocol, "Inference" of the shared memory extensions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aisle_protocol.generated import grpc_service_pb2 as pb
from aisle_server.errors import InternalError, InvalidArgumentError
from aisle_server.frontends.shared_memory import Region, SharedMemoryRegions

REGION = "shared_memory_region"
OFFSET = "shared_memory_offset"
BYTE_SIZE = "shared_memory_byte_size"


@dataclass(frozen=True, slots=True)
class Placement:
    """A stretch of a region: where an input lies, or an output shall.

    Attributes:
        region: Kept open by whoever holds this.
        offset: In the region, in bytes.
        byte_size: Of the stretch.
    """

    region: Region
    offset: int
    byte_size: int

    def read(self) -> bytes:
        """Return what lies there.

        Raises:
            InvalidArgumentError: The caller has shrunk the memory since it was registered.
        """
        return self.region.read(self.offset, self.byte_size)

    def write(self, output: str, content: bytes) -> None:
        """Leave an output there.

        Raises:
            InternalError: It is larger than the caller thought.
        """
        if len(content) > self.byte_size:
            raise InternalError(
                f"shared memory size specified with the request for output '{output}' ({self.byte_size} bytes) "
                f"should be at least {len(content)} bytes to hold the results"
            )
        self.region.write(self.offset, content)


def decode_placement(
    tensor: str, parameters: Mapping[str, pb.InferParameter], regions: SharedMemoryRegions
) -> Placement | None:
    """Return where the parameters of a tensor say that it lies; None when it is in the message.

    Args:
        tensor: Its name, for error texts.
        parameters: Of the tensor, in a request.
        regions: Those that are registered.

    Raises:
        InvalidArgumentError: A parameter has a value of the wrong type or lacks another, or the stretch is not within its region.
        NotFoundError: No such region.
    """
    region = _value(tensor, parameters, REGION, "string_param")
    offset = _value(tensor, parameters, OFFSET, "int64_param")
    byte_size = _value(tensor, parameters, BYTE_SIZE, "int64_param")
    if region is None:
        for name, value in ((OFFSET, offset), (BYTE_SIZE, byte_size)):
            if value is not None:
                raise InvalidArgumentError(
                    f"'{name}' can not be specified without '{REGION}' parameter for tensor '{tensor}'"
                )
        return None
    if byte_size is None:
        raise InvalidArgumentError(
            f"'{BYTE_SIZE}' must be specified along with '{REGION}' parameter for tensor '{tensor}'"
        )
    placement = Placement(regions.region(region), offset or 0, byte_size)
    placement.region.check(placement.offset, byte_size)
    return placement


def _value(tensor: str, parameters: Mapping[str, pb.InferParameter], name: str, expected: str) -> Any:
    # A look at a key that is not there would put it there.
    if name not in parameters:
        return None
    parameter = parameters[name]
    if parameter.WhichOneof("parameter_choice") != expected:
        raise InvalidArgumentError(
            f"invalid value type for '{name}' parameter for tensor '{tensor}', expected {expected}."
        )
    return getattr(parameter, expected)
