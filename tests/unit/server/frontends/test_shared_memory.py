"""Regions of shared memory, over a folder that stands for /dev/shm."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import Any

import pytest

from aisle_server.errors import AlreadyExistsError, InternalError, InvalidArgumentError, NotFoundError
from aisle_server.frontends.shared_memory import SharedMemoryRegions

CONTENT = bytes(range(100))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one object of 100 bytes, and a file beside it."""
    shm = tmp_path / "shm"
    shm.mkdir()
    (shm / "object").write_bytes(CONTENT)
    (tmp_path / "secret").write_bytes(CONTENT)
    return shm


def _regions(folder: Path, offset: int = 10, byte_size: int = 50) -> SharedMemoryRegions:
    regions = SharedMemoryRegions(is_allowed=True, folder=folder)
    regions.register("r", "/object", offset, byte_size)
    return regions


def _is_open(path: Path) -> bool:
    return any(os.path.samefile(link, path) for link in Path("/proc/self/fd").iterdir() if link.exists())


def test_a_region_is_read_and_written(folder: Path) -> None:
    """Offsets of a request count from where the region begins."""
    region = _regions(folder).region("r")
    assert region.read(5, 3) == CONTENT[15:18]
    region.write(0, b"abc")
    assert (folder / "object").read_bytes() == CONTENT[:10] + b"abc" + CONTENT[13:]


def test_57_a_name_is_taken_once(folder: Path) -> None:
    """Registering twice is refused; after unregistering the name is free."""
    regions = _regions(folder)
    with pytest.raises(AlreadyExistsError, match="^shared memory region 'r' already in manager$"):
        regions.register("r", "object", 0, 1)
    regions.unregister("r")
    regions.register("r", "object", 0, 1)
    assert [(each.name, each.key, each.offset, each.byte_size) for each in regions.status()] == [("r", "object", 0, 1)]


@pytest.mark.parametrize(
    ("key", "error", "text"),
    [
        ("/nope", InternalError, "Unable to open shared memory region: '/nope'"),
        ("///", InvalidArgumentError, "cannot register shared memory region 'r' - invalid shm key '///'"),
        ("", InvalidArgumentError, "cannot register shared memory region 'r' - invalid shm key ''"),
        ("..", InvalidArgumentError, "invalid shm key"),
        ("/../secret", InvalidArgumentError, "invalid shm key"),
        ("object/../../secret", InvalidArgumentError, "invalid shm key"),
        ("object\0", InvalidArgumentError, "invalid shm key"),
        ("/link", InternalError, "Unable to open shared memory region: '/link'"),
        ("/pipe", InternalError, "Unable to open shared memory region: '/pipe'"),
        ("/folder", InternalError, "Unable to open shared memory region: '/folder'"),
        (
            "//triton_python_backend_shm_region_1",
            InvalidArgumentError,
            "cannot register shared memory region 'r' with key '//triton_python_backend_shm_region_1' as the key contains the "
            "reserved prefix 'triton_python_backend_shm_region_'",
        ),
    ],
)
def test_58_63_64_what_is_no_shared_memory_is_refused(folder: Path, key: str, error: Any, text: str) -> None:
    """Unknown keys, slashes alone, reserved names, and every way out of the folder."""
    (folder / "link").symlink_to(folder.parent / "secret")
    (folder / "folder").mkdir()
    os.mkfifo(folder / "pipe")
    with pytest.raises(error) as caught:
        SharedMemoryRegions(is_allowed=True, folder=folder).register("r", key, 0, 1)
    assert text in caught.value.message


@pytest.mark.parametrize(
    ("offset", "byte_size"), [(0, 101), (1, 100), (100, 1), (2**64 - 1, 2), (0, 2**64 - 1), (0, 0)]
)
def test_59_62_a_region_is_within_its_object(folder: Path, offset: int, byte_size: int) -> None:
    """One byte too far, either way, is refused, and so is what would wrap around."""
    regions = SharedMemoryRegions(is_allowed=True, folder=folder)
    with pytest.raises(InvalidArgumentError, match="^failed to register shared memory region 'r': invalid args$"):
        regions.register("r", "object", offset, byte_size)
    regions.register("r", "object", 0, 100)


@pytest.mark.parametrize(
    ("offset", "byte_size", "text"),
    [
        (50, 0, "Invalid offset for shared memory region: 'r'"),
        (-1, 1, "Invalid offset for shared memory region: 'r'"),
        (2**63 - 1, 1, "Invalid offset for shared memory region: 'r'"),
        (0, 51, "Invalid offset + byte size for shared memory region: 'r'"),
        (49, 2, "Invalid offset + byte size for shared memory region: 'r'"),
        (1, 2**63 - 1, "Invalid offset + byte size for shared memory region: 'r'"),
        (1, -1, "Invalid offset + byte size for shared memory region: 'r'"),
    ],
)
def test_60_61_a_tensor_is_within_its_region(folder: Path, offset: int, byte_size: int, text: str) -> None:
    """A tensor that begins at the region's end, or ends behind it, is refused."""
    with pytest.raises(InvalidArgumentError) as caught:
        _regions(folder).region("r").read(offset, byte_size)
    assert caught.value.message == text


def test_a_shrunk_object_harms_nobody(folder: Path) -> None:
    """A caller who shrinks the memory after registering it hears of it, and the server lives."""
    region = _regions(folder).region("r")
    os.truncate(folder / "object", 20)
    with pytest.raises(InvalidArgumentError, match="Invalid offset \\+ byte size"):
        region.read(0, 50)


def test_65_66_unregistering_waits_for_nobody(folder: Path) -> None:
    """Unknown names are no error; a region in use stays open until it is let go, and is closed then."""
    regions = _regions(folder)
    regions.unregister("nope")
    held = regions.region("r")
    regions.unregister()
    assert regions.status() == []
    assert held.read(0, 1) == CONTENT[10:11]
    assert _is_open(folder / "object")
    del held
    gc.collect()
    assert not _is_open(folder / "object")


def test_unknown_regions_are_told() -> None:
    """By the texts of a request and of a status."""
    regions = SharedMemoryRegions()
    with pytest.raises(NotFoundError, match="^Unable to find shared memory region: 'r'$"):
        regions.region("r")
    with pytest.raises(NotFoundError, match="^Unable to find system shared memory region: 'r'$"):
        regions.status("r")
