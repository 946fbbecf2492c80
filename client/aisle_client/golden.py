"""Replay golden files: ask a server what the exporter asked the trained networks, and compare.

The format is that of perf_analyzer's `--input-data`, see `aisle export`.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from aisle_client.inference import InferenceClient
from aisle_client.responses import TensorMetadata
from aisle_protocol.datatypes import dtype_of

GOLDEN: Final = "golden.json"
# Float32 sums in another order differ in the fifth digit over the depth of a network.
TOLERANCE: Final = 1e-4
LARGEST_FILE_BYTES: Final = 1 << 26


class GoldenError(ValueError):
    """A golden file cannot be read, or a model does not answer as its golden file says."""


@dataclass(frozen=True, slots=True)
class Replay:
    """How a model answered its golden requests.

    Attributes:
        model: The model.
        requests: How many were asked; all were answered within the tolerance.
        largest_difference: Of an element from the golden one, relative to the largest of its tensor where that is above 1.
    """

    model: str
    requests: int
    largest_difference: float


def golden_files(repository: Path) -> dict[str, Path]:
    """Find the golden files of a model repository, by model."""
    return {path.parent.name: path for path in sorted(repository.glob(f"*/{GOLDEN}"))}


def replay(client: InferenceClient, model: str, path: Path) -> Replay:
    """Ask a model its golden requests.

    Args:
        client: Of the server.
        model: The model; it has a batch dimension.
        path: Its golden file.

    Returns:
        How near it came.

    Raises:
        GoldenError: The file is not one, or an answer differs: integers at all, floats by more than `TOLERANCE`, ten times
            that for tensors other than probabilities, relative to the tensor's largest element where that is above 1.
        RequestError: The server did not answer.
    """
    requests, answers = _read(path)
    metadata = client.model_metadata(model)
    inputs, outputs = ({tensor.name: tensor for tensor in side} for side in (metadata.inputs, metadata.outputs))
    worst = 0.0
    for number, (request, expected) in enumerate(zip(requests, answers, strict=True)):
        sent = {name: _tensor(inputs, name, spelled, path) for name, spelled in request.items()}
        result = client.infer_batch(model, sent)
        for name, spelled in expected.items():
            wanted = _tensor(outputs, name, spelled, path)
            difference = _difference(result.outputs[name], wanted)
            worst = max(worst, difference)
            bound = _tolerance(name, wanted)
            # Written so that NaN fails.
            if not difference <= bound:
                raise GoldenError(
                    f"{name} of {model!r} differs by {difference:.2g} in golden request {number}, expected at most {bound:.2g}"
                )
    return Replay(model, len(requests), worst)


def _read(path: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    if path.stat().st_size > LARGEST_FILE_BYTES:
        raise GoldenError(f"{path} has more than {LARGEST_FILE_BYTES} bytes, so it is no golden file")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        requests, answers = content["data"], content["validation_data"]
    except (ValueError, KeyError, TypeError) as error:
        raise GoldenError(f"{path} is no golden file: {error}") from error
    if not isinstance(requests, list) or not isinstance(answers, list) or not 0 < len(requests) == len(answers):
        raise GoldenError(
            f"{path} is no golden file: expected as many entries of data as of validation_data, one or more"
        )
    return requests, answers


def _tensor(known: Mapping[str, TensorMetadata], name: str, spelled: Any, path: Path) -> npt.NDArray[Any]:
    """Read a tensor, with a batch of one."""
    if name not in known:
        raise GoldenError(
            f"{path} speaks of a tensor {name!r}, which the model does not have: it has {', '.join(known)}"
        )
    try:
        content = base64.b64decode(spelled["content"]["b64"], validate=True)
        if known[name].datatype == "BYTES":
            return np.array([[content]], dtype=object)
        dtype = np.dtype(dtype_of(known[name].datatype)).newbyteorder("<")
        return np.frombuffer(content, dtype).reshape(1, *spelled["shape"])
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise GoldenError(f"{path} holds a tensor {name!r} that cannot be read: {error}") from error


def _difference(answer: npt.NDArray[Any], wanted: npt.NDArray[Any]) -> float:
    if answer.shape != wanted.shape or answer.dtype != wanted.dtype:
        return float("inf")
    if wanted.dtype.kind != "f":
        return 0.0 if np.array_equal(answer, wanted) else float("inf")
    return float(np.abs(answer - wanted).max() / max(1.0, float(np.abs(wanted).max())))


def _tolerance(name: str, wanted: npt.NDArray[Any]) -> float:
    if wanted.dtype.kind != "f":
        return 0.0
    return TOLERANCE if name in ("PROBABILITIES", "CATEGORY") else 10 * TOLERANCE
