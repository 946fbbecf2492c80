"""What it takes to serve an exported network: bytes, and milliseconds of one thread."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from aisle_training.export.classifiers import Classifier, Network

WARM_UP_RUNS: Final = 3
TIMED_RUNS: Final = 20


@dataclass(frozen=True, slots=True)
class ServingCost:
    """What one exported network costs.

    Attributes:
        bytes: Of its file.
        milliseconds: To answer one row alone, on one thread of ONNX Runtime; the median of `TIMED_RUNS`. Preparing the
            row, such as decoding a picture, comes on top.
    """

    bytes: int
    milliseconds: float


def measure_serving_cost(classifier: Classifier, exported: Network, size_bytes: int) -> ServingCost:
    """Time an exported network on a row of zeros.

    Args:
        classifier: Its tensors.
        exported: The network, opened to run on one thread.
        size_bytes: Of its file.
    """
    row = {spec.name: spec.zeros(1) for spec in classifier.inputs}
    seconds = []
    for _ in range(WARM_UP_RUNS + TIMED_RUNS):
        started_s = time.perf_counter()
        exported(row)
        seconds.append(time.perf_counter() - started_s)
    return ServingCost(size_bytes, round(1000 * statistics.median(seconds[WARM_UP_RUNS:]), 4))


def write_serving_costs(path: Path, costs: Mapping[str, ServingCost]) -> None:
    """Write the costs of a run's networks as JSON."""
    content = {name: asdict(cost) for name, cost in costs.items()}
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def read_serving_costs(path: Path) -> dict[str, ServingCost]:
    """Read what `write_serving_costs` wrote; {} where nothing was written.

    Raises:
        ValueError: The file holds something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {name: ServingCost(**cost) for name, cost in content.items()}
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} holds no serving costs: {error}") from error
