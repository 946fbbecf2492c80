"""Regions of system shared memory that callers register, to leave inputs there and find outputs.

Regions are read and written through their file, not mapped: a caller who shrinks a mapped region kills whoever touches it (SIGBUS),
and one who writes into a mapped tensor changes it after it was checked. The price is one copy each way, which the bytes would also
have had in a message.

Source: Triton, system shared memory extension; its texts.
"""

from __future__ import annotations

import os
import stat
import weakref
from pathlib import Path
from typing import Final

from aisle_server import messages
from aisle_server.errors import AlreadyExistsError, InternalError, InvalidArgumentError, NotFoundError

# Where Linux shows POSIX shared memory.
SHARED_MEMORY_FOLDER: Final = Path("/dev/shm")
# Those through which Triton talks to its python models.
_RESERVED_PREFIX: Final = "triton_python_backend_shm_region_"


class Region:
    """A stretch of a shared-memory object, open for as long as somebody holds it.

    Attributes:
        name: As the caller calls it.
        key: Of the shared-memory object, as the caller gave it.
        offset: Where the region begins in it, in bytes.
        byte_size: Of the region.
    """

    def __init__(self, name: str, key: str, offset: int, byte_size: int, descriptor: int) -> None:
        """Take over an open file."""
        self.name = name
        self.key = key
        self.offset = offset
        self.byte_size = byte_size
        self._descriptor = descriptor
        # A request may hold a region that was unregistered meanwhile; the last to let go closes the file.
        weakref.finalize(self, os.close, descriptor)

    def check(self, offset: int, byte_size: int) -> None:
        """Refuse a stretch that is empty or not within the region.

        Raises:
            InvalidArgumentError: It begins or ends outside.
        """
        if not 0 <= offset < self.byte_size:
            raise InvalidArgumentError(f"Invalid offset for shared memory region: '{self.name}'")
        if not 1 <= byte_size <= self.byte_size - offset:
            raise InvalidArgumentError(f"Invalid offset + byte size for shared memory region: '{self.name}'")

    def read(self, offset: int, byte_size: int) -> bytes:
        """Return a stretch of the region.

        Raises:
            InvalidArgumentError: It is not within the region, or the caller has shrunk the object since it was registered.
        """
        self.check(offset, byte_size)
        pieces: list[bytes] = []
        start, end = self.offset + offset, self.offset + offset + byte_size
        while start < end:  # Linux reads 2 GiB at a time, at most
            piece = os.pread(self._descriptor, end - start, start)
            if not piece:
                raise InvalidArgumentError(f"Invalid offset + byte size for shared memory region: '{self.name}'")
            pieces.append(piece)
            start += len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def write(self, offset: int, content: bytes) -> None:
        """Write a stretch of the region, which was checked."""
        start = self.offset + offset
        rest = memoryview(content)
        while rest:
            written = os.pwrite(self._descriptor, rest, start)
            start += written
            rest = rest[written:]


class SharedMemoryRegions:
    """The regions that are registered, by name."""

    def __init__(self, *, is_allowed: bool = False, folder: Path = SHARED_MEMORY_FOLDER) -> None:
        """Begin without regions.

        Args:
            is_allowed: Whether callers may register any: who may, reads and writes whatever this user keeps in shared memory.
            folder: Where the system shows shared memory.
        """
        self.is_allowed = is_allowed
        self._folder = folder
        self._regions: dict[str, Region] = {}

    def register(self, name: str, key: str, offset: int, byte_size: int) -> None:
        """Open a region.

        Args:
            name: To call it by.
            key: Of an existing shared-memory object.
            offset: Where the region begins in it, in bytes.
            byte_size: Of the region.

        Raises:
            AlreadyExistsError: The name is taken.
            InvalidArgumentError: The key is none, or the region is not within the object.
            InternalError: There is no such object, or it may not be opened.
        """
        if name in self._regions:
            raise AlreadyExistsError(f"shared memory region '{name}' already in manager")
        file_name = key.lstrip("/")
        # What follows the slashes is one name, or shared memory would be a way to every file.
        if file_name in ("", ".", "..") or "/" in file_name or "\0" in file_name:
            raise InvalidArgumentError(f"cannot register shared memory region '{name}' - invalid shm key '{key}'")
        if file_name.startswith(_RESERVED_PREFIX):
            raise InvalidArgumentError(
                f"cannot register shared memory region '{name}' with key '{key}' as the key contains the reserved prefix "
                f"'{_RESERVED_PREFIX}'"
            )
        try:
            descriptor = os.open(self._folder / file_name, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except (OSError, ValueError):
            raise InternalError(f"Unable to open shared memory region: '{key}'") from None
        region = Region(name, key, offset, byte_size, descriptor)
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise InternalError(f"Unable to open shared memory region: '{key}'")
        if byte_size < 1 or offset + byte_size > status.st_size:
            raise InvalidArgumentError(f"failed to register shared memory region '{name}': invalid args")
        self._regions[name] = region

    def unregister(self, name: str = "") -> None:
        """Forget a region, or all of them. Requests that use one keep it until they are answered. An unknown name is no error."""
        if name:
            self._regions.pop(name, None)
        else:
            self._regions.clear()

    def status(self, name: str = "") -> list[Region]:
        """Return one region, or all of them, by name.

        Raises:
            NotFoundError: No such region.
        """
        if not name:
            return [self._regions[each] for each in sorted(self._regions)]
        if name not in self._regions:
            raise NotFoundError(messages.unknown_shared_memory_status("system", name))
        return [self._regions[name]]

    def region(self, name: str) -> Region:
        """Return a region that a request names.

        Raises:
            NotFoundError: No such region.
        """
        if name not in self._regions:
            raise NotFoundError(messages.unknown_shared_memory(name))
        return self._regions[name]
