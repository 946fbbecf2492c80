"""Pictures, archives and tables drawn for a test: nothing here comes from a shop."""

import csv
import io
import random
import tarfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from aisle_training.catalogue.picture_sources import FoundPicture, RefusedPicture, relative_name
from aisle_training.catalogue.records import Record


def draw(seed: int, mode: str = "RGB", size: tuple[int, int] = (12, 16)) -> Image.Image:
    """Draw a picture that no other seed draws: a frame and its filling, in colours that the seed chooses."""
    image = Image.new("RGB", size, (seed * 37 % 256, seed // 7 % 256, 200))
    ImageDraw.Draw(image).rectangle((2, 3, 8, 9), fill=(seed % 256, 90, seed * 11 % 256))
    return image.convert(mode)


def scene(seed: int, size: tuple[int, int] = (90, 120)) -> Image.Image:
    """Draw shapes before white that no other seed draws."""
    generator = random.Random(seed)
    image = Image.new("RGB", (90, 120), "white")
    for _ in range(6):
        x, y = generator.randrange(70), generator.randrange(100)
        box = (x, y, x + generator.randrange(10, 50), y + generator.randrange(10, 50))
        ImageDraw.Draw(image).ellipse(box, fill=tuple(generator.randrange(256) for _ in range(3)))
    return image.resize(size, Image.Resampling.LANCZOS)


def encode(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    """Encode a picture."""
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def write_csv(path: Path, rows: Iterable[Sequence[str]]) -> Path:
    """Write rows, the header first, as the csv module quotes them."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def write_tar(path: Path, members: Iterable[tuple[str, bytes | tarfile.TarInfo]], mode: str = "w") -> Path:
    """Write a tar archive, member by member; a TarInfo stands for a member that is no regular file."""
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in members:
            if isinstance(content, tarfile.TarInfo):
                content.name = name
                archive.addfile(content)
            else:
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return path


def record(id: str, title: str, category: str = "Home > Mugs", picture_name: str | None = None) -> Record:
    """Make a record as an importer would."""
    return Record(f"record {id}", id, title, tuple(category.split(" > ")), picture_name)


@dataclass(frozen=True)
class PicturesInMemory:
    """A picture source that holds its pictures in memory."""

    pictures: Mapping[str, bytes]

    def resolve(self, text: str) -> str | RefusedPicture:
        """Take names as folders do."""
        return relative_name(text) or RefusedPicture(text, "its name leads out of the folder or archive")

    def read(self, wanted: Collection[str]) -> Iterator[FoundPicture]:
        for name in wanted:
            if name in self.pictures:
                yield FoundPicture(name, self.pictures[name])
