"""Files that come with the load of a model."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from aisle_server.errors import InvalidArgumentError
from aisle_server.repository.override import MAX_FILES, OverrideDirectory, write_override


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary directories are made in a test."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


async def test_files_lie_where_the_request_says_and_go_with_their_last_user(temporary: Path) -> None:
    """The directory is nobody else's to read, and is there as long as somebody keeps it."""
    files = {"1/model.py": b"code", "1/deep/er/w.bin": b"\0\xff", "labels.txt": b"", "2/../3/x": b"3"}
    override = write_override("m", files)
    root = override.directory.path
    assert {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()} == {
        "1/model.py": b"code",
        "1/deep/er/w.bin": b"\0\xff",
        "labels.txt": b"",
        "3/x": b"3",
    }
    (private,) = temporary.iterdir()
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    override.keep()
    await override.let_go()
    assert root.is_dir()
    await override.let_go()
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(
    "path",
    [
        "../model.py",
        "../../root/.bashrc",
        "1/../../model.py",
        "..",
        ".",
        "",
        "1/..",
        "/etc/passwd",
        "//etc/passwd",
        "1/a\0b",
        "..\\..\\model.py",
        "1/" + "x" * 256,
        "1/" + "ü" * 128,
        "a/" * 600 + "b",
        "\udc80/" + "\udcff" * 256,
    ],
)
def test_a_path_that_is_no_path_below_the_model_writes_nothing(temporary: Path, path: str) -> None:
    """A path that leads out, is no path, or is too long is refused before anything is written."""
    with pytest.raises(InvalidArgumentError):
        write_override("m", {"1/fine": b"", path: b"evil"})
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(
    "files",
    [
        {"1": b"", "1/model.py": b""},
        {"1/model.py": b"", "1": b""},
        {"1/model.py": b"one", "1/./model.py": b"other"},
        {str(number): b"" for number in range(MAX_FILES + 1)},
    ],
)
def test_files_that_contradict_each_other_leave_nothing_behind(temporary: Path, files: dict[str, bytes]) -> None:
    """A file that is a directory as well, one that comes twice, or far too many."""
    with pytest.raises(InvalidArgumentError):
        write_override("m", files)
    assert list(temporary.iterdir()) == []


def test_a_directory_that_cannot_be_removed_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What somebody else has removed holds nobody up."""
    OverrideDirectory("m", tmp_path / "gone").remove()
    assert "files of model 'm' cannot be removed" in caplog.text
