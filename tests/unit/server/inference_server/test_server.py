"""The server, whatever the transport."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from aisle_server.errors import InvalidArgumentError, NotFoundError, UnavailableError, UnsupportedError
from aisle_server.inference import LATEST_VERSION, InferenceRequest, Tensor
from aisle_server.inference_server import InferenceServer, LoadOverride, ModelControl, ModelIndex, ModelState
from aisle_server.repository.lifecycle import ModelRepository
from tests.support.fake_loader import FakeLoader
from tests.support.model_directories import ECHO, chain, write_model


@pytest.fixture
def loader() -> FakeLoader:
    """A loader that does as it is told."""
    return FakeLoader()


@pytest.fixture
def server(tmp_path: Path, loader: FakeLoader) -> InferenceServer:
    """A server of two versions of `a`, and an ensemble `e` over `a`; not started."""
    write_model(tmp_path, "a", ECHO + "version_policy { all { } }", versions=(1, 2))
    write_model(tmp_path, "e", chain("a"))
    return InferenceServer(ModelRepository([tmp_path], loader), name="shop", version="1.2.3")


def request(model: str = "a", version: int = LATEST_VERSION) -> InferenceRequest:
    """A request of one row."""
    return InferenceRequest(model, {"INPUT0": Tensor("INPUT0", "FP32", np.zeros((1, 4), np.float32))}, version, "7")


async def test_a_server_is_live_before_it_is_ready(server: InferenceServer) -> None:
    """A probe can tell a server that is loading from one that is gone, and requests are told to come back."""
    assert server.is_live()
    assert not server.is_ready()
    with pytest.raises(UnavailableError, match=r"^Server not ready$"):
        await server.infer(request())
    assert await server.start() == {}
    assert server.is_live()
    assert server.is_ready()
    response = await server.infer(request())
    assert (response.model_name, response.model_version, response.id) == ("a", 2, "7")


async def test_strict_readiness_wants_every_model(tmp_path: Path, loader: FakeLoader) -> None:
    """One broken model makes a strict server not ready; a lenient one serves what it has."""
    write_model(tmp_path, "a")
    write_model(tmp_path, "broken", "batch: 1")
    for is_strict in (True, False):
        server = InferenceServer(ModelRepository([tmp_path], loader), strict_readiness=is_strict)
        failures = await server.start()
        assert list(failures) == ["broken"]
        assert server.is_ready() is not is_strict
        assert (await server.infer(request())).model_name == "a"


async def test_only_models_asked_for_are_started(server: InferenceServer) -> None:
    """A server may be told which models to load."""
    await server.start(["a"])
    assert await server.repository_index() == [
        ModelIndex("a", 1, ModelState.READY),
        ModelIndex("a", 2, ModelState.READY),
        ModelIndex("e", None, ModelState.UNKNOWN),
    ]
    assert [line.name for line in await server.repository_index(ready_only=True)] == ["a", "a"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "Model name cannot be empty. Please enter a valid name to deploy."),
        (" \t\r\f\v", "Model name cannot be empty. Please enter a valid name to deploy."),
        *(
            (name, f"invalid model name '{name}', model name must not contain path traversal characters")
            for name in ("..", " ..", ".. ", "a/../b", "../etc", "/etc/passwd", "model/")
        ),
    ],
)
async def test_a_name_that_could_lead_out_is_refused_before_all_else(
    server: InferenceServer, name: str, message: str
) -> None:
    """The name is looked at first, whether callers may load models or not; to unload such a name is no error."""
    with pytest.raises(InvalidArgumentError) as caught:
        await server.load_model(name)
    assert str(caught.value) == message


@pytest.mark.parametrize("control", [ModelControl(), ModelControl(is_explicit=True)])
async def test_models_are_loaded_and_unloaded_on_demand_only_where_it_is_allowed(
    tmp_path: Path, loader: FakeLoader, control: ModelControl
) -> None:
    """Without explicit model control, what is served is nobody's to change; with it, only while the server runs."""
    write_model(tmp_path, "a")
    server = InferenceServer(ModelRepository([tmp_path], loader), model_control=control)
    not_allowed = "explicit model load / unload is not allowed if polling is enabled"
    for stage in ("starting", "running", "exiting"):
        for action in (server.load_model, server.unload_model):
            if control.is_explicit and stage == "running":
                await action("a")
                continue
            with pytest.raises(UnavailableError) as caught:
                await action("a")
            state = {"starting": "Server not ready", "exiting": "Server exiting"}.get(stage, "")
            assert str(caught.value) == (state if control.is_explicit else not_allowed)
        if stage == "starting":
            await server.start(())
        elif stage == "running":
            await server.stop(10)
    assert loader.started == (["a"] if control.is_explicit else [])


async def test_files_are_taken_only_where_it_is_allowed(tmp_path: Path, loader: FakeLoader) -> None:
    """A caller who may send files may send code, so it takes a flag of its own."""
    override = LoadOverride('{"backend": "identity"}', {"1/model.py": b"raise SystemExit"})
    server = InferenceServer(ModelRepository([tmp_path], loader), model_control=ModelControl(is_explicit=True))
    await server.start()
    with pytest.raises(UnsupportedError) as caught:
        await server.load_model("a", override)
    assert str(caught.value) == (
        "file override is disabled. Start the server with '--allow-file-override=true' to enable."
    )
    allowed = ModelControl(is_explicit=True, allows_file_override=True)
    server = InferenceServer(ModelRepository([tmp_path], loader), model_control=allowed)
    await server.start()
    await server.load_model("a", override)
    assert server.is_model_ready("a")
    assert await server.stop(10)


async def test_an_unknown_model_is_not_ready_and_no_error(server: InferenceServer) -> None:
    """Clients that wait for a model poll until it is ready; those that wait for its end, until it is not."""
    assert not server.is_model_ready("a")
    await server.start()
    answers = [server.is_model_ready(*which) for which in (("a",), ("a", 1), ("a", 3), ("foo",))]
    assert answers == [True, True, False, False]
    await server.stop(5)
    assert not server.is_model_ready("a")


async def test_metadata_lists_versions_that_are_ready_or_the_one_asked_for(server: InferenceServer) -> None:
    """Asked for the latest, a model tells all its versions; asked for one, that one."""
    await server.start()
    assert server.model_metadata("a").versions == (1, 2)
    assert server.model_metadata("a", 1).versions == (1,)
    assert server.model_metadata("e").platform == "ensemble"
    assert server.model_config("a").max_batch_size == 8
    with pytest.raises(NotFoundError, match=r"^Request for unknown model: 'foo' is not found$"):
        server.model_metadata("foo")
    with pytest.raises(NotFoundError, match=r"^Request for unknown model: 'a' version 9 is not found$"):
        server.model_config("a", 9)


async def test_the_server_tells_who_it_is(server: InferenceServer) -> None:
    """Name, version and extensions of the protocol."""
    metadata = server.server_metadata()
    assert (metadata.name, metadata.version) == ("shop", "1.2.3")
    assert "statistics" in metadata.extensions


async def test_statistics_are_those_of_ready_versions(server: InferenceServer) -> None:
    """Without a name every version of every model is told; an unknown one is an error in Triton's words."""
    await server.start()

    def which(*arguments: str | int) -> list[tuple[str, int]]:
        return [(row.name, row.version) for row in server.statistics(*arguments)]  # type: ignore[arg-type]

    assert which() == [("a", 1), ("a", 2), ("e", 1)]
    assert which("a") == [("a", 1), ("a", 2)]
    assert which("a", 1) == [("a", 1)]
    (row,) = server.statistics("e")
    assert (row.load_duration_s, row.pending_request_count, row.snapshot.success.count) == (0.25, 0, 0)
    with pytest.raises(InvalidArgumentError, match=r"^requested model 'foo' is not available$"):
        server.statistics("foo")
    with pytest.raises(InvalidArgumentError, match=r"^requested model version is not available for model 'a'$"):
        server.statistics("a", 9)


async def test_b26_a_server_that_is_exiting_says_so(server: InferenceServer, loader: FakeLoader) -> None:
    """From the moment of stopping, health and requests are refused; what was accepted is answered."""
    await server.start()
    loader.schedulers["a", 2].gate.clear()
    answer = asyncio.create_task(server.infer(request("e")))
    await asyncio.sleep(0)
    stopping = asyncio.create_task(server.stop(60))
    await asyncio.sleep(0)
    for question in (server.is_live, server.is_ready):
        with pytest.raises(UnavailableError, match=r"^Server exiting$"):
            question()
    with pytest.raises(UnavailableError) as caught:
        await server.infer(request())
    assert caught.value.message == (
        "[request id: 7] Server is stopping, scheduler for model has stopped accepting new inference requests"
    )
    loader.schedulers["a", 2].gate.set()
    assert (await answer).model_name == "e"
    assert await stopping
    assert sorted(loader.released) == [("a", 1), ("a", 2), ("e", 1)]
    assert await server.stop(0)


async def test_an_announced_exit_turns_callers_away_and_still_answers(server: InferenceServer) -> None:
    """Between the signal and the stop, health says that the server is leaving, and requests that still come are answered."""
    await server.start()
    server.announce_exit()
    for question in (server.is_live, server.is_ready):
        with pytest.raises(UnavailableError, match=r"^Server exiting$"):
            question()
    assert (await server.infer(request())).model_name == "a"


async def test_stopping_ends_when_its_time_is_over(
    server: InferenceServer, loader: FakeLoader, caplog: pytest.LogCaptureFixture
) -> None:
    """A request that does not end does not keep the server from telling that it has not ended."""
    await server.start()
    loader.schedulers["a", 2].gate.clear()
    answer = asyncio.create_task(server.infer(request()))
    await asyncio.sleep(0)
    assert not await server.stop(0.01)
    assert "accepted requests are still under way after 0.01 s" in caplog.text
    answer.cancel()
    assert await server.stop(5)


async def test_a_server_that_is_stopped_while_it_starts_does_not_run(
    server: InferenceServer, loader: FakeLoader
) -> None:
    """A start that ends after the stop has begun does not open the server again."""
    loader.gates["e", 1] = asyncio.Event()
    starting = asyncio.create_task(server.start())
    async with asyncio.timeout(10):
        while "e" not in loader.started:
            await asyncio.sleep(0.001)
    stopping = asyncio.create_task(server.stop(60))
    await asyncio.sleep(0)
    loader.gates["e", 1].set()
    await starting
    assert await stopping
    with pytest.raises(UnavailableError):
        await server.infer(request())
    assert sorted(loader.released) == [("a", 1), ("a", 2), ("e", 1)]


async def test_an_announced_exit_is_told_to_probes_alone(server: InferenceServer) -> None:
    """Between the word that it will stop and the stop itself a server answers requests, and is neither live nor ready."""
    await server.start()
    server.announce_exit()
    for probe in (server.is_live, server.is_ready):
        with pytest.raises(UnavailableError, match=r"^Server exiting$"):
            probe()
    assert (await server.infer(request())).model_name == "a"
    await server.stop(5)


async def test_a_model_is_found_for_inference_only_while_the_server_runs(server: InferenceServer) -> None:
    """A caller who comes too early or too late is told to try again, not that there is no such model."""
    with pytest.raises(UnavailableError, match=r"^Server not ready$"):
        server.model_config_for_inference("a", LATEST_VERSION)
    await server.start()
    assert server.model_config_for_inference("a", LATEST_VERSION).name == "a"
    with pytest.raises(NotFoundError):
        server.model_config_for_inference("foo", LATEST_VERSION)
    await server.stop(5)
    with pytest.raises(UnavailableError, match=r"^Server exiting$"):
        server.model_config_for_inference("a", LATEST_VERSION)
