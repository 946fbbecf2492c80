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

MAX_PIXELS = 50_000_000


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

    Args:
        content: The encoded file. Of an animation the first frame counts.

    Returns:
        What the catalogue keeps of it.

    Raises:
        UnreadablePictureError: It is empty, no picture of a known format, larger than `MAX_PIXELS`, or damaged.
    """
    if not content:
        raise UnreadablePictureError("the file is empty")
    try:
        # Only known formats: among Pillow's others is one that starts Ghostscript.
        image = Image.open(io.BytesIO(content), formats=[name for name in PICTURE_SUFFIXES if name != "MPO"])
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise UnreadablePictureError(f"it has more than {MAX_PIXELS} pixels") from error
    except Exception as error:
        raise UnreadablePictureError("it is no picture of a known format, or its header is damaged") from error
    with image:
        if image.width * image.height > MAX_PIXELS:
            raise UnreadablePictureError(
                f"it has {image.width} x {image.height} pixels, expected at most {MAX_PIXELS} in all"
            )
        try:
            image.load()
            pixels = pixels_sha256(image)
        except Exception as error:  # decoders of damaged data raise whatever they stumble over
            raise UnreadablePictureError(f"it is truncated or damaged: {error}") from error
        suffix = PICTURE_SUFFIXES[str(image.format)]
    return CheckedPicture(suffix, hashlib.sha256(content).hexdigest(), pixels)


def pixels_sha256(image: Image.Image) -> str:
    """Hash what one sees: the upright picture in RGB, transparent places over white, with its width and height.

    More than 8 bits a sample are hashed as they are: squeezed into 8 they could make two pictures one.
    """
    image = ImageOps.exif_transpose(image)
    if image.mode[0] not in "IF":
        if image.has_transparency_data:
            white = Image.new("RGBA", image.size, "white")
            image = Image.alpha_composite(white, image.convert("RGBA"))
        image = image.convert("RGB")
    digest = hashlib.sha256(f"{image.mode} {image.width} {image.height} ".encode())
    digest.update(image.tobytes())
    return digest.hexdigest()


@contextlib.contextmanager
def quiet_decoding() -> Iterator[None]:
    """Make a decompression bomb an error and keep other remarks of Pillow off the terminal.

    Enter it once around all threads that decode: Python's warning filters belong to the whole process.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield
