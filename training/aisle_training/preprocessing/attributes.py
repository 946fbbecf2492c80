"""Values of an attribute, such as brands, to a fixed number of buckets.

This file is copied beside the repository's `model.py`: it imports NumPy and its neighbour, nothing else.
"""

import zlib
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from .title_normalization import normalize_title

MISSING: Final = 0


def hash_values(values: Sequence[str], buckets: int) -> npt.NDArray[np.int32]:
    """Hash values, however they are spelt: letter case and what `normalize_title` folds make no difference.

    Args:
        values: Of one attribute, as the shop wrote them.
        buckets: Number of buckets.

    Returns:
        For each value its bucket, 1 to `buckets`, or 0 for a blank one; shape [len(values), 1].
    """
    hashed = [_bucket(normalize_title(value).lower(), buckets) for value in values]
    return np.array(hashed, dtype=np.int32).reshape(-1, 1)


def _bucket(value: str, buckets: int) -> int:
    # CRC-32 is the same on every machine and in every process; Python's own hash is not.
    return 1 + zlib.crc32(value.encode()) % buckets if value else MISSING
