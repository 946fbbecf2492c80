"""Kill -9 of a model's process while requests flow: what it costs, and what is told of it."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import tritonclient.grpc.aio as triton_aio
from tritonclient.utils import InferenceServerException

from tests.support.model_repositories import write_python_model
from tests.support.server_process import ServerProcess, running_server
from tests.support.triton_requests import infer_input

CALLERS = 32
BATCH = 4
ENDED = "the process of its instance has ended"
TIMEOUT_S = 90
CONFIG = f"""
    max_batch_size: {BATCH}
    input {{ name: "IN" data_type: TYPE_INT64 dims: [1] }}
    output {{ name: "OUT" data_type: TYPE_INT64 dims: [1] }}
    dynamic_batching {{ }}
    instance_group {{ count: 2 }}
    parameters {{ key: "EXECUTION_PROCESS" value: {{ string_value: "own" }} }}
"""
# Writes down what it begins, under its process id, before it does it.
JOURNALS = """
import os
from pathlib import Path

class TritonPythonModel:
    def initialize(self, args):
        self.journal = os.open(
            Path(args["model_repository"]).parent.parent / f"journal.{os.getpid()}", os.O_WRONLY | os.O_CREAT
        )

    def execute(self, requests):
        os.write(self.journal, "".join(f"{request.request_id()}\\n" for request in requests).encode())
        time.sleep(0.02)
        return [
            pb_utils.InferenceResponse(
                [pb_utils.Tensor("OUT", pb_utils.get_input_tensor_by_name(request, "IN").as_numpy() * 3)],
                parameters={"pid": os.getpid()},
            )
            for request in requests
        ]
"""


class Traffic:
    """Callers who ask without pause.

    Attributes:
        answers: Request -> the process that answered it, and whether the answer was right.
        failures: Request -> what its caller read.
    """

    def __init__(self, client: triton_aio.InferenceServerClient) -> None:
        self._client = client
        self._is_over = False
        self.answers: dict[int, tuple[int, bool]] = {}
        self.failures: dict[int, str] = {}

    async def run(self, caller: int) -> None:
        """Ask until it is over."""
        number = caller
        while not self._is_over:
            given = [infer_input("IN", np.array([[number]]), "INT64")]
            try:
                answer: Any = await self._client.infer(
                    "journals", given, request_id=str(number), client_timeout=TIMEOUT_S
                )
            except InferenceServerException as error:
                self.failures[number] = f"{error.status()} {error.message()}"
            else:
                pid = answer.get_response().parameters["pid"].int64_param
                self.answers[number] = (pid, answer.as_numpy("OUT").tolist() == [[number * 3]])
            number += CALLERS

    def end(self) -> None:
        """Let every caller read what is under way, and ask no more."""
        self._is_over = True

    async def of_both(self, count: int) -> set[int]:
        """Wait for so many answers from now on, some of them of a second process, and return which processes gave them."""
        before = set(self.answers)
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                pids = [pid for number, (pid, _) in self.answers.items() if number not in before]
                if len(pids) >= count and len(set(pids)) > 1:
                    return set(pids)
                await asyncio.sleep(0.02)


async def _told(server: ServerProcess, *texts: str, times: int = 1) -> None:
    """Return when so many lines of the log have these texts."""
    async with asyncio.timeout(TIMEOUT_S):
        while sum(all(text in line for text in texts) for line in server.log) < times:
            await asyncio.sleep(0.01)


async def test_a_killed_process_costs_what_it_had(tmp_path: Path) -> None:
    """Of two processes one is killed under load, then the other.

    Nobody fails but whose request the dead process had, a batch at most, and none is executed twice; the model and the server are not
    ready, and ready again; the log tells it; and every answer is right, before and after.
    """
    (tmp_path / "models").mkdir()
    write_python_model(tmp_path / "models", "journals", JOURNALS, CONFIG)
    readiness: list[tuple[bool, bool]] = []
    killed: list[int] = []
    with running_server(tmp_path / "models") as server:
        async with triton_aio.InferenceServerClient(server.grpc) as client:

            async def watch() -> None:
                while True:
                    state = (await client.is_model_ready("journals"), await client.is_server_ready())
                    if state not in readiness[-1:]:
                        readiness.append(state)
                    await asyncio.sleep(0.005)

            traffic = Traffic(client)
            asking = [asyncio.create_task(traffic.run(caller)) for caller in range(CALLERS)]
            watching = asyncio.create_task(watch())
            first, second = sorted(await traffic.of_both(200))
            for pid in (first, second):
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
                await _told(server, f"process {pid} of instance ", "of model 'journals' ended: signal SIGKILL")
                await _told(server, "of model 'journals' is restarted in ", times=len(killed))
                await _told(server, "of model 'journals' is up again: process ", times=len(killed))
                assert pid not in await traffic.of_both(400)
            traffic.end()
            await asyncio.gather(*asking)
            watching.cancel()
    journals = {int(each.suffix[1:]): set(map(int, each.read_text().split())) for each in tmp_path.glob("journal.*")}
    begun_by_others = set[int]().union(*(journals[pid] for pid in journals if pid not in killed))
    begun_by_the_dead = journals[first] | journals[second]
    assert len(traffic.failures) <= len(killed) * BATCH
    assert all("INTERNAL" in text and ENDED in text for text in traffic.failures.values())
    # What a process was given and had no time to begin fails too, for nobody can tell; what another had does not.
    assert not set(traffic.failures) & begun_by_others
    assert begun_by_the_dead <= set(traffic.answers) | set(traffic.failures)
    assert not begun_by_the_dead & begun_by_others, "a request was executed twice"
    assert all(is_right for _, is_right in traffic.answers.values())
    assert (readiness[0], readiness[-1]) == ((True, True), (True, True))
    assert readiness.count((False, False)) >= len(killed)
