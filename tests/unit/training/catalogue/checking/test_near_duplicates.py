"""Finding pictures that look the same."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from aisle_training.catalogue.checking import near_duplicates as room
from aisle_training.catalogue.checking.near_duplicates import MAX_BITS, near_duplicates
from aisle_training.catalogue.checking.picture_prints import PicturePrint, take_print
from aisle_training.preprocessing.images import ImageError
from tests.unit.training.catalogue.drawing import encode, scene


def test_copies_of_a_picture() -> None:
    """Copies of a picture in other sizes, formats and qualities are one set; other pictures join none."""
    files = [encode(scene(seed)) for seed in range(40)]
    files += [encode(scene(7, (180, 240)), "JPEG", quality=60), encode(scene(7), "WEBP", quality=80)]
    files += [encode(scene(9, (60, 80)), "JPEG", quality=90)]
    assert near_duplicates([take_print(file) for file in files]) == [[7, 40, 41], [9, 42]]


def test_colour_makes_another_product() -> None:
    """The same shape in another colour is another product, though its hash is the same."""
    red, green = (Image.new("RGB", (64, 64), "white") for _ in range(2))
    ImageDraw.Draw(red).ellipse((8, 8, 50, 40), fill=(200, 30, 30))
    ImageDraw.Draw(green).ellipse((8, 8, 50, 40), fill=(30, 117, 30))
    prints = [take_print(encode(red)), take_print(encode(green))]
    assert bin(int(prints[0].hash) ^ int(prints[1].hash)).count("1") <= MAX_BITS
    assert near_duplicates(prints) == []


def test_a_thousand_copies() -> None:
    """Copies of one placeholder by the thousand are one set, and soon found."""
    copy = np.zeros((16, 16, 3), dtype=np.uint8)
    prints = [PicturePrint(np.uint64(0x0123_4567_89AB_CDEF ^ (1 << n % 3)), copy, 9.0) for n in range(1500)]
    assert near_duplicates(prints) == [list(range(1500))]


def test_no_pictures() -> None:
    """Without pictures there are no sets."""
    assert near_duplicates([]) == []


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0, 0xFFFF_0000_1234_ABCD, 0x0123_4567_89AB_CDEF]), st.sets(st.integers(0, 63), max_size=4)
        ),
        max_size=14,
    )
)
def test_against_all_pairs(hashes: list[tuple[int, set[int]]]) -> None:
    """The bands propose just the pairs that differ in few bits: none is missed, none is made up."""
    values = [base ^ sum(1 << bit for bit in bits) for base, bits in hashes]
    array = np.array(values, dtype=np.uint64)
    proposed = {(first, int(other)) for first, others in room._proposed(array) for other in others} if values else set()
    expected = {
        (first, second)
        for second in range(len(values))
        for first in range(second)
        if (values[first] ^ values[second]).bit_count() <= MAX_BITS
    }
    assert {(min(pair), max(pair)) for pair in proposed} == expected


def test_large_buckets(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bucket that is compared in parts gives the same sets."""
    copy = np.zeros((16, 16, 3), dtype=np.uint8)
    prints = [PicturePrint(np.uint64(n // 5 * 0x0F0F_0F0F_0F0F), copy, 9.0) for n in range(25)]
    whole = near_duplicates(prints)
    monkeypatch.setattr(room, "_ROWS", 3)
    assert near_duplicates(prints) == whole
    assert sorted(index for members in whole for index in members) == list(range(25))


def test_spread() -> None:
    """A picture of one colour has no spread, one that shows something has."""
    assert take_print(encode(Image.new("RGB", (50, 50), (250, 250, 250)))).spread == 0
    assert take_print(encode(scene(1))).spread > 20


def test_no_picture() -> None:
    """What is no picture has no print."""
    with pytest.raises(ImageError):
        take_print(b"GIF89a")
