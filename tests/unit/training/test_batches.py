"""Batches and augmentation."""

import numpy as np

from aisle_training.batches import (
    FusionBatches,
    PictureBatches,
    augment_pictures,
    drop_inputs,
    drop_tokens,
    mix_pictures,
)

PIXELS = np.random.default_rng(0).integers(0, 256, (10, 6, 6, 3), dtype=np.uint8)
LABELS = np.arange(10, dtype=np.int32)


def seen(batches: PictureBatches) -> list[int]:
    """The labels of an epoch, in its order."""
    return [int(label) for index in range(len(batches)) for label in batches[index][1]]


def test_epoch_holds_each_row():
    """An epoch gives every row, in another order than the epoch before, in batches that are all of one size."""
    batches = PictureBatches(PIXELS, LABELS, batch_size=4, seed=0, flip=True, shift=1)
    first = seen(batches)
    batches.start_epoch(1)
    second = seen(batches)
    assert [len(batches[index][1]) for index in range(len(batches))] == [4, 4, 4]
    assert sorted(first[:10]) == sorted(second[:10]) == list(range(10))
    assert first[10:] == first[:2]
    assert first != second


def test_epoch_is_drawn_from_seed_and_number_alone():
    """Epoch 3 of a run that starts there is epoch 3 of a run that came along, to the pixel."""
    there, along = (PictureBatches(PIXELS, LABELS, batch_size=4, seed=5, flip=True, shift=2) for _ in range(2))
    for epoch in range(4):
        along.start_epoch(epoch)
        seen(along)
    there.start_epoch(3)
    np.testing.assert_array_equal(there[1][0], along[1][0])
    np.testing.assert_array_equal(there[1][1], along[1][1])


def test_augmentation_can_be_switched_off():
    """Without flip and shift the pictures are the catalogue's own."""
    np.testing.assert_array_equal(augment_pictures(PIXELS, np.random.default_rng(0), flip=False, shift=0), PIXELS)


def test_flip_mirrors_left_to_right():
    """A flipped picture is the mirrored one, and about half are flipped."""
    many = np.repeat(PIXELS[:1], 200, axis=0)
    augmented = augment_pictures(many, np.random.default_rng(0), flip=True, shift=0)
    mirrored = [(picture == PIXELS[0, :, ::-1]).all() for picture in augmented]
    kept = [(picture == PIXELS[0]).all() for picture in augmented]
    assert sum(mirrored) + sum(kept) == 200
    assert 70 < sum(mirrored) < 130


def test_shift_repeats_the_edge():
    """A picture of one colour stays what it is however it is shifted."""
    plain = np.full((5, 6, 6, 3), 77, dtype=np.uint8)
    np.testing.assert_array_equal(augment_pictures(plain, np.random.default_rng(0), flip=True, shift=3), plain)


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


def test_batches_mix_when_asked():
    """With mixup a batch's labels are shares for each class; without, they are class numbers."""
    mixed = PictureBatches(PIXELS, LABELS, batch_size=4, seed=0, flip=True, shift=1, mixup=0.4, classes=10)
    assert mixed[0][1].shape == (4, 10)
    np.testing.assert_array_equal(mixed[0][1], mixed[0][1])


def test_dropped_tokens_close_up():
    """Tokens that stay keep their order, padding stays at the end, and no title loses all its tokens."""
    token_ids = np.zeros((300, 8), dtype=np.int32)
    token_ids[:, :5] = (3, 4, 5, 6, 7)
    token_ids[:50, 1:] = 0
    token_ids[0] = 0
    dropped = drop_tokens(token_ids, np.random.default_rng(0), fraction=0.7)
    for row, title in enumerate(dropped):
        tokens = title[title != 0]
        assert (title[: len(tokens)] == tokens).all()
        assert (np.diff(tokens) > 0).all()
        assert set(tokens) <= set(token_ids[row])
        assert len(tokens) > 0 or row == 0
    assert (dropped[50:] != 0).sum() < 0.5 * (token_ids[50:] != 0).sum()
    assert token_ids[60, 4] == 7


def test_no_row_loses_all_inputs():
    """In training a row may lose some of its inputs, never all, and never the only one it has."""
    rows = 600
    present = {
        "image": np.arange(rows) % 10 != 0,
        "title": np.arange(rows) % 10 != 1,
        "brand": np.arange(rows) % 10 < 2,
    }
    embeddings = {name: np.zeros((rows, 2), dtype=np.float32) for name in present}
    labels = np.arange(rows, dtype=np.int32)
    batches = FusionBatches(embeddings, present, labels, batch_size=rows, seed=0, missing=0.6)
    inputs, labels = batches[0]
    left = {name: inputs[f"{name.upper()}_PRESENT"][:, 0] for name in present}
    assert (sum(left.values()) >= 1).all()
    for name, flags in left.items():
        assert (flags <= present[name][labels]).all()
    lost = sum(flags != present[name][labels] for name, flags in left.items()) > 0
    assert 0.5 < lost.mean() < 0.7


def test_sets_of_inputs_are_drawn_alike():
    """Of three inputs, each of the six sets that are neither empty nor whole is left as often as the others."""
    left = drop_inputs(np.ones((6000, 3), dtype=np.bool_), np.random.default_rng(0), fraction=1.0)
    sets, counts = np.unique(left, axis=0, return_counts=True)
    assert len(sets) == 6
    assert counts.min() > 850
    assert counts.max() < 1150
