"""Changes of the model repository: side by side or in turn, of ensembles with their models, in place, and with overrides."""

from __future__ import annotations

import asyncio
import random
import shutil
from pathlib import Path

import pytest

from aisle_server.errors import InternalError, InvalidArgumentError, NotFoundError, UnavailableError
from aisle_server.repository.lifecycle import ModelRepository
from aisle_server.repository.override import LoadOverride
from aisle_server.repository.states import ModelIndex, ModelState
from tests.support.fake_loader import FakeLoader
from tests.support.model_directories import ECHO, chain, write_model
from tests.support.repository_steps import answered_by, eventually, request, settled, touch

READY, UNAVAILABLE = ModelState.READY, ModelState.UNAVAILABLE
ECHO_JSON = """{"backend": "identity", "max_batch_size": "8",
    "input": [{"name": "INPUT0", "data_type": "TYPE_FP32", "dims": ["4"]}],
    "output": [{"name": "OUTPUT0", "data_type": "TYPE_FP32", "dims": [4]}]}"""
ALL_VERSIONS = ECHO + "version_policy { all { } }"


@pytest.fixture
def loader() -> FakeLoader:
    """A loader that does as it is told."""
    return FakeLoader()


@pytest.fixture
def repository(tmp_path: Path, loader: FakeLoader) -> ModelRepository:
    """A repository over `tmp_path`."""
    return ModelRepository([tmp_path], loader)


async def test_unrelated_models_load_side_by_side_and_related_ones_in_turn(
    repository: ModelRepository, loader: FakeLoader, tmp_path: Path
) -> None:
    """A load that takes long holds up no load of another model, and every load of a model that it is about."""
    write_model(tmp_path, "e", chain("a"))
    for name in ("a", "b"):
        write_model(tmp_path, name)
    loader.gates["a", 1] = asyncio.Event()
    ensemble = asyncio.create_task(repository.load("e"))
    await eventually(lambda: "a" in loader.started)
    unloading = asyncio.create_task(repository.unload("a"))
    await repository.load("b")
    await settled()
    assert not unloading.done()
    loader.gates["a", 1].set()
    await asyncio.gather(ensemble, unloading)
    await settled()
    assert loader.started == ["a", "b", "e"]
    assert [line.name for line in await repository.index(ready_only=True)] == ["b"]


async def test_loads_of_many_models_are_bounded(loader: FakeLoader, tmp_path: Path) -> None:
    """However many callers load however many models, so many load at once as the process was told, and no more."""
    repository = ModelRepository([tmp_path], loader, concurrent_loads=2)
    names = [f"m{number}" for number in range(8)]
    for name in names:
        write_model(tmp_path, name)
    await asyncio.gather(*(repository.load(name) for name in names))
    assert loader.most_at_once == 2
    assert sorted(loader.started) == names


async def test_a_load_goes_on_when_its_caller_leaves(
    repository: ModelRepository, loader: FakeLoader, tmp_path: Path
) -> None:
    """A caller whose patience ends finds the model later; one that fails meanwhile disturbs nobody."""
    write_model(tmp_path, "a")
    write_model(tmp_path, "b")
    loader.failures["b", 1] = InternalError("corrupt")
    for name in "ab":
        loader.gates[name, 1] = asyncio.Event()
    waiting = [asyncio.create_task(repository.load(name)) for name in "ab"]
    await eventually(lambda: len(loader.started) == 2)
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
    for gate in loader.gates.values():
        gate.set()
    await eventually(lambda: repository.ready_versions("a") == (1,))
    await repository.stop()


async def test_an_ensemble_leaves_and_comes_back_with_a_model_that_it_needs(
    repository: ModelRepository, tmp_path: Path
) -> None:
    """What was dragged out of service is wanted still; what was unloaded by name is not."""
    write_model(tmp_path, "outer", chain("inner"))
    write_model(tmp_path, "inner", chain("a"))
    write_model(tmp_path, "a")
    await repository.load_all()
    await repository.unload("a")
    assert [line.name for line in await repository.index(ready_only=True)] == []
    await repository.load("a")
    assert [line.name for line in await repository.index(ready_only=True)] == ["a", "inner", "outer"]
    await repository.unload("outer")
    await repository.unload("a")
    await repository.load("a")
    assert [line.name for line in await repository.index(ready_only=True)] == ["a", "inner"]


async def test_a_model_that_comes_late_revives_the_ensemble_that_failed_for_want_of_it(
    repository: ModelRepository, tmp_path: Path
) -> None:
    """An ensemble that failed is tried again when a model that it needs is loaded at last."""
    write_model(tmp_path, "e", chain("a"))
    await repository.load_all()
    assert not repository.is_every_model_ready()
    write_model(tmp_path, "a")
    await repository.load("a")
    assert answered_by(await repository.infer(request("e"))) == ("e", 1)
    assert repository.is_every_model_ready()


async def test_an_ensemble_is_fitted_again_when_a_model_that_it_needs_changes(
    repository: ModelRepository, loader: FakeLoader, tmp_path: Path
) -> None:
    """A change that fits makes a new ensemble, one that does not takes it out of service with the reason, one that mends brings it back."""
    write_model(tmp_path, "e", chain("a"))
    write_model(tmp_path, "a")
    await repository.load_all()
    scheduler = loader.schedulers["e", 1]
    write_model(tmp_path, "a", ECHO + 'parameters { key: "x" value { string_value: "y" } }')
    await repository.load("a")
    assert loader.schedulers["e", 1] is not scheduler
    write_model(tmp_path, "a", ECHO.replace("dims: 4", "dims: 5"))
    await repository.load("a")
    assert repository.served("a").config.inputs[0].dims == (5,)
    with pytest.raises(NotFoundError, match="'e' has no available versions"):
        repository.infer(request("e"))
    (line,) = [line for line in await repository.index() if line.name == "e"]
    assert line.state is UNAVAILABLE
    assert "inconsistent shape" in line.reason
    assert not repository.is_every_model_ready()
    write_model(tmp_path, "a")
    touch(tmp_path / "a" / "config.pbtxt")
    await repository.load("a")
    assert answered_by(await repository.infer(request("e"))) == ("e", 1)
    await repository.stop()
    assert sorted(loader.released) == sorted((name, 1) for name in loader.started)


async def test_an_ensemble_whose_models_stay_as_they_are_is_left_alone(
    repository: ModelRepository, loader: FakeLoader, tmp_path: Path
) -> None:
    """A model that is loaded anew and is the same to its ensemble does not disturb its books."""
    write_model(tmp_path, "e", chain("a"))
    path = write_model(tmp_path, "a")
    await repository.load_all()
    statistics = repository.served("e").statistics
    touch(path)
    await repository.load("a")
    (path / "config.pbtxt").write_text(ECHO + "instance_group { count: 2 }")
    await repository.load("a")
    assert repository.served("a").config.instance_groups[0].count == 2
    assert loader.started.count("a") == 2
    assert repository.served("e").statistics is statistics


async def test_versions_that_are_the_same_are_not_loaded_anew(
    repository: ModelRepository, loader: FakeLoader, tmp_path: Path
) -> None:
    """A new version, another version policy or another number of instances leaves the versions that stay where they are."""
    path = write_model(tmp_path, "a", ALL_VERSIONS, versions=(1, 2))
    await repository.load_all()
    first, second = repository.served("a", 1), repository.served("a", 2)
    (path / "3").mkdir()
    await repository.load("a")
    assert (repository.served("a", 1), repository.served("a", 2)) == (first, second)
    (path / "config.pbtxt").write_text(ECHO + "version_policy { specific { versions: [2] } }")
    await repository.load("a")
    assert repository.ready_versions("a") == (2,)
    (path / "config.pbtxt").write_text(
        ECHO + "version_policy { specific { versions: [2] } } instance_group { count: 3 }"
    )
    await repository.load("a")
    assert repository.served("a") is second
    assert second.config.instance_groups[0].count == 3
    assert loader.started == ["a"] * 3
    (path / "2" / "weights.bin").write_text("new")
    await repository.load("a")
    assert repository.served("a") is not second
    await settled()
    assert sorted(loader.released) == [("a", 1), ("a", 2), ("a", 3)]


@pytest.mark.parametrize("change", ["config", "labels", "touch"])
async def test_any_other_change_loads_all_versions_anew(
    repository: ModelRepository, loader: FakeLoader, tmp_path: Path, change: str
) -> None:
    """A field that instances depend on, a file beside the versions, or a directory that somebody has touched to that end."""
    path = write_model(tmp_path, "a", ALL_VERSIONS, versions=(1, 2), files={"labels.txt": "a"})
    await repository.load_all()
    if change == "config":
        (path / "config.pbtxt").write_text(ALL_VERSIONS + "instance_group { count: 3 } dynamic_batching { }")
    elif change == "labels":
        (path / "labels.txt").write_text("bc")
    else:
        touch(path)
    await repository.load("a")
    assert loader.started == ["a"] * 4


async def test_a_configuration_that_came_with_a_load_stays_until_files_change(
    repository: ModelRepository, tmp_path: Path
) -> None:
    """A load without one keeps it, and so does the return of an ensemble; a change on disk or an unload ends it."""
    path = write_model(tmp_path, "a")
    override = LoadOverride('{"backend": "identity", "max_batch_size": "3"}')
    await repository.load("a", override)
    await repository.load("a")
    await repository.load("a", override)
    assert repository.served("a").config.max_batch_size == 3
    touch(path)
    await repository.load("a")
    assert repository.served("a").config.max_batch_size == 8
    with pytest.raises(InternalError, match="failed to poll"):
        await repository.load("a", LoadOverride("{"))
    assert repository.served("a").config.max_batch_size == 8


async def test_files_that_came_with_a_load_are_removed_when_their_model_has_left(
    repository: ModelRepository, loader: FakeLoader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They stay for the last request that was accepted, and not a moment longer; a load that fails leaves none behind."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    override = LoadOverride(ECHO_JSON, {"1/x": b"", "2/x": b""})
    await repository.load("sent", override)
    loader.schedulers["sent", 2].gate.clear()
    answer = asyncio.create_task(repository.infer(request("sent")))
    await settled()
    loader.failures["sent", 2] = InternalError("corrupt")
    with pytest.raises(InvalidArgumentError, match="load failed for model 'sent'"):
        await repository.load("sent", override)
    with pytest.raises(InternalError, match="failed to poll"):
        await repository.load("sent", LoadOverride(None, {"1/x": b""}))
    with pytest.raises(InternalError, match="failed to poll"):
        await repository.load("sent", LoadOverride("{", {"1/x": b""}))
    assert len(list(temporary.iterdir())) == 1
    await repository.unload("sent")
    await settled()
    assert len(list(temporary.iterdir())) == 1
    loader.schedulers["sent", 2].gate.set()
    assert answered_by(await answer) == ("sent", 2)
    await eventually(lambda: not list(temporary.iterdir()))


async def test_what_failed_and_is_unloaded_does_not_keep_the_server_from_being_ready(
    repository: ModelRepository, loader: FakeLoader, tmp_path: Path
) -> None:
    """Whoever unloads a broken model says that it is not wanted."""
    write_model(tmp_path, "a")
    write_model(tmp_path, "b", "batch: 1")
    loader.failures["a", 1] = InternalError("corrupt")
    await repository.load_all()
    await repository.unload("a")
    assert not repository.is_every_model_ready()
    await repository.unload("b")
    assert repository.is_every_model_ready()
    assert await repository.index() == [
        ModelIndex("a", 1, UNAVAILABLE, "unloaded"),
        ModelIndex("b", None, ModelState.UNKNOWN),
    ]


async def test_the_index_lists_what_lies_on_disk_now(repository: ModelRepository, tmp_path: Path) -> None:
    """A directory shows in the index as soon as it is there, and no longer than it is."""
    path = write_model(tmp_path, "a")
    await repository.load_all()
    write_model(tmp_path, "b")
    assert await repository.index() == [ModelIndex("a", 1, READY), ModelIndex("b", None, ModelState.UNKNOWN)]
    shutil.rmtree(path)
    assert [line.name for line in await repository.index()] == ["b"]


async def test_a_server_stays_ready_while_a_version_follows_another(
    repository: ModelRepository, loader: FakeLoader, tmp_path: Path
) -> None:
    """Neither the one that is still loading nor the one that still answers keeps a load balancer from sending requests."""
    path = write_model(tmp_path, "a")
    await repository.load_all()
    loader.schedulers["a", 1].gate.clear()
    answer = asyncio.create_task(repository.infer(request("a")))
    await settled()
    (path / "2").mkdir()
    loader.gates["a", 2] = asyncio.Event()
    loading = asyncio.create_task(repository.load("a"))
    await eventually(lambda: loader.started == ["a", "a"])
    assert repository.is_every_model_ready()
    loader.gates["a", 2].set()
    await loading
    assert (await repository.index())[0] == ModelIndex("a", 1, ModelState.UNLOADING)
    assert repository.is_every_model_ready()
    loader.schedulers["a", 1].gate.set()
    await answer


@pytest.mark.parametrize("seed", range(2))
async def test_a_storm_of_loads_and_unloads_ends_in_good_order(
    repository: ModelRepository, loader: FakeLoader, tmp_path: Path, seed: int
) -> None:
    """32 callers change what they like: each gets an answer or a word of the protocol, nothing is lost and nothing given back twice."""
    names = ["a", "b", "c", "inner", "outer"]
    for name in names[:3]:
        write_model(tmp_path, name)
    write_model(tmp_path, "inner", chain("a", "b"))
    write_model(tmp_path, "outer", chain("inner", "c"))
    generator = random.Random(seed)
    told: set[str] = set()

    async def change(times: int) -> None:
        for _ in range(times):
            name = generator.choice(names)
            try:
                match generator.randrange(4):
                    case 0:
                        touch(tmp_path / name)
                        await repository.load(name)
                    case 1:
                        await repository.load(name)
                    case 2:
                        await repository.unload(name, unload_dependents=generator.random() < 0.5)
                    case _:
                        await repository.infer(request(name))
            except (NotFoundError, UnavailableError, InvalidArgumentError) as error:
                told.add(type(error).__name__)

    async with asyncio.timeout(60):
        await asyncio.gather(*(change(16) for _ in range(32)))
        await repository.load("outer")
        assert answered_by(await repository.infer(request("outer"))) == ("outer", 1)
        await repository.stop()
    assert "NotFoundError" in told
    assert sorted(loader.released) == sorted((name, 1) for name in loader.started)
