"""Where an import finds pictures: a folder or a tar archive, read without trusting a single name in it.

Names are compared as text, and nothing is ever extracted: no member's own path is used to write, and no `..`, absolute
path or symbolic link leads out of a folder.
"""

from __future__ import annotations

import lzma
import stat
import tarfile
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from aisle_training.catalogue.errors import CatalogueError
from aisle_training.preprocessing.images import MAXIMUM_BYTES

MAX_PICTURE_BYTES = MAXIMUM_BYTES  # no more is read than the decoder would look at
MAX_NAME_CHARACTERS = 1024


@dataclass(frozen=True, slots=True)
class FoundPicture:
    """A picture that a source holds: its name, as it was wanted, and its encoded bytes."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class RefusedPicture:
    """A picture that a source holds and does not give out: its name, as it was wanted, and why."""

    name: str
    reason: str


class PictureSource(Protocol):
    """Something that holds encoded pictures by name."""

    def resolve(self, text: str) -> str | RefusedPicture:
        """Bring the name of a picture, as a row says it, into the one form in which this source compares names.

        Returns:
            The form that `read` takes, or why the source would never give out a picture of this name.
        """
        ...

    def read(self, wanted: Collection[str]) -> Iterator[FoundPicture | RefusedPicture]:
        """Read pictures.

        Args:
            wanted: Names as `resolve` returns them.

        Yields:
            Each wanted picture that the source holds, once, in whatever order suits the source.

        Raises:
            CatalogueError: The source as a whole cannot be read.
        """
        ...


def open_pictures(path: Path) -> PictureSource:
    """Open a folder or a tar archive (plain or compressed with gzip, bzip2 or xz) as a source of pictures.

    Raises:
        CatalogueError: `path` is neither.
    """
    if path.is_dir():
        return FolderPictures(path)
    if path.is_file() and tarfile.is_tarfile(path):
        return TarPictures(path)
    raise CatalogueError(f"{path} holds no pictures: expected a folder or a tar archive")


def relative_name(text: str) -> str | None:
    """Bring the name of a picture into the one form in which names are compared.

    Args:
        text: As a row or an archive says it; a backslash counts as a slash.

    Returns:
        A path that leads down only, without `.` and empty parts; None when `text` leads up, starts at a root, is empty
        or too long.
    """
    text = text.replace("\\", "/")
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if not parts or ".." in parts or text.startswith("/") or "\0" in text or len(text) > MAX_NAME_CHARACTERS:
        return None
    return "/".join(parts)


def _resolve_path(text: str) -> str | RefusedPicture:
    return relative_name(text) or RefusedPicture(text, "its name leads out of the folder or archive")


class NoPictures:
    """The source of a catalogue of titles alone."""

    def resolve(self, text: str) -> str | RefusedPicture:
        """Take any name."""
        return text

    def read(self, wanted: Collection[str]) -> Iterator[FoundPicture | RefusedPicture]:
        """Find nothing."""
        return iter(())


class FolderPictures:
    """The pictures below a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()

    def __repr__(self) -> str:
        return f"FolderPictures({str(self._folder)!r})"

    def resolve(self, text: str) -> str | RefusedPicture:
        """Take a path that leads down."""
        return _resolve_path(text)

    def read(self, wanted: Collection[str]) -> Iterator[FoundPicture | RefusedPicture]:
        """Read the wanted pictures, in the order of `wanted`."""
        for name in wanted:
            try:
                path = (self._folder / name).resolve(strict=True)
                if not path.is_relative_to(self._folder):
                    yield RefusedPicture(name, "it is a link out of the folder")
                elif not stat.S_ISREG(path.stat().st_mode):  # opening a named pipe would wait for ever
                    yield RefusedPicture(name, "it is no regular file")
                else:
                    with path.open("rb") as file:
                        content = file.read(MAX_PICTURE_BYTES + 1)
                    if len(content) > MAX_PICTURE_BYTES:
                        yield RefusedPicture(name, _too_large())
                    else:
                        yield FoundPicture(name, content)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links, on Python before 3.13
                yield RefusedPicture(name, f"it cannot be read: {error}")


class TarPictures:
    """The pictures in a tar archive, read in one pass from front to end, as a compressed archive demands.

    A member is the wanted picture when its name is the wanted one, or is so without the archive's leading folder: the
    folder of its first regular member. Of two members with one name the first counts.
    """

    def __init__(self, archive: Path) -> None:
        self._archive = archive

    def __repr__(self) -> str:
        return f"TarPictures({str(self._archive)!r})"

    def resolve(self, text: str) -> str | RefusedPicture:
        """Take a path that leads down."""
        return _resolve_path(text)

    def read(self, wanted: Collection[str]) -> Iterator[FoundPicture | RefusedPicture]:
        """Read the wanted pictures, in the order of the archive."""
        remaining = set(wanted)
        leading: str | None = None
        try:
            with tarfile.open(self._archive, "r|*") as archive:
                while remaining and (member := archive.next()) is not None:
                    # tarfile keeps every member it has seen, 1 KB each, for links alone, which are not followed here.
                    archive.members.clear()  # type: ignore[attr-defined]
                    name = relative_name(member.name)
                    if name is None:
                        continue
                    folder, _, rest = name.partition("/")
                    if leading is None and rest and member.isreg():
                        leading = folder
                    if name not in remaining and folder == leading:
                        name = rest
                    if name in remaining:
                        remaining.remove(name)
                        yield _read_member(archive, member, name)
        except (tarfile.TarError, OSError, EOFError, zlib.error, lzma.LZMAError) as error:
            raise CatalogueError(f"the archive {self._archive} is damaged: {error}") from error


def _read_member(archive: tarfile.TarFile, member: tarfile.TarInfo, name: str) -> FoundPicture | RefusedPicture:
    # A sparse member may claim any size and bring none of it.
    if not member.isreg() or member.issparse():
        return RefusedPicture(name, "it is no regular file")
    if member.size > MAX_PICTURE_BYTES:
        return RefusedPicture(name, _too_large())
    file = archive.extractfile(member)
    assert file is not None  # it is None for what is no regular file
    with file:
        return FoundPicture(name, file.read())


def _too_large() -> str:
    return f"it has more than {MAX_PICTURE_BYTES >> 20} MiB"
