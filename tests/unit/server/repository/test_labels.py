"""Names of classes."""

from __future__ import annotations

from pathlib import Path

import pytest

from aisle_server.errors import InvalidArgumentError, UnsupportedError
from aisle_server.model_config.schema import ModelConfig, ModelOutput
from aisle_server.repository.labels import MAX_LABEL_FILE_BYTES, read_labels


def config(filename: str) -> ModelConfig:
    """A model whose output `y` has a label file, and whose output `z` has none."""
    return ModelConfig(
        "m", outputs=(ModelOutput("y", "FP32", (2,), label_filename=filename), ModelOutput("z", "FP32", (1,)))
    )


@pytest.mark.parametrize(
    ("content", "labels"),
    [
        ("shoes\nhats\n", ("shoes", "hats")),
        ("shoes\nhats", ("shoes", "hats")),
        (" shoes \n\nA > B\u2028C\r\n", (" shoes ", "", "A > B\u2028C\r")),
        ("", ()),
        ("\n", ("",)),
    ],
)
def test_a_label_is_a_line_and_nothing_is_trimmed(tmp_path: Path, content: str, labels: tuple[str, ...]) -> None:
    """The index of a class is the line of its label, counted by line feeds alone."""
    (tmp_path / "labels.txt").write_bytes(content.encode())
    assert read_labels(config("labels.txt"), tmp_path) == {"y": labels}


@pytest.mark.parametrize("filename", ["../labels.txt", "link.txt", "a/../../labels.txt", "/etc/passwd"])
def test_a_label_file_outside_the_model_directory_is_refused(tmp_path: Path, filename: str) -> None:
    """Neither dots nor links nor an absolute path lead out of the model directory."""
    directory = tmp_path / "m"
    directory.mkdir()
    (tmp_path / "labels.txt").write_text("secret")
    (directory / "link.txt").symlink_to(tmp_path / "labels.txt")
    with pytest.raises(UnsupportedError) as caught:
        read_labels(config(filename), directory)
    assert caught.value.message == (
        f"label file path '{filename}' for output 'y' in model 'm' is outside model directory"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "label file 'labels.txt' for output 'y' in model 'm' does not exist"),
        (b"a\n\xff", "label file 'labels.txt' for output 'y' in model 'm' is not UTF-8: byte 2 is 0xff"),
        (
            b"a" * (MAX_LABEL_FILE_BYTES + 1),
            "label file 'labels.txt' for output 'y' in model 'm' is too long; expected at most 16777216 bytes",
        ),
    ],
)
def test_a_label_file_that_cannot_be_read_is_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    """The text names the file, the output and the model."""
    if content is not None:
        (tmp_path / "labels.txt").write_bytes(content)
    with pytest.raises(InvalidArgumentError) as caught:
        read_labels(config("labels.txt"), tmp_path)
    assert caught.value.message == message


def test_a_label_file_name_with_a_nul_is_refused(tmp_path: Path) -> None:
    """A name that no file system knows is an error of the configuration, not of the server."""
    with pytest.raises(InvalidArgumentError, match="cannot be read"):
        read_labels(config("a\0b"), tmp_path)
