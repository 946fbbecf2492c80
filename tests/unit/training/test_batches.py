"""Batches and augmentation."""

import numpy as np

from aisle_training.augmentation import Augmentation
from aisle_training.batches import (
    FusionBatches,
    PictureBatches,
    TitleBatches,
    TitleVariant,
    drop_inputs,
    drop_tokens,
)

PIXELS = np.random.default_rng(0).integers(0, 256, (10, 6, 6, 3), dtype=np.uint8)
LABELS = np.arange(10, dtype=np.int32)


def seen(batches: PictureBatches) -> list[int]:
    """The labels of an epoch, in its order."""
    return [int(label) for index in range(len(batches)) for label in batches[index][1]]


def test_epoch_holds_each_row():
    """An epoch gives every row, in another order than the epoch before, in batches that are all of one size."""
    batches = PictureBatches(PIXELS, LABELS, batch_size=4, seed=0, augmentation=Augmentation(True, 1))
    first = seen(batches)
    batches.start_epoch(1)
    second = seen(batches)
    assert [len(batches[index][1]) for index in range(len(batches))] == [4, 4, 4]
    assert sorted(first[:10]) == sorted(second[:10]) == list(range(10))
    assert first[10:] == first[:2]
    assert first != second


def test_epoch_is_drawn_from_seed_and_number_alone():
    """Epoch 3 of a run that starts there is epoch 3 of a run that came along, to the pixel."""
    there, along = (
        PictureBatches(PIXELS, LABELS, batch_size=4, seed=5, augmentation=Augmentation(True, 2)) for _ in range(2)
    )
    for epoch in range(4):
        along.start_epoch(epoch)
        seen(along)
    there.start_epoch(3)
    np.testing.assert_array_equal(there[1][0], along[1][0])
    np.testing.assert_array_equal(there[1][1], along[1][1])


def test_batches_mix_when_asked():
    """With mixup a batch's labels are shares for each class; without, they are class numbers."""
    mixed = PictureBatches(
        PIXELS, LABELS, batch_size=4, seed=0, augmentation=Augmentation(True, 1), mixup=0.4, classes=10
    )
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


def test_titles_are_read_in_variants():
    """As many titles as asked are read in each variant; one without a label has a share of every class."""
    rows = 4000
    titles = np.full((rows, 6), 2, dtype=np.int32)
    masked, unreadable = np.full_like(titles, 3), np.full_like(titles, 1)
    masked[::2] = 0
    labels = np.arange(rows, dtype=np.int32) % 4
    variants = [TitleVariant(masked, 0.4), TitleVariant(unreadable, 0.1, keeps_label=False)]
    batches = TitleBatches(titles, labels, rows, 0, token_dropout=0.0, variants=variants, classes=4)
    token_ids, shares = batches[0]
    order = np.random.default_rng((0, 0)).permutation(rows)
    first = token_ids[:, 0]
    assert 600 < (first == 3).sum() < 1000
    assert not (order[first == 3] % 2 == 0).any()
    assert 300 < (first == 1).sum() < 500
    np.testing.assert_array_equal(shares[first == 1], 0.25)
    np.testing.assert_array_equal(shares[first != 1].argmax(axis=1), labels[order[first != 1]])
    np.testing.assert_array_equal(shares[first != 1].max(axis=1), 1.0)


def test_labels_of_titles_stay_numbers():
    """Where every variant keeps its label, labels are class numbers."""
    titles = np.full((8, 6), 2, dtype=np.int32)
    labels = np.arange(8, dtype=np.int32)
    batches = TitleBatches(titles, labels, 8, 0, token_dropout=0.0, variants=[TitleVariant(titles, 0.5)])
    assert sorted(batches[0][1]) == list(range(8))


def test_ngrams_stay_behind_subwords():
    """Tokens that are taken out close up among the subwords and among the n-grams, not across."""
    titles = np.zeros((200, 10), dtype=np.int32)
    titles[:, :4], titles[:, 6:9] = (1, 2, 3, 4), (7, 8, 9)
    batches = TitleBatches(titles, np.zeros(200, dtype=np.int32), 200, 0, token_dropout=0.5, ngram_length=4)
    token_ids, _ = batches[0]
    assert set(np.unique(token_ids[:, :6])) == {0, 1, 2, 3, 4}
    assert set(np.unique(token_ids[:, 6:])) == {0, 7, 8, 9}
    assert (token_ids[:, 0] > 0).all()
    assert (token_ids[:, 6] > 0).all()
