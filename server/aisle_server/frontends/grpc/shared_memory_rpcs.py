"""The RPCs of the shared-memory extensions. CUDA memory is answered as by a server that was built without GPUs.

Source: Triton inference protocol, system and CUDA shared memory extensions.
"""

from __future__ import annotations

from aisle_protocol.generated import grpc_service_pb2 as pb
from aisle_server import messages
from aisle_server.errors import InvalidArgumentError, NotFoundError, UnsupportedError
from aisle_server.frontends.grpc.call import Call
from aisle_server.frontends.shared_memory import SharedMemoryRegions


class SharedMemoryRpcs:
    """Answers for the regions that are registered. Status and unregister work even where none may be: clients call them first."""

    def __init__(self, regions: SharedMemoryRegions) -> None:
        self._regions = regions

    async def system_shared_memory_status(
        self, message: pb.SystemSharedMemoryStatusRequest, call: Call
    ) -> pb.SystemSharedMemoryStatusResponse:
        """Tell which regions there are."""
        response = pb.SystemSharedMemoryStatusResponse()
        for region in self._regions.status(message.name):
            told = response.regions[region.name]
            told.name, told.key, told.offset, told.byte_size = region.name, region.key, region.offset, region.byte_size
        return response

    async def system_shared_memory_register(
        self, message: pb.SystemSharedMemoryRegisterRequest, call: Call
    ) -> pb.SystemSharedMemoryRegisterResponse:
        """Open a region."""
        if not self._regions.is_allowed:
            raise UnsupportedError(messages.SHARED_MEMORY_DISABLED)
        self._regions.register(message.name, message.key, message.offset, message.byte_size)
        return pb.SystemSharedMemoryRegisterResponse()

    async def system_shared_memory_unregister(
        self, message: pb.SystemSharedMemoryUnregisterRequest, call: Call
    ) -> pb.SystemSharedMemoryUnregisterResponse:
        """Forget a region, or all of them."""
        self._regions.unregister(message.name)
        return pb.SystemSharedMemoryUnregisterResponse()

    async def cuda_shared_memory_status(
        self, message: pb.CudaSharedMemoryStatusRequest, call: Call
    ) -> pb.CudaSharedMemoryStatusResponse:
        """Tell that no region is registered."""
        if message.name:
            raise NotFoundError(messages.unknown_shared_memory_status("cuda", message.name))
        return pb.CudaSharedMemoryStatusResponse()

    async def cuda_shared_memory_register(
        self, message: pb.CudaSharedMemoryRegisterRequest, call: Call
    ) -> pb.CudaSharedMemoryRegisterResponse:
        """Refuse."""
        if not self._regions.is_allowed:
            raise UnsupportedError(messages.SHARED_MEMORY_DISABLED)
        raise InvalidArgumentError(
            f"failed to register CUDA shared memory region: '{message.name}', GPUs not supported"
        )

    async def cuda_shared_memory_unregister(
        self, message: pb.CudaSharedMemoryUnregisterRequest, call: Call
    ) -> pb.CudaSharedMemoryUnregisterResponse:
        """Forget regions, of which there are none."""
        return pb.CudaSharedMemoryUnregisterResponse()
