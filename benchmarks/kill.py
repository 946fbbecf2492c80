"""What kill -9 of a model's process costs under load: failed requests, and seconds until the model is ready again.

    python benchmarks/kill.py                                   # 8 kills
    python benchmarks/kill.py --kills 100 --instances 4 --callers 64 --json

Starts `python -m aisle_server` over a python model whose instances have processes of their own, asks it without pause, and kills one
process after the other, each when the model is ready again. An instance is restarted 0.1 s after the death of its process, and twice
as late each time that it dies within a minute, which `ready_s` has in it. Every answer is compared with what its caller sent. The end
is status 1 when an answer was wrong, or when a kill failed more requests than the batch that the process had.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import statistics
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import click
import grpc
import numpy as np
from running_server import running_server

from aisle_protocol.generated import grpc_service_pb2 as protocol

SERVICE = "/inference.GRPCInferenceService/"
TIMEOUT_S = 60.0
LOOK_EVERY_S = 0.005
BETWEEN_KILLS_S = 0.5
BATCH = 8
CONFIG = f"""
backend: "python"
max_batch_size: {BATCH}
input {{ name: "INPUT0" data_type: TYPE_INT64 dims: 1 }}
output {{ name: "OUTPUT0" data_type: TYPE_INT64 dims: 1 }}
dynamic_batching {{ }}
parameters {{ key: "EXECUTION_PROCESS" value: {{ string_value: "own" }} }}
"""
CODE = """
import os
import time

import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        time.sleep(0.005)
        return [
            pb_utils.InferenceResponse(
                [pb_utils.Tensor("OUTPUT0", pb_utils.get_input_tensor_by_name(each, "INPUT0").as_numpy() + 1)],
                parameters={"pid": os.getpid()},
            )
            for each in requests
        ]
"""


@dataclass
class Figures:
    """What came of it.

    Attributes:
        kills: Processes that were killed.
        answers: Requests that were answered with what they should be.
        wrong_answers: Answers to somebody else's request.
        failures: Why others were not: text -> how often.
        failed_per_kill_max: Requests that one kill failed, at most.
        not_ready_s: From a kill until readiness said so: median and maximum.
        ready_s: From a kill until the model was ready again: median and maximum.
        pause_max_s: The longest that nobody was answered.
        seconds: In all.
    """

    kills: int = 0
    answers: int = 0
    wrong_answers: int = 0
    failures: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    failed_per_kill_max: int = 0
    not_ready_s: tuple[float, float] = (0.0, 0.0)
    ready_s: tuple[float, float] = (0.0, 0.0)
    pause_max_s: float = 0.0
    seconds: float = 0.0


class Shooting:
    """Callers at one server, and somebody who kills its processes."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._figures = Figures()
        self._infer = channel.unary_unary(
            SERVICE + "ModelInfer",
            protocol.ModelInferRequest.SerializeToString,
            protocol.ModelInferResponse.FromString,
        )
        self._ready = channel.unary_unary(
            SERVICE + "ModelReady",
            protocol.ModelReadyRequest.SerializeToString,
            protocol.ModelReadyResponse.FromString,
        )
        # The processes that answer, the one that answered last behind the others.
        self._pids: dict[int, None] = {}
        self._last_answer_s = time.perf_counter()
        self._is_over = False

    async def run(self, kills: int, callers: int) -> Figures:
        """Kill so many processes while so many callers ask."""
        started_s = time.perf_counter()
        asking = [asyncio.create_task(self._ask(caller)) for caller in range(callers)]
        figures, gone_s, back_s = self._figures, list[float](), list[float]()
        for _ in range(kills):
            await asyncio.sleep(BETWEEN_KILLS_S)
            failed = sum(figures.failures.values())
            victim = next(iter(self._pids))
            shot_s = time.perf_counter()
            os.kill(victim, signal.SIGKILL)
            figures.kills += 1
            gone_s.append(await self._until_ready(False, shot_s))
            back_s.append(await self._until_ready(True, shot_s))
            del self._pids[victim]
            figures.failed_per_kill_max = max(figures.failed_per_kill_max, sum(figures.failures.values()) - failed)
        await asyncio.sleep(BETWEEN_KILLS_S)
        self._is_over = True
        await asyncio.gather(*asking)
        figures.not_ready_s, figures.ready_s = (
            (round(statistics.median(each), 3), round(max(each), 3)) for each in (gone_s, back_s)
        )
        figures.pause_max_s, figures.seconds = round(figures.pause_max_s, 3), round(time.perf_counter() - started_s, 1)
        return figures

    async def _until_ready(self, ready: bool, since_s: float) -> float:
        async with asyncio.timeout(TIMEOUT_S):
            while (await self._ready(protocol.ModelReadyRequest(name="victim"))).ready is not ready:
                await asyncio.sleep(LOOK_EVERY_S)
        return time.perf_counter() - since_s

    async def _ask(self, caller: int) -> None:
        number = caller * 1_000_000
        while not self._is_over:
            number += 1
            request = protocol.ModelInferRequest(model_name="victim")
            request.inputs.add(name="INPUT0", datatype="INT64", shape=[1, 1])
            request.raw_input_contents.append(np.int64(number).tobytes())
            try:
                response = await self._infer(request, timeout=TIMEOUT_S)
            except grpc.aio.AioRpcError as error:
                self._figures.failures[f"{error.code().name}: {error.details()}"] += 1
                continue
            now_s = time.perf_counter()
            self._figures.pause_max_s = max(self._figures.pause_max_s, now_s - self._last_answer_s)
            self._last_answer_s = now_s
            pid = response.parameters["pid"].int64_param
            self._pids.pop(pid, None)
            self._pids[pid] = None
            if response.raw_output_contents[0] == np.int64(number + 1).tobytes():
                self._figures.answers += 1
            else:
                self._figures.wrong_answers += 1


def write_model(repository: Path, instances: int) -> None:
    """Write the model whose processes are killed."""
    version = repository / "victim" / "1"
    version.mkdir(parents=True)
    (version / "model.py").write_text(CODE)
    (version.parent / "config.pbtxt").write_text(f"{CONFIG}instance_group {{ count: {instances} kind: KIND_CPU }}\n")


async def shoot(address: str, kills: int, callers: int) -> Figures:
    """Shoot at one server."""
    async with grpc.aio.insecure_channel(address) as channel:
        return await Shooting(channel).run(kills, callers)


@click.command(help=__doc__)
@click.option("--kills", type=click.IntRange(1), default=8, show_default=True)
@click.option("--instances", type=click.IntRange(1), default=2, show_default=True, help="of the model, a process each")
@click.option("--callers", type=click.IntRange(1), default=32, show_default=True, help="who each wait for an answer")
@click.option("--json", "as_json", is_flag=True, help="print JSON")
def main(kills: int, instances: int, callers: int, as_json: bool) -> None:
    """Run and print."""
    with tempfile.TemporaryDirectory() as folder:
        write_model(Path(folder), instances)
        with running_server(Path(folder), "--allow-http=false", "--allow-metrics=false") as server:
            figures = asyncio.run(shoot(server.grpc, kills, callers))
    if as_json:
        print(json.dumps(vars(figures)))
    else:
        for name, value in vars(figures).items():
            print(f"{name:20}{dict(value) if isinstance(value, dict) else value}")
    if figures.wrong_answers or figures.failed_per_kill_max > BATCH:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
