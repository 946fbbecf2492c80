"""What the decoder makes of pictures, and what it refuses."""

import contextlib
import io
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from aisle_training.preprocessing.images import ImageError, decode_image

# The decoder itself tells Python to ignore what Pillow warns of; pytest forgets that between tests.
pillow_may_warn = pytest.mark.filterwarnings(r"ignore:::PIL\.")

SIZE = 16
RED, GREEN, BLUE, YELLOW = (220, 30, 30), (30, 180, 30), (30, 30, 220), (220, 220, 30)


def encoded(picture: Image.Image, file_format: str, **options: object) -> bytes:
    """Encode a picture."""
    buffer = io.BytesIO()
    picture.save(buffer, file_format, **options)
    return buffer.getvalue()


def quarters(width: int = 64, height: int = 48) -> Image.Image:
    """A picture whose four quarters differ, so that each way of turning it shows."""
    picture = Image.new("RGB", (width, height), RED)
    picture.paste(GREEN, (width // 2, 0, width, height // 2))
    picture.paste(BLUE, (0, height // 2, width // 2, height))
    picture.paste(YELLOW, (width // 2, height // 2, width, height))
    return picture


def centres(pixels: np.ndarray) -> list[tuple[int, ...]]:
    """The colours in the middle of the four quarters, in reading order."""
    low, high = SIZE // 4, 3 * SIZE // 4
    return [tuple(int(c) for c in pixels[y, x]) for y in (low, high) for x in (low, high)]


def assert_close(colours: list[tuple[int, ...]], expected: list[tuple[int, ...]], tolerance: int = 12) -> None:
    """Compare colours as far as JPEG and CMYK allow."""
    assert np.abs(np.array(colours) - np.array(expected)).max() <= tolerance, colours


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_formats(file_format: str) -> None:
    """A picture in each accepted format becomes the same square of RGB pixels."""
    pixels = decode_image(encoded(quarters(), file_format), SIZE)
    assert pixels.shape == (SIZE, SIZE, 3)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    assert pixels.flags.writeable
    assert_close(centres(pixels), [RED, GREEN, BLUE, YELLOW])


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize(
    ("orientation", "stored"),
    [
        (1, None),
        (2, Image.Transpose.FLIP_LEFT_RIGHT),
        (3, Image.Transpose.ROTATE_180),
        (4, Image.Transpose.FLIP_TOP_BOTTOM),
        (5, Image.Transpose.TRANSPOSE),
        (6, Image.Transpose.ROTATE_90),
        (7, Image.Transpose.TRANSVERSE),
        (8, Image.Transpose.ROTATE_270),
    ],
)
def test_exif_orientation(file_format: str, orientation: int, stored: Image.Transpose | None) -> None:
    """A picture that its EXIF orientation says is lying is turned upright, whichever of the eight ways it lies."""
    picture = quarters() if stored is None else quarters().transpose(stored)
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = decode_image(encoded(picture, file_format, exif=exif), SIZE)
    assert_close(centres(pixels), [RED, GREEN, BLUE, YELLOW])


@pillow_may_warn
def test_damaged_exif_is_ignored() -> None:
    """Damaged EXIF data costs a picture its orientation and nothing else."""
    data = encoded(quarters(), "JPEG", exif=b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\xff\xff\x01\x12\x00\x03")
    assert_close(centres(decode_image(data, SIZE)), [RED, GREEN, BLUE, YELLOW])


def test_cmyk() -> None:
    """A CMYK JPEG, as printers make it, keeps its colours."""
    assert_close(centres(decode_image(encoded(quarters().convert("CMYK"), "JPEG"), SIZE)), [RED, GREEN, BLUE, YELLOW])


@pytest.mark.parametrize(("file_format", "mode"), [("PNG", "I;16"), ("TIFF", "I;16"), ("TIFF", "I;16B"), ("TIFF", "I")])
def test_sixteen_bits_are_scaled(file_format: str, mode: str) -> None:
    """16-bit samples are scaled to eight bits, not clipped at 255."""
    samples = np.full((20, 20), 0x8000, dtype=np.int32 if mode == "I" else ">u2" if mode == "I;16B" else "<u2")
    samples[:10] = 0x2000
    picture = Image.frombytes(mode, (20, 20), samples.tobytes())
    pixels = decode_image(encoded(picture, file_format), SIZE)
    assert pixels[2, 2].tolist() == [0x20] * 3
    assert pixels[-3, -3].tolist() == [0x80] * 3


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_is_laid_on_white(mode: str) -> None:
    """What is transparent becomes white, what is half transparent half white."""
    picture = Image.new("RGBA", (20, 20), (0, 0, 0, 255))
    picture.paste((0, 0, 0, 0), (0, 0, 20, 7))
    picture.paste((0, 0, 0, 128), (0, 7, 20, 14))
    pixels = decode_image(encoded(picture.convert(mode), "PNG"), SIZE)
    assert pixels[1, 8].tolist() == [255] * 3
    assert_close([tuple(pixels[8, 8])], [(127, 127, 127)], 2)
    assert pixels[-2, 8].tolist() == [0] * 3


@pytest.mark.parametrize("file_format", ["PNG", "GIF"])
def test_transparent_palette_entry_is_white(file_format: str) -> None:
    """A palette picture with a transparent entry shows white there."""
    picture = Image.new("P", (20, 20), 1)
    picture.putpalette([255, 0, 0, 0, 0, 255])
    picture.paste(0, (0, 0, 20, 10))
    pixels = decode_image(encoded(picture, file_format, transparency=0), SIZE)
    assert pixels[2, 8].tolist() == [255] * 3
    assert pixels[-3, 8].tolist() == [0, 0, 255]


def test_transparent_colour_is_white() -> None:
    """An RGB picture that names one colour as transparent shows white there."""
    picture = quarters()
    pixels = decode_image(encoded(picture, "PNG", transparency=RED), SIZE)
    assert_close(centres(pixels), [(255, 255, 255), GREEN, BLUE, YELLOW])


@pytest.mark.parametrize("mode", ["L", "1"])
def test_grey(mode: str) -> None:
    """Grey and black-and-white pictures have three equal channels."""
    picture = Image.new("L", (20, 20), 255)
    picture.paste(0, (0, 0, 20, 10))
    pixels = decode_image(encoded(picture.convert(mode), "PNG"), SIZE)
    assert pixels[2, 8].tolist() == [0] * 3
    assert pixels[-3, 8].tolist() == [255] * 3


@pytest.mark.parametrize("file_format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_animation_gives_its_first_frame(file_format: str) -> None:
    """An animated picture is its first frame."""
    frames = [quarters(), Image.new("RGB", (64, 48), "black")]
    data = encoded(frames[0], file_format, save_all=True, append_images=frames[1:])
    assert_close(centres(decode_image(data, SIZE)), [RED, GREEN, BLUE, YELLOW])


def test_multi_picture_jpeg_gives_its_first_picture() -> None:
    """A phone's multi-picture JPEG is its first picture."""
    data = encoded(quarters(), "MPO", save_all=True, append_images=[Image.new("RGB", (64, 48))])
    assert_close(centres(decode_image(data, SIZE)), [RED, GREEN, BLUE, YELLOW])


def test_shape_is_squeezed_not_cut() -> None:
    """A long picture keeps all of its content: it is squeezed to the square."""
    assert_close(centres(decode_image(encoded(quarters(500, 20), "PNG"), SIZE)), [RED, GREEN, BLUE, YELLOW])


@pytest.mark.parametrize("size", [(1, 1), (1, 4000), (4000, 1)])
def test_extreme_shapes(size: tuple[int, int]) -> None:
    """A picture one pixel wide or high is still a picture."""
    pixels = decode_image(encoded(Image.new("RGB", size, BLUE), "PNG"), SIZE)
    assert (pixels == BLUE).all()


def test_photo_decoded_small_looks_the_same() -> None:
    """A large JPEG, which is decoded at a fraction of its size, gives nearly the pixels of the same picture as PNG."""
    random = np.random.default_rng(0)
    coarse = Image.fromarray(random.integers(0, 256, (12, 10, 3), dtype=np.uint8))
    photo = coarse.resize((1000, 1200), Image.Resampling.BICUBIC)
    small = decode_image(encoded(photo, "JPEG", quality=95), SIZE).astype(int)
    assert np.abs(small - decode_image(encoded(photo, "PNG"), SIZE)).mean() < 2


def test_decoding_repeats() -> None:
    """The same bytes give the same pixels."""
    data = encoded(quarters(800, 600), "JPEG")
    assert (decode_image(data, SIZE) == decode_image(data, SIZE)).all()


def test_empty_file() -> None:
    """A file of zero bytes is refused as empty."""
    with pytest.raises(ImageError, match="the file is empty"):
        decode_image(b"", SIZE)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
@pytest.mark.parametrize("kept", [0.2, 0.6, 0.9])
def test_truncated_file(file_format: str, kept: float) -> None:
    """A file that is cut short is refused, not shown in part."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), file_format)
    with pytest.raises(ImageError, match=r"damaged or cut short|not a picture"):
        decode_image(data[: int(len(data) * kept)], SIZE)


@pytest.mark.parametrize("data", [b"hello", b"\x00" * 100, b"<svg/>", b"%PDF-1.7 ", "لپ‌تاپ".encode()])
def test_no_picture(data: bytes) -> None:
    """Bytes of another kind are refused, and the text says which formats are accepted."""
    with pytest.raises(ImageError, match="expected one of JPEG, PNG, WEBP, GIF, BMP, TIFF"):
        decode_image(data, SIZE)


@pytest.mark.parametrize("file_format", ["PPM", "ICO", "PCX", "TGA", "EPS", "JPEG2000", "AVIF"])
def test_other_formats_are_never_parsed(file_format: str) -> None:
    """A format that no shop sends is refused, although Pillow could read it."""
    with pytest.raises(ImageError, match="known format"):
        decode_image(encoded(quarters(), file_format), SIZE)


def test_colour_modes_without_a_use_are_refused() -> None:
    """A floating-point picture is refused: nobody knows what its white is."""
    with pytest.raises(ImageError, match="colour mode F is not supported"):
        decode_image(encoded(Image.new("F", (8, 8), 0.5), "TIFF"), SIZE)


def png_of(width: int, height: int) -> bytes:
    """A PNG whose header announces a size that its data does not have."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + data


def gif_of(width: int, height: int, frame_width: int, frame_height: int) -> bytes:
    """A GIF of a few bytes whose frame may be larger than its screen."""
    screen = b"GIF89a" + struct.pack("<HH", width, height) + b"\xf0\0\0" + b"\0\0\0\xff\xff\xff"
    return screen + b"," + struct.pack("<HHHH", 0, 0, frame_width, frame_height) + b"\0\x02\x02\x44\x01\0;"


BOMBS = {
    "png 64 million": png_of(8_000, 8_000),
    "png 100 million": png_of(10_000, 10_000),
    "png 900 million": png_of(30_000, 30_000),
    "png beyond all bounds": png_of(2**31 - 1, 2**31 - 1),
    "gif screen": gif_of(65535, 65535, 1, 1),
    "gif frame 131 million": gif_of(1, 1, 65535, 2000),
    "gif frame": gif_of(1, 1, 65535, 65535),
}


@pytest.mark.parametrize("name", BOMBS)
def test_decompression_bomb(name: str) -> None:
    """A file whose header announces too many pixels is refused by its header alone."""
    with pytest.raises(ImageError, match=r"pixels.*at most 50,000,000 are accepted"):
        decode_image(BOMBS[name], SIZE)


def test_bombs_leave_no_trace_in_the_log() -> None:
    """A stranger's bomb makes Pillow warn nobody: the caller is told, the log stays as it was."""
    program = (
        "import sys\n"
        "from aisle_training.preprocessing.images import ImageError, decode_image\n"
        "for bomb in sys.argv[1:]:\n"
        "    try:\n"
        "        decode_image(bytes.fromhex(bomb), 16)\n"
        "    except ImageError:\n"
        "        print('refused')\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, *(bomb.hex() for bomb in BOMBS.values())],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert result.stdout.split() == ["refused"] * len(BOMBS)
    assert result.stderr == ""


def test_huge_tiles_are_refused() -> None:
    """A small TIFF cut into one huge tile is refused: the tile would be decoded whole."""
    size, tiles, rest = {256: 8, 257: 8}, {322: 16_000, 323: 16_000, 324: 200, 325: 64}, {258: 8, 259: 1, 262: 1}
    tags = sorted((size | tiles | rest).items())
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    data = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + b"\0" * 400
    with pytest.raises(ImageError, match="tiles have 256,000,000 pixels"):
        decode_image(data, SIZE)


def test_pixel_cap_is_the_callers() -> None:
    """The cap on pixels can be lowered, and a picture exactly at it passes."""
    data = encoded(Image.new("RGB", (10, 10)), "PNG")
    assert decode_image(data, SIZE, maximum_pixels=100).shape == (SIZE, SIZE, 3)
    with pytest.raises(ImageError, match=r"it has 100 pixels \(10 x 10\), at most 99 are accepted"):
        decode_image(data, SIZE, maximum_pixels=99)


def test_byte_cap() -> None:
    """A file with too many bytes is refused before anything reads it."""
    with pytest.raises(ImageError, match="the file has 1,001 bytes, at most 1,000 are accepted"):
        decode_image(b"x" * 1001, SIZE, maximum_bytes=1000)


@pillow_may_warn
@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"]),
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=20),
)
def test_damage_never_raises_anything_else(file_format: str, changes: list[tuple[int, int]]) -> None:
    """Whatever bytes are changed in a picture, the answer is pixels or an `ImageError`."""
    data = bytearray(encoded(quarters(32, 24), file_format))
    for position, value in changes:
        data[position % len(data)] = value
    with contextlib.suppress(ImageError):
        assert decode_image(bytes(data), SIZE, maximum_pixels=100_000).shape == (SIZE, SIZE, 3)


def test_the_error_tells_nothing_of_our_insides() -> None:
    """The text of an error names neither Pillow nor a file of ours, and hides what the parser said."""
    with pytest.raises(ImageError) as caught:
        decode_image(encoded(quarters(), "JPEG")[:100], SIZE)
    assert str(caught.value) == "the picture cannot be read: the file is damaged or cut short"
    assert caught.value.__suppress_context__
