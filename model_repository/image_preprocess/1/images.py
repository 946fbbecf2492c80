"""Encoded pictures to pixels: the one decoder, used in training and shipped into the model repository.

The bytes come from strangers, so sizes are checked before anything is parsed, only the formats named here are ever
tried, and whatever a parser stumbles over becomes one `ImageError` whose text says nothing of our insides.

This file is copied beside the repository's `model.py`: it imports NumPy and Pillow, and nothing of Aisle.
"""

import io
import warnings
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image, TiffImagePlugin, UnidentifiedImageError, WebPImagePlugin
from PIL.Image import Resampling, Transpose

# Browsers and shops send these. Everything else Pillow can parse (EPS, PSD, FITS, ...) is attack surface without use.
# A multi-picture JPEG (MPO, from phones) is found by the JPEG parser and gives its first picture.
FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")

# The photo of a 50-megapixel phone (8160 x 6120 = 49.9 million) passes; decoded as RGB it takes 200 MB for a moment.
MAXIMUM_PIXELS: Final = 50_000_000

# A JPEG of that photo has 15 to 25 MB. Larger files are prints or mistakes.
MAXIMUM_BYTES: Final = 32 * 1024 * 1024

# Pillow's TIFF and WebP parsers register themselves when imported; asked for a format that it does not know yet,
# `Image.open` would import all its forty parsers.
_REGISTERED: Final = (TiffImagePlugin.TiffImageFile, WebPImagePlugin.WebPImageFile)

_ORIENTATION_TAG: Final = 0x0112
_TILE_WIDTH_TAG: Final = 322
_TILE_HEIGHT_TAG: Final = 323

# EXIF orientation -> what brings the picture upright. Source: EXIF 2.3, tag 0x0112.
_UPRIGHT: Final = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}

# Pillow warns about strange metadata and about pictures above a limit of its own. Both are the sender's doing, not
# ours: they would let a stranger fill the log. `warnings.catch_warnings` around each call is not safe in threads.
warnings.filterwarnings("ignore", module=r"PIL\.")


class ImageError(ValueError):
    """The bytes given are not a picture we can read; the text says why and may be shown to the sender."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the picture cannot be read: {reason}")


def decode_image(
    data: bytes, size: int, *, maximum_pixels: int = MAXIMUM_PIXELS, maximum_bytes: int = MAXIMUM_BYTES
) -> npt.NDArray[np.uint8]:
    """Decode a picture, turn it upright and squeeze it to a square.

    The aspect ratio is not kept: on the catalogues measured, squeezing beats padding. Transparency is laid on white,
    an animation gives its first frame, 16-bit samples keep their upper eight bits, CMYK and grey become RGB.
    The same bytes always give the same pixels.

    Args:
        data: An encoded file in one of `FORMATS`, at most `maximum_bytes` long.
        size: Edge of the square, in pixels.
        maximum_pixels: Most pixels (width times height) that the file's header may announce.
        maximum_bytes: Most bytes that the file may have.

    Returns:
        RGB pixels of shape [size, size, 3].

    Raises:
        ImageError: The bytes are empty, too many, of another format, cut short or damaged, or announce too many pixels.
    """
    if not data:
        raise ImageError("the file is empty")
    if len(data) > maximum_bytes:
        raise ImageError(f"the file has {len(data):,} bytes, at most {maximum_bytes:,} are accepted")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
            _check_pixels(picture, maximum_pixels)
            # JPEG alone: let the decoder halve the picture until just above twice the size wanted. Eight times faster
            # on photos, and no difference that a network notices.
            picture.draft(None, (2 * size, 2 * size))
            picture.load()
            square = _resizable(picture).resize((size, size), Resampling.BICUBIC, reducing_gap=2.0)
            # Turned after resizing, for turning a square is cheap; read after loading, for PNG may keep EXIF at its
            # end and TIFF turns itself while it loads.
            orientation = _orientation(picture)
    except ImageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageError(f"it has too many pixels, at most {maximum_pixels:,} are accepted") from None
    except UnidentifiedImageError:
        raise ImageError(f"the file is not a picture in a known format; expected one of {', '.join(FORMATS)}") from None
    except Exception:
        # Hostile bytes make Pillow's parsers raise almost anything (OSError, SyntaxError, struct.error, ...).
        raise ImageError("the file is damaged or cut short") from None
    if orientation in _UPRIGHT:
        square = square.transpose(_UPRIGHT[orientation])
    return np.array(_on_white(square), dtype=np.uint8)


def _check_pixels(picture: Image.Image, maximum_pixels: int) -> None:
    """Refuse a picture by what its header says; nothing has been decoded yet."""
    width, height = picture.size
    if width < 1 or height < 1:
        raise ImageError(f"it has no pixels (width {width}, height {height})")
    if width * height > maximum_pixels:
        raise ImageError(
            f"it has {width * height:,} pixels ({width} x {height}), at most {maximum_pixels:,} are accepted"
        )
    if isinstance(picture, TiffImagePlugin.TiffImageFile):
        # A small TIFF may be cut into huge tiles; each is decoded whole.
        tile = int(picture.tag_v2.get(_TILE_WIDTH_TAG, 0)) * int(picture.tag_v2.get(_TILE_HEIGHT_TAG, 0))
        if tile > maximum_pixels:
            raise ImageError(f"its tiles have {tile:,} pixels, at most {maximum_pixels:,} are accepted")


def _resizable(picture: Image.Image) -> Image.Image:
    """Bring a loaded picture to a mode whose samples may be averaged: no palettes, eight bits, alpha made explicit.

    Raises:
        ImageError: The colour mode is one that no shop uses (floating point, CIELAB).
    """
    if picture.mode.startswith("I"):  # I;16, I;16B, I;16L, and I: 16-bit samples that older Pillow widened
        samples: npt.NDArray[Any] = np.asarray(picture)
        return Image.fromarray((np.clip(samples, 0, 0xFFFF) >> 8).astype(np.uint8))
    if picture.mode == "PA" or "transparency" in picture.info:
        return picture.convert("RGBA")
    if picture.mode == "1":
        return picture.convert("L")
    if picture.mode == "P":
        return picture.convert("RGB")
    if picture.mode in ("L", "LA", "La", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV"):
        return picture
    raise ImageError(f"colour mode {picture.mode} is not supported")


def _orientation(picture: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 (upright) when there is none or the metadata is damaged, as browsers do."""
    try:
        return int(picture.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:
        return 1


def _on_white(picture: Image.Image) -> Image.Image:
    """Lay transparency on white, the background of product photos, and give RGB."""
    if picture.mode in ("LA", "La", "RGBA", "RGBa"):
        if picture.mode == "La":
            picture = picture.convert("LA")
        opaque = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", opaque.size, "white"), opaque).convert("RGB")
    return picture.convert("RGB")
