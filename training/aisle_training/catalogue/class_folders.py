"""Pictures in folders that are named after their classes: `Home/Mugs/1.jpg` is a mug."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from aisle_training.catalogue.errors import CatalogueError
from aisle_training.catalogue.records import Record, SkippedRow, SkipReason
from aisle_training.catalogue.tables.columns import MAX_PATH_NAMES, id_fault

_SUFFIXES: Final = (".jpg", ".jpeg", ".jpe", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")


def read_class_folders(root: Path) -> Iterator[Record | SkippedRow]:
    """Read the pictures below a folder as products without a title.

    The folders between the root and a picture are its category path. What is hidden and what does not have the name of
    a picture (`Thumbs.db`, `classes.txt`) is no row; a picture that lies beside the class folders is one, and is told
    of. Links to folders are not followed.

    Args:
        root: The folder of the class folders, which is a `FolderPictures` of the records' pictures too.

    Yields:
        One record or one skipped row for each picture, by the order of their paths; the id is the path.

    Raises:
        CatalogueError: `root` is no folder, or holds no picture anywhere.
    """
    if not root.is_dir():
        raise CatalogueError(f"{root} is no folder, expected one that holds a folder for each class")
    empty = True
    for folder, folders, files in _walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        names = [" ".join(part.split()) for part in folder.relative_to(root).parts]
        for file in sorted(files):
            if file.startswith(".") or not file.lower().endswith(_SUFFIXES):
                continue
            empty = False
            yield _record((folder / file).relative_to(root).as_posix(), names)
    if empty:
        raise CatalogueError(f"{root} holds no pictures, expected a folder of pictures for each class")


def _record(path: str, names: list[str]) -> Record | SkippedRow:
    try:
        path.encode()
    except UnicodeEncodeError:
        return SkippedRow(path.encode(errors="replace").decode(), SkipReason.MALFORMED, "its name is not UTF-8")
    if not names or "" in names:
        return SkippedRow(
            path, SkipReason.EMPTY_CATEGORY, "it lies in no class folder, whose name would be its category"
        )
    fault = id_fault(path)
    if fault is None and len(names) > MAX_PATH_NAMES:
        fault = f"it lies {len(names)} folders deep, expected at most {MAX_PATH_NAMES}"
    if fault is not None:
        return SkippedRow(path, SkipReason.MALFORMED, fault)
    return Record(path, path, "", tuple(names), picture_name=path)


def _walk(root: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """`os.walk`, which raises what cannot be read in place of leaving it out."""

    def refuse(error: OSError) -> None:
        raise CatalogueError(f"{error.filename} cannot be read: {error.strerror}") from error

    for folder, folders, files in os.walk(root, onerror=refuse):
        yield Path(folder), folders, files
