"""A model as its directory describes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from aisle_server.errors import InferenceServerError, InvalidArgumentError
from aisle_server.repository.description import ModelDescription, ReadingRules, describe
from aisle_server.repository.layout import scan
from tests.support.model_directories import ECHO, chain, write_model


def described(repository: Path, name: str = "m") -> ModelDescription:
    """What the directory of a model describes."""
    (directory,) = scan([repository])[name]
    return describe(directory)


def test_a_model_is_its_configuration_and_the_versions_to_serve(tmp_path: Path) -> None:
    """The configuration is complete but for its tensors, and the version policy has chosen."""
    path = write_model(tmp_path, "m", ECHO + "version_policy { latest { num_versions: 2 } }", versions=(1, 2, 3))
    description = described(tmp_path)
    assert description.config.name == "m"
    assert description.config.instance_groups[0].count == 1
    assert dict(description.versions) == {2: path / "2", 3: path / "3"}


def test_a_model_without_configuration_is_known_by_its_file(tmp_path: Path) -> None:
    """An ONNX file in a version directory is a model."""
    write_model(tmp_path, "m", None, files={"1/model.onnx": ""})
    assert described(tmp_path).config.backend == "onnxruntime"


def test_a_change_anywhere_in_the_directory_makes_another_description(tmp_path: Path) -> None:
    """The time of the youngest file is part of the description, so that reloading knows what changed."""
    path = write_model(tmp_path, "m")
    before = described(tmp_path)
    assert described(tmp_path) == before
    (path / "1" / "weights.bin").write_text("new")
    assert described(tmp_path).footprint.modified_ns > before.footprint.modified_ns


@pytest.mark.parametrize(
    ("config", "versions", "message"),
    [
        (ECHO, (), "at least one version must be available under the version policy of model 'm'"),
        (
            ECHO + "version_policy { specific { versions: 7 } }",
            (1,),
            "at least one version must be available under the version policy of model 'm'",
        ),
        (
            'name: "n"' + ECHO,
            (1,),
            "unexpected directory name 'm' for model 'n', directory name must equal model name",
        ),
        ('backend: "identity" max_batch_size: -1', (1,), "'max_batch_size' must be non-negative value for m"),
        (chain("a").replace("dims: 4", "dims: 0", 1), (1,), "model input 'INPUT0' dimension must be integer >= 1"),
        ("backend: 3", (1,), "model configuration cannot be read, line 1, column 10"),
    ],
)
def test_a_model_that_cannot_be_served_says_why(
    tmp_path: Path, config: str, versions: tuple[int, ...], message: str
) -> None:
    """A wrong configuration, or one that leaves no version, is an error before anything is loaded."""
    write_model(tmp_path, "m", config, versions=versions)
    with pytest.raises(InferenceServerError) as caught:
        described(tmp_path)
    assert caught.value.message.startswith(message)


def test_a_configuration_from_outside_the_repository_is_not_read(tmp_path: Path) -> None:
    """A config.pbtxt that is a link to elsewhere is refused."""
    (tmp_path / "config.pbtxt").write_text(ECHO)
    path = write_model(tmp_path / "repository", "m", None)
    (path / "config.pbtxt").symlink_to(tmp_path / "config.pbtxt")
    with pytest.raises(InvalidArgumentError, match=r"'config.pbtxt' of model 'm' leads out of the model repository"):
        described(tmp_path / "repository")


def test_a_strict_repository_wants_every_configuration_written_down(tmp_path: Path) -> None:
    """With autocomplete off, a model without a configuration is refused; one that has one is read as ever."""
    write_model(tmp_path, "m", None, files={"1/model.onnx": ""})
    (directory,) = scan([tmp_path])["m"]
    with pytest.raises(InvalidArgumentError, match=r"model 'm' has no config\.pbtxt"):
        describe(directory, ReadingRules(needs_config=True))
    write_model(tmp_path, "m")
    assert describe(directory, ReadingRules(needs_config=True)).config.max_batch_size == 8


@pytest.mark.parametrize(
    ("backends", "kind"), [({"identity"}, "KIND_GPU"), ({"python"}, "KIND_CPU"), (None, "KIND_GPU")]
)
def test_a_model_that_leaves_the_choice_takes_a_gpu_if_its_backend_can(
    tmp_path: Path, backends: set[str] | None, kind: str
) -> None:
    """A GPU beside a runtime that cannot use it does not keep a model from loading; who asks for it by name is taken at the word."""
    write_model(tmp_path, "m")
    (directory,) = scan([tmp_path])["m"]
    rules = ReadingRules((0,), None if backends is None else frozenset(backends))
    assert describe(directory, rules).config.instance_groups[0].kind.name == kind
    write_model(tmp_path, "m", ECHO + "instance_group { kind: KIND_GPU }")
    assert describe(directory, rules).config.instance_groups[0].gpus == (0,)
