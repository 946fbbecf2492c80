"""`aisle categorize` and `aisle status`: what cannot be asked is a usage error, before any call."""

import pytest
from click.testing import CliRunner

from aisle_client.commands import categorize, status


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "Give a product"),
        (["catalogue.csv"], "-o"),
        (["--title", "a", "-o", "out.csv"], "-o"),
        (["catalogue.csv", "-o", "out.csv", "--title", "a"], "Give a product"),
        (["no.csv", "-o", "out.csv"], "does not exist"),
        (["--image", "no.jpg"], "does not exist"),
        (["--title", "a", "--top", "0"], "not in the range"),
    ],
)
def test_usage(arguments, text, tmp_path, monkeypatch):
    """A command line that names no product, or half of a catalogue's run, exits with 2 and says what to give."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "catalogue.csv").write_text("id,title\n")
    done = CliRunner().invoke(categorize, arguments)
    assert done.exit_code == 2
    assert text in done.output
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        (categorize, ["--title", "a", "--server", "http://x:1"]),
        (categorize, ["--title", " "]),
        (status, ["--server", "a b"]),
    ],
)
def test_errors_are_one_line(command, arguments):
    """What the client refuses is one line and exit 1, without a trace."""
    done = CliRunner().invoke(command, arguments)
    assert done.exit_code == 1
    assert done.output.startswith("Error: ")
    assert done.output.count("\n") == 1
