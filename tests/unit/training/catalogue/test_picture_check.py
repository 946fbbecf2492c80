"""Deciding whether bytes are a picture, and which."""

import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from aisle_training.catalogue.picture_check import UnreadablePictureError, check_picture, quiet_decoding
from aisle_training.preprocessing.images import decode_image
from tests.unit.training.catalogue.drawing import draw, encode

NOISE = Image.effect_noise((64, 64), 50).convert("RGB")  # it does not compress, so that half of the file is no header


@pytest.mark.parametrize(
    ("image", "format", "suffix"),
    [
        (draw(1), "JPEG", "jpg"),
        (draw(1, "L"), "JPEG", "jpg"),
        (draw(1, "CMYK"), "JPEG", "jpg"),
        (draw(1), "PNG", "png"),
        (draw(1, "RGBA"), "PNG", "png"),
        (draw(1, "LA"), "PNG", "png"),
        (draw(1, "P"), "PNG", "png"),
        (draw(1, "1"), "PNG", "png"),
        (draw(1, "L").convert("I;16"), "PNG", "png"),
        (draw(1, "L").convert("I;16"), "TIFF", "tiff"),
        (draw(1, "CMYK"), "TIFF", "tiff"),
        (draw(1), "WEBP", "webp"),
        (draw(1), "GIF", "gif"),
        (draw(1), "BMP", "bmp"),
        (draw(1), "MPO", "jpg"),
    ],
    ids=lambda value: value.mode if isinstance(value, Image.Image) else str(value),
)
def test_known_pictures(image: Image.Image, format: str, suffix: str) -> None:
    """Pictures of each known format and each usual kind of pixel are readable."""
    assert check_picture(encode(image, format)).suffix == suffix


def test_one_picture_in_two_formats() -> None:
    """The same pixels have one pixel hash, however they are encoded, and two picture hashes."""
    png, bmp = check_picture(encode(draw(1), "PNG")), check_picture(encode(draw(1), "BMP"))
    assert png.pixels_sha256 == bmp.pixels_sha256
    assert png.picture_sha256 != bmp.picture_sha256
    assert check_picture(encode(draw(2), "PNG")).pixels_sha256 != png.pixels_sha256


def test_shape_counts() -> None:
    """Pictures of one colour with as many pixels in another shape are not identical."""
    wide, high = Image.new("RGB", (4, 2), "red"), Image.new("RGB", (2, 4), "red")
    assert check_picture(encode(wide)).pixels_sha256 != check_picture(encode(high)).pixels_sha256


def test_rotated_by_exif() -> None:
    """A picture that is stored lying down and says so is the same as the upright one."""
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = draw(1).transpose(Image.Transpose.ROTATE_90)
    assert check_picture(encode(lying, exif=exif)).pixels_sha256 == check_picture(encode(draw(1))).pixels_sha256


def test_what_hides_behind_transparency_does_not_count() -> None:
    """Two pictures that differ only where nothing is seen are identical, and both look white there."""
    clear = [Image.new("RGBA", (4, 4), colour) for colour in ((255, 0, 0, 0), (0, 0, 255, 0))]
    hashes = {check_picture(encode(image)).pixels_sha256 for image in (*clear, Image.new("RGB", (4, 4), "white"))}
    assert len(hashes) == 1


def test_sixteen_bits_are_not_squeezed() -> None:
    """Two 16-bit pictures that would both be white in 8 bits stay two."""
    hashes = {
        check_picture(encode(Image.new("I;16", (4, 4), value))).pixels_sha256  # both above 255
        for value in (1000, 60000)
    }
    assert len(hashes) == 2


def test_first_frame_of_an_animation_counts() -> None:
    """Animations that begin alike are identical."""
    one = encode(draw(1), "WEBP", lossless=True, save_all=True, append_images=[draw(2)])
    other = encode(draw(1), "WEBP", lossless=True, save_all=True, append_images=[draw(3), draw(4)])
    assert check_picture(one).pixels_sha256 == check_picture(other).pixels_sha256


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"<html>404</html>", "the file is not a picture in a known format"),
        (encode(draw(1), "EPS"), "the file is not a picture in a known format"),
        (encode(draw(1), "PPM"), "the file is not a picture in a known format"),
        (encode(draw(1, "F"), "TIFF"), "colour mode F is not supported"),
        (encode(NOISE, "JPEG")[:-500], "the file is damaged or cut short"),
        (encode(NOISE, "PNG")[:-500], "the file is damaged or cut short"),
        (encode(NOISE, "WEBP")[:-500], "the picture cannot be read"),
        (encode(NOISE, "BMP")[:-500], "the file is damaged or cut short"),
    ],
    ids=["empty", "page", "EPS", "PPM", "TIFF", "JPEG", "PNG", "WEBP", "BMP"],
)
def test_no_picture(content: bytes, reason: str) -> None:
    """What is no picture of a known format, or not all of one, is unreadable, and the reason says which."""
    with pytest.raises(UnreadablePictureError, match=reason):
        check_picture(content)


@pytest.mark.parametrize("side", [8_000, 12_000, 60_000])
def test_decompression_bomb(side: int) -> None:
    """A small file that claims very many pixels is refused by its header, before anything is decoded."""
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
    png = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )
    with quiet_decoding(), pytest.raises(UnreadablePictureError, match="at most 50,000,000"):
        check_picture(png)


def test_damage_below_the_probe() -> None:
    """A large JPEG whose end is missing is unreadable, though it is looked at in a small size first."""
    large = encode(Image.effect_noise((1200, 1600), 50).convert("RGB"), "JPEG")
    assert check_picture(large).suffix == "jpg"
    with pytest.raises(UnreadablePictureError, match="the picture cannot be read"):
        check_picture(large[: len(large) // 2])


def test_damaged_metadata_are_no_damage() -> None:
    """A picture whose metadata are damaged is as readable as without them."""
    plain, damaged = encode(draw(1), "JPEG"), encode(draw(1), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    with quiet_decoding():
        assert check_picture(damaged).pixels_sha256 == check_picture(plain).pixels_sha256


@settings(deadline=None)
@given(data=st.data(), format=st.sampled_from(["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"]))
def test_damage_is_never_more_than_unreadable(data: st.DataObject, format: str) -> None:
    """Whatever bytes of a picture are cut off or overwritten, it is unreadable, or training can read it."""
    content = bytearray(encode(draw(1), format))
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(content[: data.draw(st.integers(0, len(content)))])
    with quiet_decoding():
        try:
            checked = check_picture(cut)
        except UnreadablePictureError:
            return
        assert decode_image(cut, 96).shape == (96, 96, 3)
    assert len(checked.pixels_sha256) == 64
