"""Raw tensor bytes: what goes in comes out, and what does not fit is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn

from aisle_protocol.datatypes import DATATYPES, datatype_of, dtype_of, element_size_bytes
from aisle_protocol.raw_contents import RawContentsError, from_raw, to_raw

FIXED_SIZE = sorted(DATATYPES - {"BYTES"})


@given(st.sampled_from(FIXED_SIZE), stn.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4), st.data())
def test_fixed_size_elements_survive(datatype, shape, data):
    """An array of any datatype and shape, empty ones included, comes back bit for bit."""
    array = data.draw(stn.arrays(dtype_of(datatype), shape))
    again = from_raw(to_raw(array, datatype), datatype, shape)
    assert again.shape == array.shape
    assert again.tobytes() == array.tobytes()


@given(st.lists(st.binary(max_size=9), max_size=6))
def test_bytes_elements_survive(elements):
    """BYTES elements are opaque: NULs, broken UTF-8 and empty ones come back as they went."""
    array = np.array([*elements, None], dtype=object)[:-1]
    again = from_raw(to_raw(array, "BYTES"), "BYTES", [len(elements)])
    assert again.tolist() == elements


def test_text_goes_out_as_utf8():
    """A str element of a BYTES tensor is sent as UTF-8."""
    assert to_raw(np.array(["کفش"], dtype=object), "BYTES")[4:].decode() == "کفش"


@pytest.mark.parametrize(
    ("raw", "shape"),
    [
        (b"\x01\x00\x00", [1]),  # a cut length
        (b"\x05\x00\x00\x00abcd", [1]),  # an element that runs past the end
        (b"\x00\x00\x00\x00", [2]),  # fewer elements than the shape says
        (b"\x00\x00\x00\x00" * 2, [1]),  # more
        (b"", [2**40]),  # a shape that would take a terabyte
    ],
)
def test_broken_bytes_tensors_are_refused(raw, shape):
    """BYTES contents that do not fit their shape are an error, found before memory is taken for them."""
    with pytest.raises(RawContentsError):
        from_raw(raw, "BYTES", shape)


def test_a_size_that_does_not_fit_is_refused():
    """Contents of the wrong length name what came and what was expected."""
    with pytest.raises(
        RawContentsError, match="7 bytes do not make a FP32 tensor of shape .2., expected 8".replace(",", ";")
    ):
        from_raw(b"1234567", "FP32", [2])


def test_views_are_read_only():
    """Fixed-size contents are not copied, and nobody can write into them."""
    assert not from_raw(b"1234", "FP32", [1]).flags.writeable


def test_lossy_conversion_is_refused():
    """Sending float64 values as FP32 would lose digits, so it is an error."""
    with pytest.raises(TypeError):
        to_raw(np.array([1.5]), "FP32")


@pytest.mark.parametrize("datatype", sorted(DATATYPES - {"BF16"}))
def test_names_and_dtypes_agree(datatype):
    """Each datatype's dtype maps back to it."""
    assert datatype_of(dtype_of(datatype)) == datatype


def test_unknown_names_are_refused():
    """A datatype that the protocol does not have is named in the error."""
    with pytest.raises(ValueError, match="FLOAT"):
        dtype_of("FLOAT")
    with pytest.raises(ValueError, match="complex"):
        datatype_of(np.complex64)


def test_element_sizes():
    """BYTES elements have no size of their own; the others have their dtype's."""
    assert element_size_bytes("BYTES") is None
    assert element_size_bytes("BF16") == 2
