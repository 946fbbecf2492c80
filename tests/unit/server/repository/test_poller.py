"""Following the changes of a model repository."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

import pytest

from aisle_server.errors import InternalError
from aisle_server.repository.lifecycle import ModelRepository
from aisle_server.repository.poller import RepositoryPoller
from tests.support.fake_loader import FakeLoader
from tests.support.model_directories import ECHO, chain, write_model


@pytest.fixture
def loader() -> FakeLoader:
    """A loader that does as it is told."""
    return FakeLoader()


class Polled:
    """A repository that is followed."""

    def __init__(self, path: Path, loader: FakeLoader) -> None:
        self.path = path
        self.loader = loader
        self.repository = ModelRepository([path / "one", path / "two"], loader)
        self.poller = RepositoryPoller(self.repository, 15)
        for name in ("one", "two"):
            (path / name).mkdir()

    async def ready_after_poll(self) -> list[str]:
        """Poll, and return the models that are ready."""
        await self.poller.poll()
        return [line.name for line in await self.repository.index(ready_only=True)]


@pytest.fixture
def polled(tmp_path: Path, loader: FakeLoader) -> Polled:
    """Two empty repositories."""
    return Polled(tmp_path, loader)


def age(path: Path, seconds: float) -> None:
    """Make a file or directory younger, or older."""
    time_ns = path.stat().st_mtime_ns + int(seconds * 1e9)
    os.utime(path, ns=(time_ns, time_ns))


async def test_what_is_added_is_loaded_and_what_is_removed_is_unloaded(polled: Polled) -> None:
    """So are the ensembles that need it, which come back with it."""
    write_model(polled.path / "one", "a")
    write_model(polled.path / "one", "e", chain("a", "b"))
    await polled.repository.load_all()
    assert await polled.ready_after_poll() == ["a"]
    write_model(polled.path / "two", "b")
    assert await polled.ready_after_poll() == ["a", "b", "e"]
    shutil.rmtree(polled.path / "two" / "b")
    assert await polled.ready_after_poll() == ["a"]
    assert polled.repository.is_every_model_ready()
    write_model(polled.path / "two", "b")
    assert await polled.ready_after_poll() == ["a", "b", "e"]


async def test_only_what_is_newer_is_loaded_anew(polled: Polled) -> None:
    """A file that is older than the newest was is no change, wherever it lies."""
    path = write_model(polled.path / "one", "a", files={"1/deep/weights.bin": "x"})
    await polled.repository.load_all()
    await polled.poller.poll()
    age(path / "1" / "deep" / "weights.bin", -1000)
    await polled.poller.poll()
    assert polled.loader.started == ["a"]
    age(path / "1" / "deep" / "weights.bin", 2000)
    await polled.poller.poll()
    assert polled.loader.started == ["a", "a"]
    await polled.poller.poll()
    assert polled.loader.started == ["a", "a"]


async def test_a_model_that_failed_is_tried_again_when_it_looks_different(polled: Polled) -> None:
    """Not with every look; and a copy that was still under way may end with files that are older than they were."""
    path = write_model(polled.path / "one", "a")
    polled.loader.failures["a", 1] = InternalError("cut off")
    await polled.repository.load_all()
    for _ in range(3):
        await polled.poller.poll()
    assert len(polled.loader.started) == 2
    del polled.loader.failures["a", 1]
    age(path / "config.pbtxt", -1000)
    assert await polled.ready_after_poll() == ["a"]


async def test_a_change_that_cannot_be_read_leaves_the_model_in_service(polled: Polled) -> None:
    """The model that was loaded before serves on; to delete the configuration is a change as well."""
    path = write_model(polled.path / "one", "a", files={"1/model.onnx": ""})
    await polled.repository.load_all()
    (path / "config.pbtxt").write_text("batch: 1")
    age(path / "config.pbtxt", 10)
    assert await polled.ready_after_poll() == ["a"]
    assert polled.repository.served("a").config.backend == "identity"
    (path / "config.pbtxt").unlink()
    age(path, 20)
    assert await polled.ready_after_poll() == ["a"]
    assert polled.repository.served("a").config.backend == "onnxruntime"


async def test_a_model_that_appears_a_second_time_leaves_until_it_is_there_once(polled: Polled) -> None:
    """Wherever the one that is left lies."""
    write_model(polled.path / "one", "a")
    await polled.repository.load_all()
    write_model(polled.path / "two", "a", ECHO.replace("max_batch_size: 8", "max_batch_size: 2"))
    assert await polled.ready_after_poll() == []
    assert not polled.repository.is_every_model_ready()
    shutil.rmtree(polled.path / "one" / "a")
    assert await polled.ready_after_poll() == ["a"]
    assert polled.repository.served("a").config.max_batch_size == 2
    shutil.move(polled.path / "two" / "a", polled.path / "one" / "a")
    assert await polled.ready_after_poll() == ["a"]
    assert polled.repository.descriptions()["a"].directory.path.parent.name == "one"


async def test_a_repository_that_cannot_be_read_for_a_while_changes_nothing(
    polled: Polled, caplog: pytest.LogCaptureFixture
) -> None:
    """A disk that is away for a moment must not take the models out of service."""
    write_model(polled.path / "one", "a")
    await polled.repository.load_all()
    (polled.path / "two").rmdir()
    assert polled.repository.ready_versions("a") == (1,)
    await polled.poller.poll()
    assert polled.repository.ready_versions("a") == (1,)
    assert "polling the model repositories failed: directory 'two' cannot be read" in caplog.text


async def test_polling_goes_on_until_it_is_cancelled(tmp_path: Path, loader: FakeLoader) -> None:
    """The loop looks at its interval, and ends with its task."""
    repository = ModelRepository([tmp_path], loader)
    await repository.load_all()
    running = asyncio.create_task(RepositoryPoller(repository, 0.001).run())
    write_model(tmp_path, "a")
    async with asyncio.timeout(10):
        while not repository.ready_versions("a"):
            await asyncio.sleep(0.001)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
