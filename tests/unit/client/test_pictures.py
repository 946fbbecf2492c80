"""Whatever a caller holds as a picture: encoded bytes as they are, pixels without loss, everything else refused."""

import io
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from aisle_client import MissingDependencyError, PictureError
from aisle_client.pictures import read_picture

PIXELS = np.random.default_rng(0).integers(0, 256, (7, 5, 3), np.uint8)


def _pixels_of(encoded):
    with Image.open(io.BytesIO(encoded)) as image:
        assert image.format == "PNG"
        return np.asarray(image)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_go_as_they_are(kind):
    """Encoded bytes are not looked into: that is the server's to do."""
    assert read_picture(kind(b"\xff\xd8 no real JPEG")) == b"\xff\xd8 no real JPEG"


@pytest.mark.parametrize("kind", [str, lambda path: path])
def test_files_go_as_they_are(tmp_path, kind):
    """A path's file is sent byte for byte."""
    path = tmp_path / "کفش.jpg"
    path.write_bytes(b"content\x00")
    assert read_picture(kind(path)) == b"content\x00"


@pytest.mark.parametrize(
    "pixels", [PIXELS, PIXELS[:, :, 0], np.dstack([PIXELS, PIXELS[:, :, :1]]), PIXELS[::-1, ::2]], ids=str
)
def test_pixels_keep_every_value(pixels):
    """Colour, grey and alpha pixels, strided ones included, arrive as they were."""
    assert _pixels_of(read_picture(pixels)).tolist() == pixels.tolist()


def test_one_channel_is_grey():
    """Pixels of shape [height, width, 1] are a grey picture."""
    assert _pixels_of(read_picture(PIXELS[:, :, :1])).tolist() == PIXELS[:, :, 0].tolist()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "CMYK", "YCbCr", "F"])
def test_pil_images_of_any_mode(mode):
    """A PIL image of any mode can be sent; what PNG cannot hold goes as RGB."""
    image = Image.new("I;16", (3, 2)) if mode == "I;16" else Image.fromarray(PIXELS).convert(mode)
    assert _pixels_of(read_picture(image)).shape[:2] == (image.height, image.width)


def test_photographs_are_turned_upright():
    """The orientation that a camera wrote beside the pixels is applied, for the PNG does not carry it."""
    image = Image.fromarray(PIXELS)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter to the right
    file = io.BytesIO()
    image.save(file, "TIFF", exif=exif)
    assert _pixels_of(read_picture(Image.open(file))).tolist() == np.rot90(PIXELS, -1).tolist()


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((1, 4, 4, 3), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.uint8(3),
        42,
        ["a.jpg"],
        b"",
    ],
    ids=repr,
)
def test_what_is_no_picture(picture):
    """Other arrays, other types and nothing at all are refused with what came and what was expected."""
    with pytest.raises(PictureError):
        read_picture(picture)


def test_files_that_cannot_be_read(tmp_path):
    """A missing file, a folder, an empty file and a name with a NUL are errors that say so."""
    (tmp_path / "empty.jpg").touch()
    for name, text in {"no.jpg": "not there", ".": "not a plain file", "empty.jpg": "0 bytes", "a\0b": "no"}.items():
        with pytest.raises(PictureError, match=text):
            read_picture(tmp_path / name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_no_file(tmp_path):
    """A named pipe is refused, where opening it would wait for ever."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(PictureError, match="not a plain file"):
        read_picture(tmp_path / "pipe")


def test_large_files_are_not_read_whole(tmp_path):
    """A file over the limit is refused, whatever its size; bytes over the limit are too."""
    path = tmp_path / "huge.jpg"
    with path.open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(PictureError, match="more than 20,971,520 bytes"):
        read_picture(path)
    with pytest.raises(PictureError, match="at most 10"):
        read_picture(b"x" * 11, max_bytes=10)


def test_a_broken_lazy_image():
    """A PIL image whose file turns out to be cut off is a picture error, not Pillow's."""
    file = io.BytesIO()
    Image.fromarray(np.tile(PIXELS, (40, 40, 1))).save(file, "JPEG")
    image = Image.open(io.BytesIO(file.getvalue()[:2000]))
    with pytest.raises(PictureError, match="cannot be encoded"):
        read_picture(image)


def test_pixels_without_pillow(monkeypatch):
    """Where Pillow is missing, pixels are answered with the line that installs it."""
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(MissingDependencyError, match=r"pip install pillow$"):
        read_picture(PIXELS)


def test_the_client_needs_its_base_install_alone():
    """Importing the client imports neither Pillow nor Gradio nor a runtime."""
    code = "import sys, aisle_client; print(*{'PIL', 'gradio', 'tensorflow', 'keras', 'onnxruntime', 'click'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == ""
