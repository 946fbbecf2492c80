"""Small pictures of products inside a page."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from PIL import Image

from aisle_training.preprocessing.images import ImageError, decode_image


def thumbnail_url(picture: Path | None, side: int) -> str | None:
    """Make a `data:` address of a product's picture, re-encoded by us: no byte of a stranger's file reaches a browser.

    Args:
        picture: Where the encoded picture is.
        side: Height and width of the thumbnail, pixels.

    Returns:
        The address of a JPEG of a few thousand bytes; None where there is no picture, or none that can be decoded.
    """
    try:
        if picture is None:
            return None
        pixels = decode_image(picture.read_bytes(), side)
    except (OSError, ImageError):
        return None
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=75)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
