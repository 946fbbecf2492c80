"""Loading, finding, replacing and unloading models."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from aisle_server.errors import InternalError, InvalidArgumentError, NotFoundError, UnavailableError
from aisle_server.repository.lifecycle import ModelRepository
from aisle_server.repository.states import ModelIndex, ModelState
from tests.support.fake_loader import FakeLoader
from tests.support.model_directories import ECHO, chain, write_model
from tests.support.repository_steps import answered_by, eventually, request, settled, touch

READY, UNAVAILABLE = ModelState.READY, ModelState.UNAVAILABLE
ALL_VERSIONS = ECHO + "version_policy { all { } }"


@pytest.fixture
def loader() -> FakeLoader:
    """A loader that does as it is told."""
    return FakeLoader()


@pytest.fixture
def repository(tmp_path: Path, loader: FakeLoader) -> ModelRepository:
    """A repository over `tmp_path`."""
    return ModelRepository([tmp_path], loader)


async def test_all_models_are_loaded_and_answer(repository: ModelRepository, tmp_path: Path) -> None:
    """After loading, each model answers with the version that its policy chose."""
    write_model(tmp_path, "a", versions=(1, 2))
    write_model(tmp_path, "b", ALL_VERSIONS, versions=(1, 2))
    assert await repository.load_all() == {}
    assert answered_by(await repository.infer(request("a"))) == ("a", 2)
    assert answered_by(await repository.infer(request("b"))) == ("b", 2)
    assert answered_by(await repository.infer(request("b", 1))) == ("b", 1)
    assert repository.ready_versions("b") == (1, 2)
    assert repository.is_every_model_ready()
    assert [(served.config.name, served.version) for served in repository.all_served()] == [
        ("a", 2),
        ("b", 1),
        ("b", 2),
    ]
    assert await repository.index() == [
        ModelIndex("a", 2, READY),
        ModelIndex("b", 1, READY),
        ModelIndex("b", 2, READY),
    ]


async def test_lookups_that_fail_say_what_is_missing(
    repository: ModelRepository, loader: FakeLoader, tmp_path: Path
) -> None:
    """Unknown model, unknown version, no version at all, and a version that is not ready are told apart, in Triton's words."""
    write_model(tmp_path, "a")
    write_model(tmp_path, "broken")
    loader.failures["broken", 1] = InvalidArgumentError("no good")
    await repository.load_all()
    prefix = "Request for unknown model: "
    for model, version, kind, message in (
        ("foo", -1, NotFoundError, f"{prefix}'foo' is not found"),
        ("foo", 1, NotFoundError, f"{prefix}'foo' is not found"),
        ("a", 99, NotFoundError, f"{prefix}'a' version 99 is not found"),
        ("broken", -1, NotFoundError, f"{prefix}'broken' has no available versions"),
        ("broken", 1, UnavailableError, f"{prefix}'broken' version 1 is not at ready state"),
    ):
        with pytest.raises(kind) as caught:
            repository.infer(request(model, version))
        assert caught.value.message == message


async def test_a_model_that_fails_says_why_and_holds_up_no_other(
    repository: ModelRepository, loader: FakeLoader, tmp_path: Path
) -> None:
    """Failures are kept as reasons, for configurations that cannot be read and for versions that cannot be loaded."""
    write_model(tmp_path, "bad_config", "batch: 1")
    write_model(tmp_path, "bad_model")
    write_model(tmp_path, "bug")
    write_model(tmp_path, "good")
    loader.failures["bad_model", 1] = InternalError("corrupt file")
    loader.failures["bug", 1] = ZeroDivisionError("secret of ours")
    failures = await repository.load_all()
    assert failures == {
        "bad_config": 'Invalid argument: model configuration cannot be read, line 1, column 1: Message type "inference.ModelConfig"'
        ' has no field named "batch".',
        "bad_model": "Invalid argument: load failed for model 'bad_model': version 1 is at UNAVAILABLE state: Internal: corrupt file;\n",
        "bug": "Invalid argument: load failed for model 'bug': version 1 is at UNAVAILABLE state:"
        " Internal: unexpected failure while loading; the server's log has the details;\n",
    }
    assert not repository.is_every_model_ready()
    assert await repository.index() == [
        ModelIndex("bad_config", None, UNAVAILABLE, failures["bad_config"]),
        ModelIndex("bad_model", 1, UNAVAILABLE, "Internal: corrupt file"),
        ModelIndex(
            "bug", 1, UNAVAILABLE, "Internal: unexpected failure while loading; the server's log has the details"
        ),
        ModelIndex("good", 1, READY),
    ]
    assert await repository.index(ready_only=True) == [ModelIndex("good", 1, READY)]


async def test_one_version_that_fails_takes_the_new_ones_beside_it_along(
    repository: ModelRepository, loader: FakeLoader, tmp_path: Path
) -> None:
    """Versions of a model come into service together or not at all; those loaded in vain are given back."""
    write_model(tmp_path, "a", ALL_VERSIONS, versions=(1, 2))
    loader.failures["a", 2] = InvalidArgumentError("no good")
    await repository.load_all()
    assert await repository.index() == [
        ModelIndex("a", 1, UNAVAILABLE, "unloaded"),
        ModelIndex("a", 2, UNAVAILABLE, "Invalid argument: no good"),
    ]
    assert loader.released == [("a", 1)]


async def test_composing_models_load_before_ensembles_and_others_side_by_side(
    repository: ModelRepository, loader: FakeLoader, tmp_path: Path
) -> None:
    """An ensemble waits for what it needs, directly or not; models that do not need each other load at the same time."""
    write_model(tmp_path, "a_outer", chain("b_inner", "d"))
    write_model(tmp_path, "b_inner", chain("c", "d"))
    for name in ("c", "d", "x", "y", "z"):
        write_model(tmp_path, name)
    assert await repository.load_all() == {}
    assert loader.started.index("a_outer") > loader.started.index("b_inner") > max(map(loader.started.index, "cd"))
    assert loader.most_at_once == 4
    assert loader.step_configs["b_inner"] == ["c", "d"]
    assert answered_by(await repository.infer(request("a_outer"))) == ("a_outer", 1)


async def test_only_the_models_asked_for_are_loaded_with_what_they_need(
    repository: ModelRepository, tmp_path: Path
) -> None:
    """The others are listed as models that nobody asked for."""
    write_model(tmp_path, "e", chain("a"))
    write_model(tmp_path, "a")
    write_model(tmp_path, "b")
    failures = await repository.load_all(["e", "missing"])
    assert failures == {"missing": "Internal: failed to load 'missing', failed to poll from model repository"}
    assert await repository.index() == [
        ModelIndex("a", 1, READY),
        ModelIndex("b", None, ModelState.UNKNOWN),
        ModelIndex("e", 1, READY),
    ]
    assert repository.is_every_model_ready()


@pytest.mark.parametrize(
    ("models", "reason"),
    [
        ({}, "ensemble e contains models that are not available or ambiguous: a"),
        (
            {"a": "batch: 1"},
            "ensemble 'e' depends on 'a' which has no loaded version. Model 'a' loading failed with error: Invalid argument: model"
            " configuration cannot be read, line 1, column 1: Message type \"inference.ModelConfig\" has no field named \"batch\".",
        ),
        (
            {"a": ECHO},
            "ensemble 'e' depends on 'a' which has no loaded version. Model 'a' loading failed with error:"
            " version 1 is at UNAVAILABLE state: Internal: corrupt;",
        ),
        (
            {"a": chain("e")},
            "circular dependency between ensembles: a -> e -> a",
        ),
    ],
)  # fmt: skip
async def test_an_ensemble_without_its_models_says_which(
    repository: ModelRepository, loader: FakeLoader, tmp_path: Path, models: dict[str, str], reason: str
) -> None:
    """A model that is missing, unreadable, broken, or needs the ensemble itself is named in the ensemble's reason."""
    write_model(tmp_path, "e", chain("a"))
    for name, config in models.items():
        write_model(tmp_path, name, config)
    loader.failures["a", 1] = InternalError("corrupt")
    await repository.load_all()
    (line,) = [line for line in await repository.index() if line.name == "e"]
    assert line.state is UNAVAILABLE
    assert line.reason == f"Invalid argument: {reason}"


async def test_an_ensemble_has_no_decoupled_step(repository: ModelRepository, tmp_path: Path) -> None:
    """A step that may be answered any number of times keeps the ensemble from loading, in words; the model itself is served."""
    write_model(tmp_path, "e", chain("a"))
    write_model(tmp_path, "a", ECHO + "model_transaction_policy { decoupled: true }")
    await repository.load_all()
    reasons = {line.name: line.reason for line in await repository.index()}
    assert reasons == {
        "a": "",
        "e": "Unsupported: ensemble 'e' cannot be served: 'a' is decoupled, and each step of an ensemble is answered once",
    }


async def test_an_ensemble_needs_the_very_version_that_it_names(repository: ModelRepository, tmp_path: Path) -> None:
    """A step that names a version is not content with another."""
    write_model(tmp_path, "e", chain("a").replace("model_version: -1", "model_version: 7"))
    write_model(tmp_path, "a")
    await repository.load_all()
    assert (await repository.index())[1].reason == (
        "Invalid argument: ensemble 'e' depends on 'a' whose required version 7 is not loaded"
    )


async def test_an_ensemble_that_does_not_fit_its_models_is_not_served(
    repository: ModelRepository, tmp_path: Path
) -> None:
    """Shapes are compared when an ensemble is loaded, not when a request runs into them."""
    write_model(tmp_path, "e", chain("a"))
    write_model(tmp_path, "a", ECHO.replace("dims: 4", "dims: 5"))
    failures = await repository.load_all()
    assert "inconsistent shape: [-1,4] is inferred from model e while [-1,5] is inferred from model a" in failures["e"]


async def test_a_model_in_two_repositories_is_in_neither(loader: FakeLoader, tmp_path: Path) -> None:
    """Which of the two is meant nobody can tell, so none is served, nor what needs it."""
    for place in ("one", "two"):
        write_model(tmp_path / place, "a")
    write_model(tmp_path / "one", "b")
    write_model(tmp_path / "one", "e", chain("a"))
    repository = ModelRepository([tmp_path / "one", tmp_path / "two"], loader)
    await repository.load_all()
    lines = await repository.index()
    assert lines[:2] == [
        ModelIndex("a", None, UNAVAILABLE, "model appears in two or more repositories"),
        ModelIndex("b", 1, READY),
    ]
    assert lines[2].reason == "Invalid argument: ensemble e contains models that are not available or ambiguous: a"


async def test_a_version_is_loading_until_it_is_ready(
    repository: ModelRepository, loader: FakeLoader, tmp_path: Path
) -> None:
    """While a model loads, the index says so and requests are told to come back."""
    write_model(tmp_path, "a")
    loader.gates["a", 1] = asyncio.Event()
    loading = asyncio.create_task(repository.load_all())
    await eventually(lambda: "a" in loader.started)
    assert await repository.index() == [ModelIndex("a", 1, ModelState.LOADING)]
    with pytest.raises(UnavailableError, match="version 1 is not at ready state"):
        repository.served("a", 1)
    loader.gates["a", 1].set()
    await loading
    assert await repository.index() == [ModelIndex("a", 1, READY)]


async def test_loading_that_is_cancelled_leaves_nothing_behind(
    repository: ModelRepository, loader: FakeLoader, tmp_path: Path
) -> None:
    """A server told to stop while it loads gives back what it had loaded."""
    write_model(tmp_path, "a", ALL_VERSIONS, versions=(1, 2))
    loader.gates["a", 2] = asyncio.Event()
    loading = asyncio.create_task(repository.load_all())
    await eventually(lambda: len(loader.started) == 2)
    loading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loading
    assert loader.released == [("a", 1)]
    assert [line.state for line in await repository.index()] == [UNAVAILABLE, UNAVAILABLE]


async def test_a_reload_serves_the_old_version_until_the_new_one_is_ready(
    repository: ModelRepository, loader: FakeLoader, tmp_path: Path
) -> None:
    """There is no moment in which a model that is being replaced cannot be asked."""
    path = write_model(tmp_path, "a")
    await repository.load_all()
    (path / "2").mkdir()
    loader.gates["a", 2] = asyncio.Event()
    loading = asyncio.create_task(repository.load("a"))
    await eventually(lambda: loader.started == ["a", "a"])
    assert answered_by(await repository.infer(request("a"))) == ("a", 1)
    assert await repository.index() == [ModelIndex("a", 1, READY), ModelIndex("a", 2, ModelState.LOADING)]
    loader.gates["a", 2].set()
    await loading
    assert answered_by(await repository.infer(request("a"))) == ("a", 2)
    await settled()
    assert loader.released == [("a", 1)]
    assert await repository.index() == [ModelIndex("a", 1, UNAVAILABLE, "unloaded"), ModelIndex("a", 2, READY)]
    assert repository.is_every_model_ready()


async def test_a_version_that_is_replaced_answers_what_it_had_accepted(
    repository: ModelRepository, loader: FakeLoader, tmp_path: Path
) -> None:
    """A reload of the same version loses no request, and its books begin anew."""
    path = write_model(tmp_path, "a")
    await repository.load_all()
    old = loader.schedulers["a", 1]
    old.gate.clear()
    statistics = repository.served("a").statistics
    answer = asyncio.create_task(repository.infer(request("a")))
    await settled()
    touch(path)
    await repository.load("a")
    assert loader.schedulers["a", 1] is not old
    assert repository.served("a").statistics is not statistics
    await settled()
    assert loader.released == []
    old.gate.set()
    assert answered_by(await answer) == ("a", 1)
    await settled()
    assert loader.released == [("a", 1)]
    assert await repository.index() == [ModelIndex("a", 1, READY)]


async def test_a_reload_that_fails_changes_nothing_and_fails_again(
    repository: ModelRepository, loader: FakeLoader, tmp_path: Path
) -> None:
    """The old version stays in service, the caller reads why, and trying again tries again."""
    path = write_model(tmp_path, "a")
    await repository.load_all()
    touch(path)
    loader.failures["a", 1] = InvalidArgumentError("no good")
    for _ in range(2):
        with pytest.raises(InvalidArgumentError) as caught:
            await repository.load("a")
        assert caught.value.message == (
            "load failed for model 'a': version 1 is at UNAVAILABLE state: Invalid argument: no good;\n"
        )
    assert len(loader.started) == 3
    assert answered_by(await repository.infer(request("a"))) == ("a", 1)
    assert repository.is_every_model_ready()
    (path / "config.pbtxt").write_text("batch: 1")
    with pytest.raises(InternalError, match="failed to load 'a', failed to poll from model repository"):
        await repository.load("a")
    assert await repository.index() == [ModelIndex("a", 1, READY)]


async def test_a_version_that_failed_and_is_gone_is_forgotten(
    repository: ModelRepository, loader: FakeLoader, tmp_path: Path
) -> None:
    """A broken version that was removed from disk does not keep the server from being ready."""
    path = write_model(tmp_path, "a", ALL_VERSIONS, versions=(1, 2))
    loader.failures["a", 2] = InvalidArgumentError("no good")
    await repository.load_all()
    (path / "2").rmdir()
    await repository.load("a")
    assert await repository.index() == [ModelIndex("a", 1, READY)]
    assert repository.is_every_model_ready()


async def test_loading_what_has_not_changed_does_nothing(
    repository: ModelRepository, loader: FakeLoader, tmp_path: Path
) -> None:
    """A load of an unchanged model succeeds without touching it."""
    write_model(tmp_path, "e", chain("a"))
    write_model(tmp_path, "a")
    await repository.load_all()
    await repository.load("e")
    assert sorted(loader.started) == ["a", "e"]


@pytest.mark.parametrize("name", ["...", "model..1", "..", "a/../b", "/etc/passwd", "", "a\0b", "x" * 5000, "\udc80"])
async def test_a_name_that_is_no_model_is_refused(repository: ModelRepository, tmp_path: Path, name: str) -> None:
    """A name is looked for among the directories of the repositories, and nowhere else; there is nothing to unload of it."""
    write_model(tmp_path, "a")
    with pytest.raises(InternalError) as caught:
        await repository.load(name)
    assert str(caught.value) == f"failed to load '{name}', failed to poll from model repository"
    await repository.unload(name)
    assert await repository.index() == [ModelIndex("a", None, ModelState.UNKNOWN)]


async def test_unloading_refuses_at_once_and_answers_what_was_accepted(
    repository: ModelRepository, loader: FakeLoader, tmp_path: Path
) -> None:
    """From the moment of unloading new requests are refused; accepted ones get their answers, then everything is given back."""
    write_model(tmp_path, "a")
    await repository.load_all()
    loader.schedulers["a", 1].gate.clear()
    answer = asyncio.create_task(repository.infer(request("a")))
    await settled()
    await repository.unload("a")
    assert await repository.index() == [ModelIndex("a", 1, ModelState.UNLOADING)]
    with pytest.raises(NotFoundError, match="'a' has no available versions"):
        repository.infer(request("a"))
    await settled()
    assert loader.released == []
    loader.schedulers["a", 1].gate.set()
    assert answered_by(await answer) == ("a", 1)
    await settled()
    assert loader.released == [("a", 1)]
    assert await repository.index() == [ModelIndex("a", 1, UNAVAILABLE, "unloaded")]
    assert repository.is_every_model_ready()


async def test_a_model_can_be_loaded_again_while_its_old_self_is_leaving(
    repository: ModelRepository, loader: FakeLoader, tmp_path: Path
) -> None:
    """The new version is ready although the old one still answers somebody, and the old one's end does not touch it."""
    write_model(tmp_path, "a")
    await repository.load_all()
    old = loader.schedulers["a", 1]
    old.gate.clear()
    answer = asyncio.create_task(repository.infer(request("a")))
    await settled()
    await repository.unload("a")
    await repository.load("a")
    assert await repository.index() == [ModelIndex("a", 1, READY)]
    old.gate.set()
    await answer
    await settled()
    assert loader.released == [("a", 1)]
    assert await repository.index() == [ModelIndex("a", 1, READY)]
    assert answered_by(await repository.infer(request("a"))) == ("a", 1)


async def test_unloading_a_model_unloads_the_ensembles_that_need_it(
    repository: ModelRepository, tmp_path: Path
) -> None:
    """An ensemble cannot do without its models; models can do without their ensemble."""
    write_model(tmp_path, "outer", chain("inner"))
    write_model(tmp_path, "inner", chain("a", "b"))
    write_model(tmp_path, "a")
    write_model(tmp_path, "b")
    await repository.load_all()
    await repository.unload("a")
    await settled()
    assert [line.name for line in await repository.index(ready_only=True)] == ["b"]
    await repository.load("outer")
    await repository.unload("outer")
    await settled()
    assert [line.name for line in await repository.index(ready_only=True)] == ["a", "b", "inner"]


async def test_unloading_with_dependents_spares_what_others_need(repository: ModelRepository, tmp_path: Path) -> None:
    """Models that came along with an ensemble leave with it, unless another ensemble needs them or somebody loaded them by name."""
    write_model(tmp_path, "e", chain("alone", "shared", "named"))
    write_model(tmp_path, "f", chain("shared"))
    for name in ("alone", "shared", "named"):
        write_model(tmp_path, name)
    await repository.load_all(["e", "f", "named"])
    await repository.unload("e", unload_dependents=True)
    await settled()
    assert [line.name for line in await repository.index(ready_only=True)] == ["f", "named", "shared"]


async def test_an_ensemble_finishes_its_steps_on_models_that_are_leaving(
    repository: ModelRepository, loader: FakeLoader, tmp_path: Path
) -> None:
    """When everything is unloaded at once, models stay for the ensembles that had accepted requests, and for nobody else."""
    write_model(tmp_path, "e", chain("a", "b"))
    write_model(tmp_path, "a")
    write_model(tmp_path, "b")
    await repository.load_all()
    loader.schedulers["a", 1].gate.clear()
    answer = asyncio.create_task(repository.infer(request("e")))
    await settled()
    stopping = asyncio.create_task(repository.stop())
    await settled()
    assert loader.released == []
    with pytest.raises(NotFoundError):
        repository.infer(request("b"))
    loader.schedulers["a", 1].gate.set()
    assert answered_by(await answer) == ("e", 1)
    await stopping
    assert loader.released[0] == ("e", 1)
    assert sorted(loader.released) == [("a", 1), ("b", 1), ("e", 1)]


async def test_a_model_unloaded_after_its_ensemble_waits_for_it(
    repository: ModelRepository, loader: FakeLoader, tmp_path: Path
) -> None:
    """Two unloads, one after the other, keep the order: the model leaves when the ensemble has left."""
    write_model(tmp_path, "e", chain("a", "b"))
    write_model(tmp_path, "a")
    write_model(tmp_path, "b")
    await repository.load_all()
    loader.schedulers["a", 1].gate.clear()
    answer = asyncio.create_task(repository.infer(request("e")))
    await settled()
    await repository.unload("e")
    await repository.unload("b")
    await settled()
    assert loader.released == []
    loader.schedulers["a", 1].gate.set()
    assert answered_by(await answer) == ("e", 1)
    await settled()
    assert loader.released == [("e", 1), ("b", 1)]


async def test_a_model_that_does_not_leave_cleanly_is_unloaded_all_the_same(
    repository: ModelRepository, loader: FakeLoader, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A backend that fails while it gives back its files is logged, and holds up nothing."""
    write_model(tmp_path, "a")
    await repository.load_all()

    async def stop() -> None:
        raise RuntimeError("stuck")

    loader.schedulers["a", 1].stop = stop  # type: ignore[method-assign]
    await repository.stop()
    assert await repository.index() == [ModelIndex("a", 1, UNAVAILABLE, "unloaded")]
    assert "unloading model 'a' version 1 failed" in caplog.text


async def test_stopping_twice_is_no_harm(repository: ModelRepository, loader: FakeLoader, tmp_path: Path) -> None:
    """What has left does not leave again."""
    write_model(tmp_path, "a")
    await repository.load_all()
    await asyncio.gather(repository.stop(), repository.stop())
    await repository.stop()
    assert loader.released == [("a", 1)]


async def test_the_log_says_what_each_model_will_do_and_how_all_of_them_stand(
    repository: ModelRepository, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A line a model, and a table of all of them at the end."""
    write_model(tmp_path, "a")
    write_model(tmp_path, "b", "batch: 1")
    with caplog.at_level("INFO"):
        await repository.load_all()
    assert "model 'a' version 1 loaded in 0.25 s: executes each request by itself on 1 instance" in caplog.text
    assert (
        "Model  Version  State        Reason\na      1        READY\nb      -        UNAVAILABLE  Invalid"
        in caplog.text
    )


async def test_a_storm_of_changes_leaves_every_request_answered_or_refused_in_words(
    repository: ModelRepository, loader: FakeLoader, tmp_path: Path
) -> None:
    """While models come and go, a request gets an answer or one of the errors of the protocol, and nothing is given back twice."""
    path = write_model(tmp_path, "a")
    write_model(tmp_path, "e", chain("a"))
    await repository.load_all()
    answers = 0

    async def ask() -> None:
        nonlocal answers
        for number in range(40):
            try:
                await repository.infer(request("ae"[number % 2]))
                answers += 1
            except (NotFoundError, UnavailableError):
                await asyncio.sleep(0)

    async def change(action: Callable[[str], Awaitable[None]], name: str) -> None:
        for _ in range(5):
            touch(path)
            await action(name)

    await asyncio.gather(
        *(ask() for _ in range(8)),
        change(repository.load, "e"),
        change(repository.unload, "a"),
        change(repository.load, "a"),
    )
    await repository.load("e")
    assert answered_by(await repository.infer(request("e"))) == ("e", 1)
    assert answers
    await repository.stop()
    assert len(loader.released) == len(loader.started)


async def test_a_repository_directory_that_is_gone_is_an_error(repository: ModelRepository, tmp_path: Path) -> None:
    """A repository that cannot be read is no empty repository."""
    shutil.rmtree(tmp_path)
    with pytest.raises(InvalidArgumentError, match="cannot be read"):
        await repository.load_all()
