"""The response cache: requests that come again, asked with NVIDIA's client."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import tritonclient.grpc as triton

from tests.support.model_repositories import write_python_model
from tests.support.server_process import ServerProcess, running_server
from tests.support.triton_requests import infer_input

TENSORS = """
    input { name: "IN" data_type: TYPE_STRING dims: [1] }
    output { name: "OUT" data_type: TYPE_INT32 dims: [1] }
"""
CACHED = "response_cache { enable: true }"
# Answers how often it was executed.
COUNTER = """
class TritonPythonModel:
    def initialize(self, args):
        self.count = 0

    def execute(self, requests):
        self.count += 1
        answer = np.array([self.count], np.int32)
        return [pb_utils.InferenceResponse([pb_utils.Tensor("OUT", answer)]) for _ in requests]
"""
ENSEMBLE = """
    platform: "ensemble"
    ensemble_scheduling { step {
        model_name: "plain" model_version: -1
        input_map { key: "IN" value: "IN" } output_map { key: "OUT" value: "OUT" }
    } }
"""


@pytest.fixture(scope="module")
def cached_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with a small cache, and models with and without it."""
    repository = tmp_path_factory.mktemp("cached")
    write_python_model(repository, "cached", COUNTER, TENSORS + CACHED)
    write_python_model(repository, "plain", COUNTER, TENSORS)
    sequences = "sequence_batching {}"
    write_python_model(repository, "sequences", COUNTER, TENSORS + CACHED + sequences)
    (repository / "whole" / "1").mkdir(parents=True)
    (repository / "whole" / "config.pbtxt").write_text(f'name: "whole" {ENSEMBLE} {TENSORS} {CACHED}')
    with running_server(repository, "--cache-config=local,size=8192") as process:
        yield process


@pytest.fixture
def client(cached_server: ServerProcess) -> Iterator[triton.InferenceServerClient]:
    """NVIDIA's client of that server."""
    with triton.InferenceServerClient(cached_server.grpc) as client:
        yield client


def ask(client: triton.InferenceServerClient, model: str, title: str, **arguments) -> int:
    """How often the model was executed when it gave this answer."""
    given = [infer_input("IN", np.array([title.encode()], np.object_), "BYTES")]
    return int(client.infer(model, given, **arguments).as_numpy("OUT")[0])


@pytest.mark.parametrize("model", ["cached", "whole"])
def test_a_request_that_comes_again_is_answered_from_memory(
    client: triton.InferenceServerClient, cached_server: ServerProcess, model: str
) -> None:
    """A model and an ensemble are executed once for equal requests; statistics and metrics tell hits and misses."""
    first = ask(client, model, "red shoe", request_id="1")
    assert ask(client, model, "blue shoe") == first + 1
    assert [ask(client, model, "red shoe", request_id="2") for _ in range(3)] == [first] * 3
    assert ask(client, model, "red shoe", parameters={"top": 5}) == first + 2
    (figures,) = client.get_inference_statistics(model).model_stats
    stats = figures.inference_stats
    assert (stats.cache_hit.count, stats.cache_miss.count) == (3, 3)
    assert (stats.success.count, figures.inference_count, figures.execution_count) == (6, 3, 3)
    assert (stats.queue.count, stats.compute_infer.count) == (6, 3)
    assert min(stats.cache_hit.ns, stats.cache_miss.ns) > 0
    _, text = cached_server.get("/metrics", cached_server.metrics)
    assert f'nv_cache_num_hits_per_model{{model="{model}",version="1"}} 3' in text.decode()
    assert f'nv_cache_num_misses_per_model{{model="{model}",version="1"}} 3' in text.decode()


def test_a_model_that_does_not_ask_for_it_has_none(
    client: triton.InferenceServerClient, cached_server: ServerProcess
) -> None:
    """Without `response_cache` in its configuration a model is executed each time."""
    first = ask(client, "plain", "same")
    assert ask(client, "plain", "same") == first + 1
    assert (
        'nv_cache_num_hits_per_model{model="plain"'
        not in cached_server.get("/metrics", cached_server.metrics)[1].decode()
    )


def test_sequences_are_not_cached(client: triton.InferenceServerClient, cached_server: ServerProcess) -> None:
    """A model that keeps sequences is executed each time, and the log says so."""
    first = ask(client, "sequences", "same", sequence_id=5, sequence_start=True)
    assert ask(client, "sequences", "same", sequence_id=5, sequence_end=True) == first + 1
    assert any(
        "model 'sequences' keeps sequences, so its responses are not cached" in line for line in cached_server.log
    )


def test_answers_leave_when_there_is_no_room(client: triton.InferenceServerClient) -> None:
    """The cache is bounded: what was not asked for in a while is executed again."""
    first = ask(client, "cached", "early")
    assert ask(client, "cached", "early") == first
    for number in range(10):
        ask(client, "cached", f"title {number}")
    assert ask(client, "cached", "early") > first
