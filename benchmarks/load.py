"""How soon the server is ready, what it holds in memory, and how many products a second it answers.

    python benchmarks/load.py                                   # the shipped models
    python benchmarks/load.py --model title_categorizer --concurrency 1 --concurrency 32 --seconds 10
    python benchmarks/load.py --server 127.0.0.1:8001           # a server that runs already

Starts `python -m aisle_server` on free ports, waits until it is ready, and keeps so many requests under way from one asyncio client in this
process. Requests are encoded once: what is measured is the server and the wire, not this client's encoder. Client and server share the
machine, so the figures compare runs on one machine and say little across machines.
"""

from __future__ import annotations

import asyncio
import io
import json
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import grpc
import numpy as np
from PIL import Image, ImageDraw
from running_server import resident_mb, running_server

from aisle_protocol.generated import grpc_service_pb2 as protocol
from aisle_protocol.raw_contents import to_raw

METHOD = "/inference.GRPCInferenceService/ModelInfer"
ANSWER_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Load:
    """What one concurrency gave. Latencies in milliseconds."""

    model: str
    concurrency: int
    requests: int
    requests_per_s: float
    p50_ms: float
    p99_ms: float
    errors: int


@dataclass(frozen=True)
class Startup:
    """What the server needed before its first answer."""

    ready_s: float
    resident_mb: float


def encoded_picture() -> bytes:
    """Draw a small product picture: a JPEG of 60x80 pixels, as catalogues have them."""
    picture = Image.new("RGB", (60, 80), "white")
    ImageDraw.Draw(picture).polygon(
        [(8, 20), (22, 10), (38, 10), (52, 20), (44, 32), (44, 72), (16, 72), (16, 32)], "navy"
    )
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=90)
    return file.getvalue()


def request_bytes(model: str, metadata: protocol.ModelMetadataResponse) -> bytes:
    """Encode one request for a model that takes IMAGE, TITLE or both."""
    contents = {"IMAGE": encoded_picture(), "TITLE": b"Navy blue round neck cotton t-shirt"}
    request = protocol.ModelInferRequest(model_name=model)
    for tensor in metadata.inputs:
        request.inputs.add(name=tensor.name, datatype="BYTES", shape=[1, 1])
        request.raw_input_contents.append(to_raw(np.array([[contents[tensor.name]]], dtype=object), "BYTES"))
    return request.SerializeToString()


async def keep_under_way(address: str, payload: bytes, model: str, concurrency: int, seconds: float) -> Load:
    """Keep so many requests under way for so long; the first fifth of the time warms up and is not counted."""
    latencies_s: list[float] = []
    errors = 0
    warm_until = time.perf_counter() + seconds / 5
    until = warm_until + seconds
    async with grpc.aio.insecure_channel(address) as channel:
        infer = channel.unary_unary(METHOD)

        async def caller() -> None:
            nonlocal errors
            while (start := time.perf_counter()) < until:
                try:
                    await infer(payload, timeout=ANSWER_TIMEOUT_S)
                except grpc.aio.AioRpcError as error:
                    errors += 1
                    print(f"{error.code()}: {error.details()}", file=sys.stderr)
                else:
                    if start >= warm_until:
                        latencies_s.append(time.perf_counter() - start)

        await asyncio.gather(*(caller() for _ in range(concurrency)))
    quantiles = statistics.quantiles(latencies_s, n=100) if len(latencies_s) > 1 else [float("nan")] * 99
    return Load(
        model=model,
        concurrency=concurrency,
        requests=len(latencies_s),
        requests_per_s=round(len(latencies_s) / seconds, 1),
        p50_ms=round(quantiles[49] * 1e3, 2),
        p99_ms=round(quantiles[98] * 1e3, 2),
        errors=errors,
    )


async def measure(address: str, model: str, concurrencies: tuple[int, ...], seconds: float) -> list[Load]:
    """Measure one model at each concurrency, one after the other."""
    async with grpc.aio.insecure_channel(address) as channel:
        describe = channel.unary_unary("/inference.GRPCInferenceService/ModelMetadata")
        described = await describe(
            protocol.ModelMetadataRequest(name=model).SerializeToString(), timeout=ANSWER_TIMEOUT_S
        )
    payload = request_bytes(model, protocol.ModelMetadataResponse.FromString(described))
    return [await keep_under_way(address, payload, model, concurrency, seconds) for concurrency in concurrencies]


@click.command(help=__doc__)
@click.option("--model-repository", type=click.Path(path_type=Path, exists=True), default=Path("model_repository"))
@click.option("--server", help="host:port of a server that runs already")
@click.option("--model", "models", multiple=True, default=("product_categorizer",), show_default=True)
@click.option("--concurrency", "concurrencies", multiple=True, type=int, default=(1, 32), show_default=True)
@click.option("--seconds", type=float, default=5.0, show_default=True, help="measured for each concurrency")
@click.option("--json", "as_json", is_flag=True, help="print JSON lines")
def main(
    model_repository: Path,
    server: str | None,
    models: tuple[str, ...],
    concurrencies: tuple[int, ...],
    seconds: float,
    as_json: bool,
) -> None:
    """Measure and print."""

    def run(address: str) -> None:
        if not as_json:
            print(f"{'model':24}{'concurrency':>12}{'requests/s':>12}{'p50 ms':>10}{'p99 ms':>10}{'errors':>8}")
        for model in models:
            for load in asyncio.run(measure(address, model, concurrencies, seconds)):
                if as_json:
                    print(json.dumps(asdict(load)))
                else:
                    print(
                        f"{load.model:24}{load.concurrency:12}{load.requests_per_s:12}{load.p50_ms:10}{load.p99_ms:10}{load.errors:8}"
                    )

    if server is not None:
        run(server)
        return
    with running_server(model_repository) as started:
        startup = Startup(round(started.ready_s, 2), round(resident_mb(started.pid), 1))
        if as_json:
            print(json.dumps(asdict(startup)))
        else:
            print(f"ready after {startup.ready_s} s, {startup.resident_mb} MB resident")
        run(started.grpc)


if __name__ == "__main__":
    main()
