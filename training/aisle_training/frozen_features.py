"""What the frozen part of a network makes of pictures: computed once, kept in a file, and trained on from there.

A file is named after the pixels and the weights that it was computed from, so a folder may serve any number of runs.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from aisle_training.batches import ShuffledBatches
from aisle_training.datasets import Floats, Labels, Pixels

Features = npt.NDArray[np.float16]

# Pictures between two notes of how far it has come: a killed run loses some seconds.
CHUNK_ROWS: Final = 1024


def compute_features(network: Any, pixels: Pixels, folder: Path, *, mirrored: bool = False) -> Features:
    """Compute what a network makes of pictures, or read what was computed before.

    Args:
        network: A Keras model from pixels, uint8 [rows, height, width, 3], to features.
        pixels: The pictures.
        folder: Where the files are kept; made when it is not there.
        mirrored: Whether the pictures are turned left to right first.

    Returns:
        Features, float16 [rows, ...], read from the file as they are needed.

    Raises:
        FloatingPointError: A feature is too large for float16, or no number.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{_digest(network, pixels, mirrored)}.npy"
    if not path.is_file():
        partial, progress = path.with_suffix(".partial"), path.with_suffix(".rows")
        done = int(progress.read_text(encoding="ascii")) if progress.is_file() and partial.is_file() else 0
        shape = (len(pixels), *network.output.shape[1:])
        kept = np.lib.format.open_memmap(partial, mode="r+" if done else "w+", dtype=np.float16, shape=shape)
        for start in range(done, len(pixels), CHUNK_ROWS):
            chunk = pixels[start : start + CHUNK_ROWS]
            with np.errstate(over="ignore"):
                features = network.predict(chunk[:, :, ::-1] if mirrored else chunk, batch_size=64, verbose=0).astype(
                    np.float16
                )
            if not np.isfinite(features).all():
                raise FloatingPointError(
                    "a feature of the frozen network is no number of 16 bits: freeze another layer"
                )
            kept[start : start + len(chunk)] = features
            kept.flush()
            # By a rename, so that what is noted is what is there.
            noted = progress.with_suffix(".noted")
            noted.write_text(str(start + len(chunk)), encoding="ascii")
            noted.replace(progress)
        del kept
        os.replace(partial, path)
        progress.unlink(missing_ok=True)
    return np.load(path, mmap_mode="r")  # type: ignore[no-any-return]


class FeatureBatches(ShuffledBatches):
    """Features and labels; each row's features are those of the picture or of its mirror image, by a draw.

    Args:
        views: Features of the pictures, and of their mirror images if these are wanted; [rows, ...] each.
        labels: int32 [rows].
        batch_size: Rows in a batch.
        seed: Of all that is drawn.
    """

    def __init__(self, views: list[Features], labels: Labels, batch_size: int, seed: int) -> None:
        super().__init__(len(labels), batch_size, seed)
        self._views = views
        self._labels = labels

    def _make_batch(self, chosen: npt.NDArray[np.int64], generator: np.random.Generator) -> tuple[Floats, Labels]:
        drawn = generator.integers(0, len(self._views), len(chosen))
        rows = [self._views[view][row] for view, row in zip(drawn, chosen, strict=True)]
        return np.stack(rows).astype(np.float32), self._labels[chosen]


def _digest(network: Any, pixels: Pixels, mirrored: bool) -> str:
    """Name what features depend on: the layers and weights of the network, the pixels, and which way round they are."""
    digest = hashlib.sha256(str([pixels.shape, mirrored, network.output.shape]).encode())
    digest.update(network.to_json().encode())
    for array in (*network.get_weights(), pixels):
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:24]
