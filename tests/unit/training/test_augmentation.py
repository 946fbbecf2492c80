"""Augmentation of training pictures."""

import numpy as np
import pytest

from aisle_training.augmentation import Augmentation, mix_pictures

PIXELS = np.random.default_rng(0).integers(0, 256, (10, 6, 6, 3), dtype=np.uint8)


def test_augmentation_can_be_switched_off():
    """Without flip and shift the pictures are the catalogue's own."""
    np.testing.assert_array_equal(Augmentation(False, 0)(PIXELS, np.random.default_rng(0)), PIXELS)


def test_flip_mirrors_left_to_right():
    """A flipped picture is the mirrored one, and about half are flipped."""
    many = np.repeat(PIXELS[:1], 200, axis=0)
    augmented = Augmentation(True, 0)(many, np.random.default_rng(0))
    mirrored = [(picture == PIXELS[0, :, ::-1]).all() for picture in augmented]
    kept = [(picture == PIXELS[0]).all() for picture in augmented]
    assert sum(mirrored) + sum(kept) == 200
    assert 70 < sum(mirrored) < 130


def test_shift_repeats_the_edge():
    """A picture of one colour stays what it is however it is shifted."""
    plain = np.full((5, 6, 6, 3), 77, dtype=np.uint8)
    np.testing.assert_array_equal(Augmentation(True, 3)(plain, np.random.default_rng(0)), plain)


def test_mixed_pictures_are_labelled_with_their_shares():
    """In a mixture each picture is seen as strongly as its class is labelled, and shares of all sizes occur."""
    shades = np.arange(0, 200, 2)
    plain = np.broadcast_to(shades[:, None, None, None], (100, 4, 4, 3)).astype(np.uint8)
    mixed, targets = mix_pictures(plain, np.arange(100, dtype=np.int32), 100, np.random.default_rng(0), alpha=1.0)
    assert (mixed.dtype, targets.dtype) == (np.uint8, np.float32)
    np.testing.assert_allclose(targets.sum(axis=1), 1.0, atol=1e-6)
    np.testing.assert_allclose(mixed[:, 0, 0, 0], targets @ shades, atol=0.5)
    own = targets[np.arange(100), np.arange(100)]
    assert (np.histogram(own, bins=4, range=(0, 1))[0] > 10).all()


def test_zoom_enlarges_and_reduces():
    """A disc is drawn larger and smaller, wider and taller, by no more than was asked for; the background stays plain."""
    y, x = np.mgrid[:64, :64] - 31.5
    disc = np.where((x**2 + y**2 < 16**2)[..., None], 0, 255).astype(np.uint8)
    many = np.broadcast_to(disc, (200, 64, 64, 3))
    zoomed = Augmentation(zoom=0.25)(many, np.random.default_rng(0)) < 128
    heights, widths = zoomed[..., 0].any(axis=2).sum(axis=1), zoomed[..., 0].any(axis=1).sum(axis=1)
    for sizes in (heights, widths):
        assert 24 <= sizes.min() < 28
        assert 37 < sizes.max() <= 41
    assert np.abs(heights - widths).max() > 5
    assert not zoomed[:, 0].any()


def test_colours_change_within_bounds():
    """Recoloured pictures keep light from dark, and no channel of a mid grey leaves what was asked for."""
    grey = np.full((100, 4, 4, 3), 128, dtype=np.uint8)
    grey[:, 2:] = 180
    changed = Augmentation(colour=0.2)(grey, np.random.default_rng(0)).astype(int)
    assert (changed[:, 2:] > changed[:, :2]).all()
    assert changed[:, 0].min() >= 102
    assert changed[:, 0].max() <= 154
    assert np.ptp(changed[:, 0, 0], axis=1).max() > 20  # the channels change apart


@pytest.mark.parametrize("fraction", [0.0, 0.3, 1.0])
def test_erasing_paints_over_a_part(fraction: float):
    """Of so many pictures a rectangle of 2 % to 20 % is painted over; the others stay as they are."""
    before = np.random.default_rng(1).integers(0, 256, (300, 20, 20, 3), dtype=np.uint8)
    kept = before.copy()
    after = Augmentation(erase=fraction)(before, np.random.default_rng(0))
    np.testing.assert_array_equal(before, kept)
    share = (after != before).any(axis=3).mean(axis=(1, 2))
    assert (share > 0).mean() == pytest.approx(fraction, abs=0.08)
    assert share.max() < 0.23
    assert (share[share > 0] > 0.01).all()
