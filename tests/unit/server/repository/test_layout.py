"""What lies in a model repository, and what is not followed out of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aisle_server.errors import InvalidArgumentError
from aisle_server.model_config.schema import VersionPolicy
from aisle_server.repository.layout import (
    ModelDirectory,
    first_version_entries,
    read_text,
    refuse_escaping_links,
    scan,
    version_directories,
    versions_to_load,
)
from tests.support.model_directories import write_model


def directory_of(repository: Path, name: str = "m") -> ModelDirectory:
    """The model directory that scanning finds."""
    (directory,) = scan([repository])[name]
    return directory


def test_every_directory_is_a_model_and_nothing_else_is(tmp_path: Path) -> None:
    """Files and hidden directories of a repository are no models; any other directory is one, by its name."""
    for name in ("shoes", "Hats v2", "نام", "...x", ".git", "a;rm -rf"):
        (tmp_path / name).mkdir()
    (tmp_path / "README.md").write_text("no model")
    assert list(scan([tmp_path])) == ["Hats v2", "a;rm -rf", "shoes", "نام"]


def test_models_of_several_repositories_are_found_and_duplicates_are_seen(tmp_path: Path) -> None:
    """A name that two repositories have is found with both places."""
    for path in ("one/a", "one/b", "two/b"):
        (tmp_path / path).mkdir(parents=True)
    found = scan([tmp_path / "one", tmp_path / "two"])
    assert {name: len(directories) for name, directories in found.items()} == {"a": 1, "b": 2}


def test_a_link_within_the_repository_is_followed_and_one_that_leaves_it_is_not(tmp_path: Path) -> None:
    """Mounted volumes link within themselves; a link to elsewhere is no model."""
    outside = tmp_path / "outside"
    outside.mkdir()
    repository = tmp_path / "repository"
    (repository / ".data" / "m").mkdir(parents=True)
    (repository / "m").symlink_to(repository / ".data" / "m")
    (repository / "evil").symlink_to(outside)
    (repository / "nowhere").symlink_to(tmp_path / "missing")
    assert list(scan([repository])) == ["m"]


def test_a_repository_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """A repository that cannot be read is told by its name, without the path that leads to it."""
    with pytest.raises(InvalidArgumentError) as caught:
        scan([tmp_path / "missing"])
    assert caught.value.message == "directory 'missing' cannot be read: No such file or directory"


@pytest.mark.skipif(os.name != "posix", reason="elsewhere every name is text")
def test_a_name_that_is_not_utf_8_is_left_out(tmp_path: Path) -> None:
    """The protocol carries names as UTF-8, so a directory whose name is none cannot be a model."""
    try:
        os.mkdir(os.fsencode(tmp_path) + b"/m\xff")
    except OSError:
        pytest.skip("the file system takes UTF-8 names only")
    assert scan([tmp_path]) == {}


def test_version_directories_have_plain_numbers(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Leading zeros, signs, words and numbers beyond 64 bits are no versions, and are said not to be."""
    for name in (
        "1",
        "12",
        "3",
        "0",
        "01",
        "-1",
        "+4",
        "abc",
        "1.5",
        "٣",
        str(2**63),
        "warmup",
        "configs",
        "initial_state",
    ):
        (tmp_path / "m" / name).mkdir(parents=True)
    (tmp_path / "m" / "7").write_text("a file")
    assert list(version_directories(directory_of(tmp_path))) == [0, 1, 3, 12]
    warned = {record.args[0] for record in caplog.records if isinstance(record.args, tuple)}
    assert warned == {"01", "-1", "+4", "abc", "1.5", "٣", str(2**63)}


def test_a_version_that_leads_out_of_the_repository_is_left_out(tmp_path: Path) -> None:
    """A version directory may not be a link to elsewhere."""
    (tmp_path / "outside").mkdir()
    write_model(tmp_path / "repository", "m")
    (tmp_path / "repository" / "m" / "2").symlink_to(tmp_path / "outside")
    assert list(version_directories(directory_of(tmp_path / "repository"))) == [1]


@pytest.mark.parametrize(
    ("policy", "versions"),
    [
        (VersionPolicy(), (12,)),
        (VersionPolicy(latest=2), (3, 12)),
        (VersionPolicy(latest=9), (1, 3, 12)),
        (VersionPolicy(latest=0), ()),
        (VersionPolicy(latest=None, all=True), (1, 3, 12)),
        (VersionPolicy(latest=None, specific=(12, 1, 5)), (1, 12)),
        (VersionPolicy(latest=None, specific=()), ()),
    ],
)
def test_the_version_policy_chooses(policy: VersionPolicy, versions: tuple[int, ...]) -> None:
    """Latest by number, all, or those that are named and there."""
    assert versions_to_load(policy, [3, 12, 1]) == versions


def test_autocomplete_looks_into_the_version_that_comes_first_by_name(tmp_path: Path) -> None:
    """Of versions 2 and 10, 10 comes first by name."""
    write_model(tmp_path, "m", versions=(2, 10), files={"2/model.py": "", "10/model.savedmodel/saved_model.pb": ""})
    assert first_version_entries(version_directories(directory_of(tmp_path))) == {"model.savedmodel": True}
    assert first_version_entries({}) == {}


def test_a_file_is_read_when_it_lies_where_it_should(tmp_path: Path) -> None:
    """Text of up to the limit comes back as it is."""
    (tmp_path / "a.txt").write_bytes("Schuhe für Ärzte\r\n".encode())
    assert read_text(tmp_path / "a.txt", within=tmp_path, limit_bytes=20, what="file") == "Schuhe für Ärzte\r\n"


def test_a_file_that_is_not_there_is_told_apart(tmp_path: Path) -> None:
    """A missing file may be no error, so it is raised as what it is."""
    with pytest.raises(FileNotFoundError):
        read_text(tmp_path / "a.txt", within=tmp_path, limit_bytes=1, what="file")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"12345", "the file is too long; expected at most 4 bytes"),
        (b"ab\xff", "the file is not UTF-8: byte 2 is 0xff"),
    ],
)
def test_a_file_that_is_too_long_or_no_text_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    """What is read is bounded before it is decoded."""
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(InvalidArgumentError) as caught:
        read_text(tmp_path / "a.txt", within=tmp_path, limit_bytes=4, what="the file")
    assert caught.value.message == message


@pytest.mark.parametrize("path", ["../secret.txt", "link.txt", "/etc/hostname"])
def test_a_file_outside_is_not_read(tmp_path: Path, path: str) -> None:
    """Neither dots nor links nor an absolute path lead out of the directory."""
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "secret.txt").write_text("secret")
    (inside / "link.txt").symlink_to(tmp_path / "secret.txt")
    with pytest.raises(InvalidArgumentError, match="file is outside its directory"):
        read_text(inside / path, within=inside, limit_bytes=100, what="file")


def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    """A pipe that nobody writes to would keep the server waiting for ever."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(InvalidArgumentError, match="not a regular file"):
        read_text(tmp_path / "pipe", within=tmp_path, limit_bytes=100, what="file")
    with pytest.raises(InvalidArgumentError, match="not a regular file"):
        read_text(tmp_path, within=tmp_path, limit_bytes=100, what="file")
    with pytest.raises(InvalidArgumentError, match="cannot be read"):
        read_text(tmp_path / "loop", within=tmp_path, limit_bytes=100, what="file")
    with pytest.raises(InvalidArgumentError, match="cannot be read"):
        read_text(tmp_path / "a\0b", within=tmp_path, limit_bytes=100, what="file")


def test_a_link_deep_in_a_model_that_leads_out_is_refused(tmp_path: Path) -> None:
    """A model may link to its neighbours' files, and to nothing outside the repository."""
    repository = tmp_path / "repository"
    write_model(repository, "m", files={"1/weights/a.bin": ""})
    write_model(repository, "n", files={"1/b.bin": ""})
    (repository / "m" / "1" / "weights" / "b.bin").symlink_to(repository / "n" / "1" / "b.bin")
    refuse_escaping_links(directory_of(repository))
    (repository / "m" / "1" / "weights" / "c.bin").symlink_to("/etc/passwd")
    with pytest.raises(InvalidArgumentError) as caught:
        refuse_escaping_links(directory_of(repository))
    assert caught.value.message == "'1/weights/c.bin' of model 'm' leads out of the model repository"
