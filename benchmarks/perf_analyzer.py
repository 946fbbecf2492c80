"""Whether NVIDIA's perf_analyzer runs against the shipped models in each of its modes, and whether the server's figures add up.

    python benchmarks/perf_analyzer.py                          # perf_analyzer on the path
    python benchmarks/perf_analyzer.py --binary ./perf_analyzer --model title_categorizer --requests 500

Starts `python -m aisle_server` on free ports, writes the input files (the pictures that the page shows as examples), and runs
perf_analyzer once for each model and mode. A mode is `ok` when

    perf_analyzer    ended well, and every request that it sent is one that the server answered
    each step        was asked as often as the ensemble, and its latency is its overhead + queue + compute, none of which overlap
    the ensemble     reports the sum of its steps, and took no less than the longest way through them, no more than all of them one
                     after the other, and less than its caller waited

Durations are averages over the requests of a run, in milliseconds: `client` as the caller saw them, `server` as the server did. Steps
run side by side where they can, so queue + compute of an ensemble, which are sums over its steps, may be more than its latency.
How many products a second the server answers, `load.py` measures.
"""

from __future__ import annotations

import base64
import json
import re
import shutil
import struct
import subprocess
import tempfile
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from running_server import RunningServer, running_server

from aisle_demo.examples import EXAMPLES

TIMEOUT_S = 120
WARM_UP_REQUESTS = 20
OUTPUT_BYTES = 4096
"""Room for one output in shared memory."""
SLACK = 0.02
"""Averages are whole microseconds, printed one by one."""
OWN_SHARE, OWN_US = 0.3, 2000
"""What the ensemble itself may take beside its steps: of its latency, and at least, on a machine that is busy."""
_DURATION = re.compile(r"(overhead|queue|compute(?: input| infer| output)?) (\d+) usec")


@dataclass(frozen=True)
class Mode:
    """A way to send requests.

    Attributes:
        name: In the table.
        protocol: grpc or http.
        inputs: Which inputs are sent.
        arguments: What perf_analyzer is told beside.
    """

    name: str
    protocol: str
    inputs: tuple[str, ...]
    arguments: tuple[str, ...]


def modes(inputs: tuple[str, ...], concurrency: int, rate: int) -> list[Mode]:
    """Return the modes for a model that has these inputs."""
    callers = ("--concurrency-range", str(concurrency))
    shared = ("--shared-memory", "system", "--output-shared-memory-size", str(OUTPUT_BYTES))
    all_inputs = [
        Mode("sync", "grpc", inputs, callers),
        Mode("async", "grpc", inputs, ("--async", *callers)),
        Mode("streaming", "grpc", inputs, ("--async", "--streaming", *callers)),
        Mode("request rate", "grpc", inputs, ("--request-rate-range", str(rate))),
        Mode(
            "request rate, Poisson",
            "grpc",
            inputs,
            ("--request-rate-range", str(rate), "--request-distribution=poisson"),
        ),
        Mode("shared memory", "grpc", inputs, (*shared, *callers)),
        Mode("shared memory, streaming", "grpc", inputs, (*shared, "--async", "--streaming", *callers)),
        Mode("batches of 4", "grpc", inputs, ("-b", "4", *callers)),
        Mode("gzip", "grpc", inputs, ("--grpc-compression-algorithm", "gzip", *callers)),
        Mode("http sync", "http", inputs, callers),
        Mode("http async", "http", inputs, ("--async", *callers)),
        Mode("http shared memory", "http", inputs, (*shared, *callers)),
    ]
    alone = [Mode(f"{name} alone", "grpc", (name,), callers) for name in inputs if len(inputs) > 1]
    return all_inputs + alone


@dataclass(frozen=True)
class Times:
    """What perf_analyzer tells of one model on the server: averages in microseconds.

    Attributes:
        requests: That it answered.
        latency: From acceptance to answer.
        parts: Of the latency, by perf_analyzer's names.
    """

    requests: int
    latency: int
    parts: Mapping[str, int]

    @property
    def queue(self) -> int:
        """In the queue."""
        return self.parts["queue"]

    @property
    def compute(self) -> int:
        """Input, infer and output together."""
        return sum(value for name, value in self.parts.items() if name.startswith("compute"))


@dataclass(frozen=True)
class Report:
    """What one run of perf_analyzer printed.

    Attributes:
        requests: That were answered, as it counts them.
        client: What an answer took on average, in microseconds, as the caller sees it.
        p50: The half of them, in microseconds.
        p99: All but a hundredth.
        server: The model that was asked.
        steps: Its composing models, by name.
    """

    requests: int
    client: int
    p50: int
    p99: int
    server: Times
    steps: Mapping[str, Times]


def read_report(text: str) -> Report:
    """Read what perf_analyzer printed.

    Raises:
        ValueError: A figure is missing.
    """

    def number(pattern: str, part: str) -> float:
        match = re.search(pattern, part)
        if match is None:
            raise ValueError(f"perf_analyzer printed no {pattern.split('(')[0].strip().lower()}")
        return float(match[1])

    def times(part: str) -> Times:
        line = re.search(r"Avg request latency: .*", part)
        requests = int(number(r"Successful request count: (\d+)", part))
        latency = int(number(r"Avg request latency: (\d+)", part))
        return Times(requests, latency, {name: int(us) for name, us in _DURATION.findall(line[0] if line else "")})

    client, _, rest = text.partition("  Server:")
    server, _, composing = rest.partition("Composing models:")
    pieces = re.split(r"^ +(\S+), version: \S+ *$", composing, flags=re.MULTILINE)
    return Report(
        requests=int(number(r"Request count: (\d+)", client)),
        client=int(number(r"Avg latency: (\d+)", client)),
        p50=int(number(r"p50 latency: (\d+)", client)),
        p99=int(number(r"p99 latency: (\d+)", client)),
        server=times(server),
        steps={name: times(part) for name, part in zip(pieces[1::2], pieces[2::2], strict=True)},
    )


def longest_way_us(steps: Sequence[Mapping[str, Any]], times: Mapping[str, Times]) -> int:
    """Return how long the slowest chain of steps takes that wait for each other.

    Args:
        steps: Of `ensemble_scheduling`, as the server tells its configuration.
        times: Of each model that is a step.
    """
    maker = {tensor: step for step in steps for tensor in step["output_map"].values()}

    def until_end(step: Mapping[str, Any]) -> int:
        before = [until_end(maker[tensor]) for tensor in step["input_map"].values() if tensor in maker]
        return times[step["model_name"]].latency + max(before, default=0)

    return max(until_end(step) for step in steps)


def faults(report: Report, steps: Sequence[Mapping[str, Any]], astray: int) -> list[str]:
    """Return what does not add up, in words; nothing when all does.

    Args:
        report: Of one run.
        steps: Of the ensemble, none for a model that is no ensemble.
        astray: Requests that may be counted in one place and not in another: perf_analyzer asks for the statistics while the first
            or the last ones are under way.
    """
    server = report.server
    told = []
    if abs(server.requests - report.requests) > astray:
        told.append(f"{report.requests} requests were sent and {server.requests} answered")
    if server.latency > report.client:
        told.append(f"the server took {server.latency} us, its caller waited {report.client} us")
    for name, times in (report.steps or {"the model": server}).items():
        if abs(times.requests - server.requests) > astray:
            told.append(f"{name} answered {times.requests} requests of {server.requests}")
        if not is_near(sum(times.parts.values()), times.latency):
            told.append(f"{name}: {' + '.join(map(str, times.parts.values()))} us are not {times.latency} us")
    if not report.steps:
        return told
    for what in ("queue", "compute"):
        whole, sum_us = getattr(server, what), sum(getattr(times, what) for times in report.steps.values())
        if not is_near(whole, sum_us):
            told.append(f"{what} is {whole} us, and {sum_us} us over the steps")
    shortest, longest = longest_way_us(steps, report.steps), sum(times.latency for times in report.steps.values())
    if server.latency < shortest * (1 - SLACK):
        told.append(f"the ensemble took {server.latency} us, the longest way through its steps {shortest} us")
    if server.latency > longest + max(OWN_US, OWN_SHARE * server.latency):
        told.append(f"the ensemble took {server.latency} us, its steps one after the other {longest} us")
    return told


def is_near(us: float, expected_us: float) -> bool:
    """Whether two averages are the same but for rounding."""
    return abs(us - expected_us) <= max(10, SLACK * expected_us)


def write_inputs(path: Path, inputs: Sequence[str]) -> None:
    """Write requests for some of IMAGE and TITLE as perf_analyzer reads them: BYTES raw, so each with its length in front."""

    def tensor(element: bytes) -> dict[str, Any]:
        raw = struct.pack("<I", len(element)) + element
        return {"content": {"b64": base64.b64encode(raw).decode()}, "shape": [1]}

    products = [
        {"IMAGE": tensor(Path(example.path).read_bytes()), "TITLE": tensor(example.title.encode())}
        for example in EXAMPLES
        if example.path and example.title
    ]
    path.write_text(json.dumps({"data": [{name: product[name] for name in inputs} for product in products]}))


def model_config(server: RunningServer, model: str) -> Mapping[str, Any]:
    """Ask for a model's configuration."""
    with urllib.request.urlopen(f"http://{server.http}/v2/models/{model}/config", timeout=TIMEOUT_S) as answer:
        config: Mapping[str, Any] = json.load(answer)
        return config


def run_mode(
    binary: str, server: RunningServer, model: str, mode: Mode, requests: int, astray: int
) -> tuple[Report | None, list[str]]:
    """Run perf_analyzer once.

    Returns:
        What it reported, None when it did not get so far; and what was wrong with it.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".json") as data:
        write_inputs(Path(data.name), mode.inputs)
        command = [binary, "-m", model, "-i", mode.protocol, "--input-data", data.name]
        command += ["-u", server.http if mode.protocol == "http" else server.grpc]
        command += ["--request-count", str(requests), "--warmup-request-count", str(WARM_UP_REQUESTS), *mode.arguments]
        try:
            ended = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            return None, [f"no end within {TIMEOUT_S} s"]
    text = ended.stdout + ended.stderr
    if ended.returncode:
        return None, [f"exit status {ended.returncode}: {' '.join(text.split())[-300:]}"]
    try:
        report = read_report(text)
    except ValueError as error:
        return None, [str(error)]
    errors = re.findall(r"^.*\b(?:error|failed)\b.*$", text, flags=re.MULTILINE | re.IGNORECASE)
    steps = model_config(server, model).get("ensemble_scheduling", {}).get("step", [])
    return report, errors + faults(report, steps, astray)


@click.command(help=__doc__)
@click.option("--binary", default="perf_analyzer", show_default=True, help="perf_analyzer, by path or on the path")
@click.option("--model-repository", type=click.Path(path_type=Path, exists=True), default=Path("model_repository"))
@click.option(
    "--model", "models", multiple=True, default=("title_categorizer", "product_categorizer"), show_default=True
)
@click.option("--requests", type=click.IntRange(1), default=200, show_default=True, help="in each mode")
@click.option("--concurrency", type=click.IntRange(1), default=4, show_default=True)
@click.option(
    "--rate",
    type=click.IntRange(1),
    default=40,
    show_default=True,
    help="requests a second, where they are sent by rate",
)
def main(
    binary: str, model_repository: Path, models: tuple[str, ...], requests: int, concurrency: int, rate: int
) -> None:
    """Run every mode and print one line for each."""
    found = shutil.which(binary)
    if found is None:
        raise click.UsageError(f"there is no '{binary}' to run; expected --binary PATH, or perf_analyzer on the path")
    bad = 0
    with running_server(model_repository, "--allow-client-shm=true") as server:
        heads = ("p50 ms", "p99 ms", "client", "server", "queue", "compute")
        print(f"{'model':22}{'mode':26}{''.join(f'{head:>11}' for head in heads)}  verdict")
        for model in models:
            inputs = tuple(each["name"] for each in model_config(server, model)["input"])
            for mode in modes(inputs, concurrency, rate):
                report, wrong = run_mode(found, server, model, mode, requests, concurrency)
                bad += bool(wrong)
                figures = " " * 11 * len(heads)
                if report is not None:
                    times = (report.client, report.server.latency, report.server.queue, report.server.compute)
                    ms = (report.p50, report.p99, *times)
                    figures = "".join(f"{us / 1e3:11.2f}" for us in ms)
                print(f"{model:22}{mode.name:26}{figures}  {'; '.join(wrong) or 'ok'}", flush=True)
    if bad:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
