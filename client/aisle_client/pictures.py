"""Whatever a caller holds as a picture, as the bytes of an encoded file.

Files and bytes go out as they are: the server decodes them, with its own caps. Pixels are encoded without loss, which needs Pillow.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from aisle_client.errors import MissingDependencyError, PictureError

if TYPE_CHECKING:
    from PIL.Image import Image

DEFAULT_MAX_PICTURE_BYTES: Final = 20 * 2**20

Picture: TypeAlias = "str | os.PathLike[str] | bytes | bytearray | memoryview | npt.NDArray[Any] | Image"


def read_picture(picture: Any, max_bytes: int = DEFAULT_MAX_PICTURE_BYTES) -> bytes:
    """Return a picture as the bytes of an encoded file (JPEG, PNG, WebP, ...).

    Args:
        picture: A path, encoded bytes, a PIL image, or pixels: uint8 [height, width], [height, width, 1 | 3 | 4].
        max_bytes: Larger files are refused unread.

    Returns:
        The file's bytes as they are; PIL images (turned upright) and pixels as PNG.

    Raises:
        PictureError: No such file, not a plain file, too large, no pixels, or of a type that holds no picture.
        MissingDependencyError: Pixels came and Pillow is not installed.
    """
    if isinstance(picture, (bytes, bytearray, memoryview)):
        encoded = bytes(picture)
    elif isinstance(picture, (str, os.PathLike)):
        encoded = _read_file(Path(picture), max_bytes)
    elif isinstance(picture, np.ndarray):
        encoded = _encode(_image_of(picture))
    elif hasattr(picture, "getexif") and hasattr(picture, "save"):  # a PIL image, told without importing Pillow
        encoded = _encode(picture)
    else:
        kind = type(picture).__name__
        raise PictureError(f"a picture came as {kind}; expected a path, bytes, a PIL image or a NumPy array")
    if not encoded:
        raise PictureError("the picture has 0 bytes")
    if len(encoded) > max_bytes:
        raise PictureError(f"the picture has {len(encoded):,} bytes; at most {max_bytes:,} are sent")
    return encoded


def _read_file(path: Path, max_bytes: int) -> bytes:
    try:
        if not path.is_file():  # a named pipe would block for ever
            raise PictureError(f"{path} is {'not a plain file' if path.exists() else 'not there'}; expected a picture")
        with path.open("rb") as file:
            content = file.read(max_bytes + 1)
    except (OSError, ValueError) as error:
        if isinstance(error, PictureError):
            raise
        raise PictureError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if not content:
        raise PictureError(f"{path} has 0 bytes; expected a picture")
    if len(content) > max_bytes:
        raise PictureError(f"{path} has more than {max_bytes:,} bytes, the most that are sent")
    return content


def _image_of(pixels: npt.NDArray[Any]) -> Image:
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or channels not in (1, 3, 4) or not pixels.size:
        raise PictureError(
            f"pixels came as {pixels.dtype} {list(pixels.shape)}; expected uint8 [height, width] or [height, width, 1 | 3 | 4]"
        )
    if channels == 1:
        pixels = pixels.reshape(pixels.shape[:2])
    return _pillow().Image.fromarray(np.ascontiguousarray(pixels))  # type: ignore[no-any-return]


def _encode(image: Image) -> bytes:
    file = io.BytesIO()
    try:
        # EXIF does not travel in the PNG, so a photograph is turned upright here.
        upright = _pillow().ImageOps.exif_transpose(image)
        # What PNG holds without loss goes as it is; others (CMYK, YCbCr, floats) as RGB.
        if upright.mode not in {"1", "L", "LA", "P", "RGB", "RGBA", "I;16"}:
            upright = upright.convert("RGB")
        upright.save(file, "PNG", compress_level=1)
    except (OSError, ValueError, SystemError, SyntaxError) as error:  # the lazy image of a broken file fails only now
        raise PictureError(f"the picture cannot be encoded: {error}") from error
    return file.getvalue()


def _pillow() -> Any:
    try:
        import PIL.Image
        import PIL.ImageOps
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            "a PIL image or an array of pixels needs Pillow; give a path or bytes, or: pip install pillow"
        ) from error
    return PIL
