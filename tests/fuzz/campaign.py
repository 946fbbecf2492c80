"""A run of the fuzzer: a server, exchanges through both doors in turn, and what came of them."""

from __future__ import annotations

import resource
import struct
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import grpc
import numpy as np
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from aisle_protocol.generated import grpc_service_pb2 as pb
from tests.fuzz import vocabulary
from tests.fuzz.doors import FindingError, GrpcDoor, HttpDoor
from tests.fuzz.grpc_calls import SERVICE, grpc_calls
from tests.fuzz.http_exchanges import http_exchanges
from tests.fuzz.served_models import write_fuzzed_models
from tests.support.server_process import ServerProcess, running_server

# Exchanges of one seed: a finding is not far from its seed, and Hypothesis forgets what it has tried.
_ROUND_SIZE: Final = 500
_DOORS_OPEN = (
    "--model-control-mode=explicit",
    "--load-model=*",
    "--allow-file-override=true",
    "--allow-client-shm=true",
    "--cache-config=local,size=1048576",
    "--http-max-input-size=1048576",
    "--grpc-max-message-bytes=1048576",
    "--grpc-header-forward-pattern=x-.*",
    "--http-header-forward-pattern=X-.*",
)


@dataclass
class Figures:
    """What came of a run.

    Attributes:
        executions: Exchanges, by door.
        outcomes: How often each status was the answer, by door.
        slowest_ms: Of the answers, by door.
        resident_mb: Of the server, after each round.
    """

    executions: Counter[str] = field(default_factory=Counter)
    outcomes: dict[str, Counter[str]] = field(default_factory=dict)
    slowest_ms: dict[str, float] = field(default_factory=dict)
    resident_mb: list[float] = field(default_factory=list)

    @property
    def growth_mb(self) -> float:
        """Memory taken since the first third, when every pool has its size."""
        return self.resident_mb[-1] - self.resident_mb[len(self.resident_mb) // 3]


@contextmanager
def fuzzed_server() -> Iterator[ServerProcess]:
    """A server with every door open, and shared memory that callers may register."""
    shared = Path("/dev/shm") / vocabulary.SHARED_MEMORY_KEY
    with tempfile.TemporaryDirectory() as folder:
        repository = Path(folder) / "models"
        write_fuzzed_models(repository)
        if shared.parent.is_dir():  # elsewhere every region is unknown
            shared.write_bytes(bytes(vocabulary.SHARED_MEMORY_BYTES))
        traces = (
            f"--trace-config=file={folder}/trace.json",
            "--trace-config=level=TIMESTAMPS",
            "--trace-config=rate=7",
        )
        try:
            with running_server(repository, *_DOORS_OPEN, *traces) as server:
                yield server
        finally:
            shared.unlink(missing_ok=True)


def fuzz(
    server: ServerProcess,
    executions: int,
    first_seed: int,
    *,
    answer_within_s: float = 10.0,
    round_size: int = _ROUND_SIZE,
    after_round: Callable[[Figures], None] = lambda figures: None,
) -> Figures:
    """Send so many exchanges, the doors taking turns.

    Args:
        server: Of `fuzzed_server`.
        executions: Through both doors together.
        first_seed: Of the first round; the next ones count on from it. Runs of the same seed send the same.
        answer_within_s: An answer that takes longer is a finding.
        round_size: Exchanges of one seed, through one door.
        after_round: Is told how far it is.

    Raises:
        FindingError: INTERNAL or UNKNOWN, a server that is dead, slow or tells of its insides, or that answers an ordinary request wrongly.
    """
    figures = Figures()
    pairs: list[tuple[Any, st.SearchStrategy[Any]]] = [
        (GrpcDoor(server.grpc, answer_within_s), grpc_calls()),
        (HttpDoor(server.http, answer_within_s), http_exchanges()),
    ]
    number = 0
    try:
        while (left := executions - figures.executions.total()) > 0:
            door, exchanges = pairs[number % len(pairs)]
            _round(door, exchanges, min(round_size, left), first_seed + number, figures)
            _look_after(server, figures)
            after_round(figures)
            number += 1
    finally:
        for door, _ in pairs:
            door.close()
    return figures


def _round(door: Any, exchanges: st.SearchStrategy[Any], count: int, number: int, figures: Figures) -> None:
    outcomes = figures.outcomes.setdefault(door.name, Counter())

    @seed(number)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(exchanges)
    def one(exchange: Any) -> None:
        outcomes[door.exchange(exchange)] += 1
        figures.executions[door.name] += 1

    try:
        one()
    except FindingError as finding:
        finding.add_note(f"{door.name} door, seed {number}")
        raise
    figures.slowest_ms[door.name] = round(door.slowest_s * 1000, 1)


def _look_after(server: ServerProcess, figures: Figures) -> None:
    """Ask what any caller might ask, and look for traces of errors in the log."""
    values = np.arange(4, dtype="<f4")
    request = pb.ModelInferRequest(model_name="identity", raw_input_contents=[values.tobytes()])
    request.inputs.add(name="INPUT0", datatype="FP32", shape=[1, 4])
    with grpc.insecure_channel(server.grpc) as channel:
        answer = channel.unary_unary(f"/{SERVICE.full_name}/ModelInfer")(request.SerializeToString(), timeout=10)
    if struct.pack("<4f", *values) not in pb.ModelInferResponse.FromString(answer).raw_output_contents:
        raise FindingError("an ordinary request was answered wrongly")
    lines, server.log[:] = "".join(server.log), []
    if "Traceback" in lines:
        raise FindingError(f"the log has a trace:\n{lines[lines.index('Traceback') - 500 :][:6000]}")
    statm = Path(f"/proc/{server.pid}/statm")  # Linux's; nowhere else does memory count
    pages = int(statm.read_text().split()[1]) if statm.exists() else 0
    figures.resident_mb.append(round(pages * resource.getpagesize() / 2**20, 1))
