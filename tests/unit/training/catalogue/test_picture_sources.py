"""Finding pictures in folders and archives that nobody vouches for."""

import os
import tarfile
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aisle_training.catalogue import picture_sources
from aisle_training.catalogue.errors import CatalogueError
from aisle_training.catalogue.picture_sources import FoundPicture, RefusedPicture, open_pictures, relative_name
from tests.unit.training.catalogue.drawing import write_tar


def link(kind: bytes, target: str) -> tarfile.TarInfo:
    """Make a member that is a link or a device."""
    member = tarfile.TarInfo()
    member.type, member.linkname = kind, target
    return member


@given(st.text("ab./\\\0 ", max_size=12))
@example("../x")
@example("a/../../x")
@example("..\\x")
@example("/etc/passwd")
def test_names_lead_down_only(text: str) -> None:
    """A name that is accepted leads down from where it starts, and is its own normal form."""
    name = relative_name(text)
    if name is not None:
        assert not {"..", ".", ""} & set(name.split("/"))
        assert "\0" not in name
        assert relative_name(name) == name


@pytest.mark.parametrize("text", ["", ".", "/", "../x", "a/../x", "/x", "\\x", "..\\x", "a\0b", "a" * 1025])
def test_names_that_are_refused(text: str) -> None:
    """Names that lead up or start at a root are refused, and so are empty and endless ones."""
    assert relative_name(text) is None


def test_names_that_are_one() -> None:
    """Names that differ in `.`, doubled slashes and backslashes are one."""
    assert {relative_name(text) for text in ("a/b.jpg", "./a//b.jpg", "a\\b.jpg")} == {"a/b.jpg"}


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_tar_with_a_leading_folder(tmp_path: Path, mode: str) -> None:
    """An archive, compressed or not, gives a picture by its name, also without the folder that all are in."""
    path = write_tar(tmp_path / "pictures.tar", [("./images/1.jpg", b"one"), ("images/a/2.jpg", b"two")], mode)
    found = list(open_pictures(path).read(["a/2.jpg", "images/1.jpg", "3.jpg"]))
    assert found == [FoundPicture("images/1.jpg", b"one"), FoundPicture("a/2.jpg", b"two")]


def test_tar_only_the_leading_folder_is_left_out(tmp_path: Path) -> None:
    """A picture of the same name in another folder is not taken for the one that is wanted."""
    path = write_tar(tmp_path / "pictures.tar", [("images/2.jpg", b"two"), ("thumbs/1.jpg", b"small")])
    assert list(open_pictures(path).read(["1.jpg", "2.jpg"])) == [FoundPicture("2.jpg", b"two")]


def test_tar_first_of_two_counts(tmp_path: Path) -> None:
    """Of two members with one name the first counts, and it comes once."""
    path = write_tar(tmp_path / "pictures.tar", [("1.jpg", b"first"), ("1.jpg", b"second")])
    assert list(open_pictures(path).read(["1.jpg"])) == [FoundPicture("1.jpg", b"first")]


def test_hostile_tar(tmp_path: Path) -> None:
    """Members that lead out of the archive are passed over, links and devices refused, and nothing is extracted."""
    secret = tmp_path / "secret.jpg"
    secret.write_bytes(b"secret")
    path = write_tar(
        tmp_path / "pictures.tar",
        [
            ("../x.jpg", b"up"),
            ("/x.jpg", b"root"),
            ("a/../../x.jpg", b"up"),
            ("soft.jpg", link(tarfile.SYMTYPE, str(secret))),
            ("hard.jpg", link(tarfile.LNKTYPE, "../secret.jpg")),
            ("device.jpg", link(tarfile.CHRTYPE, "")),
            ("pipe.jpg", link(tarfile.FIFOTYPE, "")),
            ("folder.jpg", link(tarfile.DIRTYPE, "")),
            ("good.jpg", b"good"),
        ],
    )
    refused = ["soft.jpg", "hard.jpg", "device.jpg", "pipe.jpg", "folder.jpg"]
    found = list(open_pictures(path).read(["x.jpg", *refused, "good.jpg"]))
    assert found == [
        *(RefusedPicture(name, "it is no regular file") for name in refused),
        FoundPicture("good.jpg", b"good"),
    ]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["pictures.tar", "secret.jpg"]


@pytest.mark.parametrize("kind", ["folder", "tar"])
def test_too_large_a_picture(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture file above the cap is refused, one at the cap is not."""
    monkeypatch.setattr(picture_sources, "MAX_PICTURE_BYTES", 1 << 20)
    pictures = [("large.jpg", bytes((1 << 20) + 1)), ("good.jpg", bytes(1 << 20))]
    path = tmp_path / kind
    if kind == "tar":
        write_tar(path, pictures)
    else:
        path.mkdir()
        for name, content in pictures:
            (path / name).write_bytes(content)
    large, good = open_pictures(path).read(["large.jpg", "good.jpg"])
    assert large == RefusedPicture("large.jpg", "it has more than 1 MiB")
    assert isinstance(good, FoundPicture)


def test_folder_is_left_by_no_link(tmp_path: Path) -> None:
    """A link out of the folder, a pipe, a loop and a folder are refused; a link within the folder is followed."""
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    folder = tmp_path / "pictures"
    (folder / "sub.jpg").mkdir(parents=True)
    (folder / "1.jpg").write_bytes(b"one")
    (folder / "out.jpg").symlink_to(tmp_path / "secret.jpg")
    (folder / "in.jpg").symlink_to("1.jpg")
    (folder / "loop.jpg").symlink_to("loop.jpg")
    os.mkfifo(folder / "pipe.jpg")
    wanted = ["1.jpg", "in.jpg", "missing.jpg", "1.jpg/x", "out.jpg", "pipe.jpg", "sub.jpg", "loop.jpg"]
    *found, loop = open_pictures(folder).read(wanted)
    assert found == [
        FoundPicture("1.jpg", b"one"),
        FoundPicture("in.jpg", b"one"),
        RefusedPicture("out.jpg", "it is a link out of the folder"),
        RefusedPicture("pipe.jpg", "it is no regular file"),
        RefusedPicture("sub.jpg", "it is no regular file"),
    ]
    assert isinstance(loop, RefusedPicture)


def test_damaged_archive(tmp_path: Path) -> None:
    """An archive that breaks off is an error, not a shop with fewer pictures."""
    path = write_tar(tmp_path / "pictures.tgz", [(f"{n}.jpg", os.urandom(5000)) for n in range(20)], "w:gz")
    path.write_bytes(path.read_bytes()[:40_000])
    with pytest.raises(CatalogueError, match="is damaged"):
        list(open_pictures(path).read([f"{n}.jpg" for n in range(20)]))


def test_neither_folder_nor_archive(tmp_path: Path) -> None:
    """What is neither a folder nor an archive holds no pictures."""
    path = tmp_path / "pictures.zip"
    path.write_bytes(b"PK")
    with pytest.raises(CatalogueError, match="expected a folder or a tar archive"):
        open_pictures(path)
