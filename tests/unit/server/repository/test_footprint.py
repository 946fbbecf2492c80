"""What a model directory looks like from outside."""

from __future__ import annotations

import os
from pathlib import Path

from aisle_server.repository.footprint import Footprint, take_footprint
from aisle_server.repository.layout import scan
from tests.support.model_directories import write_model


def footprint_of(repository: Path) -> Footprint:
    """The footprint of the only model."""
    (directory,) = scan([repository])["m"]
    return take_footprint(directory)


def test_the_time_of_a_model_is_that_of_its_youngest_file(tmp_path: Path) -> None:
    """Whatever changes in a model directory, however deep, makes the model newer."""
    path = write_model(tmp_path, "m", files={"1/weights/a.bin": ""})
    future_ns = 2**62
    os.utime(path / "1" / "weights" / "a.bin", ns=(future_ns, future_ns))
    assert footprint_of(tmp_path).modified_ns == future_ns
    os.utime(path / "config.pbtxt", ns=(future_ns + 1000, future_ns + 1000))
    assert footprint_of(tmp_path).modified_ns == future_ns + 1000


def test_a_change_is_known_by_the_part_it_is_in(tmp_path: Path) -> None:
    """A version is the same while nothing in or below its directory is another, older files included."""
    path = write_model(tmp_path, "m", versions=(1, 2), files={"1/weights/a.bin": "", "labels.txt": "x"})
    before = footprint_of(tmp_path)
    assert footprint_of(tmp_path) == before
    (path / "config.pbtxt").write_text("other")
    os.utime(path / "1" / "weights" / "a.bin", ns=(0, 0))
    after = footprint_of(tmp_path)
    assert not after.has_same_part(before, "1")
    assert after.has_same_part(before, "2")
    assert not after.has_same_part(before, "3")
    assert after.has_same_files_beside(before)
    (path / "labels.txt").write_text("other")
    assert not footprint_of(tmp_path).has_same_files_beside(before)


def test_a_link_to_nowhere_has_no_time(tmp_path: Path) -> None:
    """What cannot be looked at is left out."""
    path = write_model(tmp_path, "m")
    (path / "1" / "lost").symlink_to(path / "nothing")
    assert footprint_of(tmp_path).modified_ns > 0
