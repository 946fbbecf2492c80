"""Whether models can be loaded and unloaded for ever: rounds of changes under traffic, failed requests, memory.

    python benchmarks/soak.py                                   # 200 rounds
    python benchmarks/soak.py --rounds 20 --callers 4 --json

Starts `python -m aisle_server --model-control-mode explicit` over models that it writes: a python model, an ONNX model (where `onnx` is
installed) and an ensemble of the two, all of which are asked without pause, and a visitor that nobody asks. Each round changes all of them:

    the python model     files newer: loaded anew, and its ensemble finishes on either
    the ONNX model       another version beside it, then without it: make before break, and break
    the same             another number of instances: no reload
    the ensemble         another configuration with the load, and back
    the visitor          loaded and unloaded

Every answer is compared with what its caller sent. Resident memory is read after every round, and its slope is that of the straight line
through the rounds behind the first quarter, when every pool of the runtimes has its size: a leak of one of the 4 MiB weights in a hundred
loads would show. The end is status 1 when a request failed, an answer was wrong, or the slope is above `--bound`.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import grpc
import numpy as np
from running_server import resident_mb, running_server

from aisle_protocol.generated import grpc_service_pb2 as protocol

SERVICE = "/inference.GRPCInferenceService/"
TIMEOUT_S = 60.0
WIDTH = 64
SLOPE_BOUND_KB = 15.0
TENSORS = f"""
max_batch_size: 8
input {{ name: "INPUT0" data_type: TYPE_FP32 dims: {WIDTH} }}
output {{ name: "OUTPUT0" data_type: TYPE_FP32 dims: {WIDTH} }}
"""
PYTHON_CODE = """
import numpy as np
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def initialize(self, args):
        self.weights = np.zeros(1 << 20, np.float32)  # 4 MiB that would show if they stayed

    def execute(self, requests):
        return [
            pb_utils.InferenceResponse([
                pb_utils.Tensor("OUTPUT0", pb_utils.get_input_tensor_by_name(each, "INPUT0").as_numpy() + 1)
            ])
            for each in requests
        ]
"""
ADDED = {"coded": 1.0, "network": 1.0, "both": 2.0}
"""What each model adds to its input."""


@dataclass
class Figures:
    """What came of it.

    Attributes:
        rounds: Of changes.
        changes: Loads and unloads that were asked for.
        answers: Requests that were answered with what they should be.
        failures: Why others were not: text -> how often.
        wrong_answers: Answers to somebody else's request.
        p50_ms: Of answers.
        p99_ms: Of answers.
        load_p50_ms: Of changes.
        load_max_ms: Of changes.
        resident_mb: The median of each tenth of the rounds.
        slope_kb: Resident memory that a round adds, behind the first quarter of them.
        threads: At the first fifth, and at the end.
        open_files: At the first fifth, and at the end.
        seconds: In all.
    """

    rounds: int = 0
    changes: int = 0
    answers: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    wrong_answers: int = 0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    load_p50_ms: float = 0.0
    load_max_ms: float = 0.0
    resident_mb: list[float] = field(default_factory=list)
    slope_kb: float = 0.0
    threads: list[int] = field(default_factory=list)
    open_files: list[int] = field(default_factory=list)
    seconds: float = 0.0


def write_models(repository: Path) -> None:
    """Write the models of the first round."""
    write(repository / "coded" / "config.pbtxt", 'backend: "python"' + TENSORS + "dynamic_batching { }")
    write(repository / "coded" / "1" / "model.py", PYTHON_CODE)
    write_network(repository / "network")
    steps = "".join(
        f'step {{ model_name: "{model}" model_version: -1'
        f' input_map {{ key: "INPUT0" value: "{source}" }} output_map {{ key: "OUTPUT0" value: "{target}" }} }}'
        for model, source, target in (("coded", "INPUT0", "between"), ("network", "between", "OUTPUT0"))
    )
    write(repository / "both" / "config.pbtxt", f'platform: "ensemble" {TENSORS} ensemble_scheduling {{ {steps} }}')
    (repository / "both" / "1").mkdir()
    write(repository / "visitor" / "config.pbtxt", 'backend: "python"' + TENSORS)
    write(repository / "visitor" / "1" / "model.py", PYTHON_CODE)


def write_network(directory: Path) -> None:
    """Write an ONNX model; where ONNX cannot be written, a python model that does the same."""
    config = TENSORS + "dynamic_batching { } instance_group { count: 1 kind: KIND_CPU }"
    try:
        import onnx
        from onnx import TensorProto, helper
    except ImportError:
        write(directory / "config.pbtxt", 'backend: "python"' + config)
        write(directory / "1" / "model.py", PYTHON_CODE)
        return
    write(directory / "config.pbtxt", 'platform: "onnxruntime_onnx"' + config)
    one = helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0])
    shape = ["n", WIDTH]
    graph = helper.make_graph(
        [helper.make_node("Add", ["INPUT0", "one"], ["OUTPUT0"])],
        "soak",
        [helper.make_tensor_value_info("INPUT0", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("OUTPUT0", TensorProto.FLOAT, shape)],
        [one],
    )
    (directory / "1").mkdir()
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, directory / "1" / "model.onnx")


def write(path: Path, text: str) -> None:
    """Write a file, its directory included."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


class Storm:
    """Changes and traffic, at one server.

    Attributes:
        figures: So far.
    """

    def __init__(self, channel: grpc.aio.Channel, repository: Path, pid: int) -> None:
        self.figures = Figures()
        self._repository = repository
        self._pid = pid
        self._infer = channel.unary_unary(
            SERVICE + "ModelInfer",
            protocol.ModelInferRequest.SerializeToString,
            protocol.ModelInferResponse.FromString,
        )
        self._load = channel.unary_unary(
            SERVICE + "RepositoryModelLoad", protocol.RepositoryModelLoadRequest.SerializeToString
        )
        self._unload = channel.unary_unary(
            SERVICE + "RepositoryModelUnload", protocol.RepositoryModelUnloadRequest.SerializeToString
        )
        self._latencies_s: list[float] = []
        self._change_s: list[float] = []
        self._resident_mb: list[float] = []
        self._is_over = False

    async def run(self, rounds: int, callers: int) -> Figures:
        """Change models for so many rounds, while so many callers ask."""
        started = time.perf_counter()
        for model in (*ADDED, "visitor"):
            await self._loaded(model)
        asking = [asyncio.create_task(self._ask(number)) for number in range(callers)]
        for number in range(rounds):
            await self._change_everything(number)
            self.figures.rounds += 1
            self._resident_mb.append(resident_mb(self._pid))
            if number + 1 in (max(1, rounds // 5), rounds):
                self.figures.threads.append(len(list(Path(f"/proc/{self._pid}/task").iterdir())))
                self.figures.open_files.append(len(list(Path(f"/proc/{self._pid}/fd").iterdir())))
        self._is_over = True
        await asyncio.gather(*asking)
        figures = self.figures
        figures.resident_mb = [
            round(float(np.median(tenth)), 1) for tenth in np.array_split(self._resident_mb, 10) if tenth.size
        ]
        warm_mb = self._resident_mb[rounds // 4 :]
        if len(warm_mb) > 1:
            figures.slope_kb = round(float(np.polyfit(range(len(warm_mb)), warm_mb, 1)[0]) * 1024, 1)
        figures.p50_ms, figures.p99_ms = quantile_ms(self._latencies_s, 50), quantile_ms(self._latencies_s, 99)
        figures.load_p50_ms = quantile_ms(self._change_s, 50)
        figures.load_max_ms = round(max(self._change_s) * 1e3, 1)
        figures.changes = len(self._change_s)
        figures.seconds = round(time.perf_counter() - started, 1)
        return figures

    async def _change_everything(self, number: int) -> None:
        coded, network = self._repository / "coded", self._repository / "network"
        os.utime(coded / "1" / "model.py")
        await self._loaded("coded")
        shutil.copytree(network / "1", network / str(number + 2))
        await self._loaded("network")
        await self._resized(network, "count: 1", "count: 2")
        shutil.rmtree(network / str(number + 2))
        await self._loaded("network")
        await self._resized(network, "count: 2", "count: 1")
        await self._loaded("both", config=self._ensemble_as_json(4))
        os.utime(self._repository / "both" / "config.pbtxt")
        await self._loaded("both")
        await self._timed(self._unload, protocol.RepositoryModelUnloadRequest(model_name="visitor"))
        await self._loaded("visitor")

    async def _resized(self, directory: Path, before: str, after: str) -> None:
        config = directory / "config.pbtxt"
        config.write_text(config.read_text().replace(before, after))
        await self._loaded(directory.name)

    def _ensemble_as_json(self, max_batch_size: int) -> str:
        steps = [
            {
                "model_name": model,
                "model_version": "-1",
                "input_map": {"INPUT0": source},
                "output_map": {"OUTPUT0": target},
            }
            for model, source, target in (("coded", "INPUT0", "between"), ("network", "between", "OUTPUT0"))
        ]
        tensor = {"data_type": "TYPE_FP32", "dims": [WIDTH]}
        return json.dumps(
            {
                "platform": "ensemble",
                "max_batch_size": max_batch_size,
                "input": [{"name": "INPUT0", **tensor}],
                "output": [{"name": "OUTPUT0", **tensor}],
                "ensemble_scheduling": {"step": steps},
            }
        )

    async def _loaded(self, model: str, config: str | None = None) -> None:
        request = protocol.RepositoryModelLoadRequest(model_name=model)
        if config is not None:
            request.parameters["config"].string_param = config
        await self._timed(self._load, request)

    async def _timed(self, call: Callable[..., Awaitable[Any]], request: Any) -> None:
        started = time.perf_counter()
        await call(request, timeout=TIMEOUT_S)
        self._change_s.append(time.perf_counter() - started)

    async def _ask(self, caller: int) -> None:
        models = list(ADDED)
        for number in range(sys.maxsize):
            if self._is_over:
                return
            model = models[number % len(models)]
            value = float(caller * 100_000 + number % 100_000)
            request = protocol.ModelInferRequest(model_name=model)
            request.inputs.add(name="INPUT0", datatype="FP32", shape=[1, WIDTH])
            request.raw_input_contents.append(np.full(WIDTH, value, np.float32).tobytes())
            started = time.perf_counter()
            try:
                response = await self._infer(request, timeout=TIMEOUT_S)
            except grpc.aio.AioRpcError as error:
                self.figures.failures[f"{error.code().name}: {error.details()}"] += 1
                continue
            self._latencies_s.append(time.perf_counter() - started)
            answer = np.frombuffer(response.raw_output_contents[0], np.float32)
            if answer.shape == (WIDTH,) and (answer == value + ADDED[model]).all():
                self.figures.answers += 1
            else:
                self.figures.wrong_answers += 1


def quantile_ms(seconds: list[float], percent: int) -> float:
    """Return a quantile in milliseconds."""
    return round(statistics.quantiles(seconds, n=100)[percent - 1] * 1e3, 2) if len(seconds) > 1 else float("nan")


async def storm(address: str, repository: Path, pid: int, rounds: int, callers: int) -> Figures:
    """Storm one server."""
    async with grpc.aio.insecure_channel(address) as channel:
        return await Storm(channel, repository, pid).run(rounds, callers)


@click.command(help=__doc__)
@click.option("--rounds", type=click.IntRange(1), default=200, show_default=True)
@click.option("--callers", type=click.IntRange(1), default=4, show_default=True, help="who each wait for an answer")
@click.option(
    "--bound", "bound_kb", type=float, default=SLOPE_BOUND_KB, show_default=True, help="of the slope, in KB a round"
)
@click.option("--json", "as_json", is_flag=True, help="print JSON")
def main(rounds: int, callers: int, bound_kb: float, as_json: bool) -> None:
    """Run and print."""
    with tempfile.TemporaryDirectory() as folder:
        write_models(Path(folder))
        flags = ("--model-control-mode=explicit", "--allow-http=false", "--allow-metrics=false")
        with running_server(Path(folder), *flags) as server:
            figures = asyncio.run(storm(server.grpc, Path(folder), server.pid, rounds, callers))
    if as_json:
        print(json.dumps(vars(figures)))
    else:
        for name, value in vars(figures).items():
            print(f"{name:16}{dict(value) if isinstance(value, Counter) else value}")
    if figures.failures or figures.wrong_answers or figures.slope_kb > bound_kb:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
