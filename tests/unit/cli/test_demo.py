"""`aisle demo`: what it refuses before anything starts."""

import importlib.util

import pytest
from click.testing import CliRunner

from aisle_cli.__main__ import main


@pytest.fixture(autouse=True)
def _signals():
    import signal

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "There is no folder model_repository here"),
        (["--model-repository", "no"], "does not exist"),
        (["--server", "127.0.0.1:1", "--model-repository", "."], "is for one to start"),
        (["--port", "70000"], "not in the range"),
    ],
)
def test_usage(arguments, text, tmp_path, monkeypatch):
    """A folder that is not there, and two servers at once, are usage errors."""
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["demo", *arguments])
    assert done.exit_code == 2
    assert text in done.output


@pytest.mark.parametrize("missing", ["gradio", "onnxruntime"])
def test_a_missing_extra(missing, tmp_path, monkeypatch):
    """Without the page's packages or the server's, nothing starts and the line that installs both is printed."""
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == missing else find_spec(name))
    done = CliRunner().invoke(main, ["demo", "--model-repository", str(tmp_path)])
    assert done.exit_code == 2
    assert "pip install 'aisle[server,demo]'" in done.stderr.splitlines()
    assert missing in done.stderr
