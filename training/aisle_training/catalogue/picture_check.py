"""Is this a picture, and which one? Decoded once, at import, under a cap; the answer is kept in the catalogue."""

from __future__ import annotations

import contextlib
import hashlib
import io
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image, ImageOps

from aisle_training.catalogue.catalogue import PICTURE_SUFFIXES
from aisle_training.preprocessing.images import FORMATS, ImageError, decode_image

_PROBE_SIZE = 32  # edge of the square that the decoder is asked for; what matters is whether it succeeds


@dataclass(frozen=True, slots=True)
class CheckedPicture:
    """A picture that can be decoded.

    Attributes:
        suffix: One of the values of `PICTURE_SUFFIXES`.
        picture_sha256: Hash of the encoded bytes.
        pixels_sha256: Hash of what one sees, see `pixels_sha256`.
    """

    suffix: str
    picture_sha256: str
    pixels_sha256: str


class UnreadablePictureError(Exception):
    """The bytes are no picture that can be decoded whole; the text says why."""


def check_picture(content: bytes) -> CheckedPicture:
    """Decode a picture, whole.

    Readable is what training can read: its own decoder is asked, with its caps on bytes and pixels.

    Args:
        content: The encoded file. Of an animation the first frame counts.

    Returns:
        What the catalogue keeps of it.

    Raises:
        UnreadablePictureError: It is empty, no picture of a known format, too large, or damaged.
    """
    try:
        decode_image(content, _PROBE_SIZE)
    except ImageError as error:
        raise UnreadablePictureError(str(error)) from error
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            image.load()
            pixels = pixels_sha256(image)
            suffix = PICTURE_SUFFIXES[str(image.format)]
    except Exception as error:  # the probe decodes a large JPEG at a fraction of its size, and may miss damage
        raise UnreadablePictureError(f"the picture cannot be read: {error}") from error
    return CheckedPicture(suffix, hashlib.sha256(content).hexdigest(), pixels)


def pixels_sha256(image: Image.Image) -> str:
    """Hash what one sees: the upright picture in RGB, transparent places over white, with its width and height.

    More than 8 bits a sample are hashed as they are: squeezed into 8 they could make two pictures one.
    """
    with contextlib.suppress(Exception):  # damaged metadata turn nothing, and are no damage to the picture
        image = ImageOps.exif_transpose(image)
    if not image.mode.startswith("I"):
        if image.has_transparency_data:
            white = Image.new("RGBA", image.size, "white")
            image = Image.alpha_composite(white, image.convert("RGBA"))
        image = image.convert("RGB")
    digest = hashlib.sha256(f"{image.mode} {image.width} {image.height} ".encode())
    digest.update(image.tobytes())
    return digest.hexdigest()


@contextlib.contextmanager
def quiet_decoding() -> Iterator[None]:
    """Keep Pillow's remarks on strange metadata off the terminal.

    Enter it once around all threads that decode: Python's warning filters belong to the whole process.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
