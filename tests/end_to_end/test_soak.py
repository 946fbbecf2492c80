"""Loading and unloading under traffic, for a while; the long run is `benchmarks/soak.py` itself."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SOAK = Path(__file__).parents[2] / "benchmarks" / "soak.py"


def test_models_are_changed_under_traffic_without_a_failed_request() -> None:
    """While every model is replaced again and again, each request is answered, with what its caller should get."""
    ended = subprocess.run(
        [sys.executable, str(SOAK), "--rounds=15", "--callers=4", "--bound=1000", "--json"],
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    figures = json.loads(ended.stdout)
    assert (figures["rounds"], figures["failures"], figures["wrong_answers"]) == (15, {}, 0)
    assert figures["answers"] > 100
    assert figures["open_files"][-1] <= figures["open_files"][0] + 4
