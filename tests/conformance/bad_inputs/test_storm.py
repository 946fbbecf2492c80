"""Row 87 of the list of bad inputs: models loaded and unloaded by many callers at once; the texts that they may hear."""

from __future__ import annotations

import collections
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from tests.support.model_directories import chain, write_model
from tests.support.server_process import running_server

CALLERS, ROUNDS = 16, 24
# What Triton's own stress test lets a load or an unload be told while others undo it.
ALLOWED = (
    "failed to load '{}', failed to poll from model repository",
    "failed to load '{}', unexpected miss in global map",
    "failed to load '{}', no version is available",
    "failed to unload '{}', versions that are still available: 1",
    "load failed for model '{}'",
)


def test_d87_b30_b31_b32_a_storm_of_loads_and_unloads(tmp_path: Path) -> None:
    """Each call succeeds or is told one of the texts that Triton's test allows; afterwards every model loads and answers."""
    names = ["left", "right", "line"]
    for name in names[:2]:
        write_model(tmp_path, name)
    write_model(tmp_path, "line", chain("left", "right"))
    outcomes: collections.Counter[str] = collections.Counter()
    with running_server(tmp_path, "--model-control-mode=explicit", "--strict-readiness=false") as server:

        def call(seed: int) -> None:
            choice = random.Random(seed)
            with triton.InferenceServerClient(server.grpc) as client:
                for _ in range(ROUNDS):
                    name = choice.choice(names)
                    change = choice.choice((client.load_model, client.unload_model))
                    try:
                        change(name)
                        outcomes["done"] += 1
                    except InferenceServerException as error:
                        outcomes[error.message().replace(f"'{name}'", "'{}'")] += 1

        with ThreadPoolExecutor(CALLERS) as callers:
            list(callers.map(call, range(CALLERS)))
        assert sum(outcomes.values()) == CALLERS * ROUNDS
        strange = [text for text in outcomes if text != "done" and not text.startswith(ALLOWED)]
        assert not strange, outcomes
        with triton.InferenceServerClient(server.grpc) as client:
            for name in names:
                client.load_model(name)
                assert client.is_model_ready(name)
