"""`aisle`: a table of commands that loads what is called, and says how to install what is missing."""

import importlib
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from aisle_cli.__main__ import COMMANDS, Entry, LazyGroup, main


def test_help_names_every_command():
    """`aisle --help` lists each command of the table with its line."""
    shown = CliRunner().invoke(main, ["--help"]).output
    for name, entry in COMMANDS.items():
        assert f"  {name} " in shown
        assert entry.help in " ".join(shown.split())


@pytest.mark.parametrize("name", COMMANDS)
def test_a_line_of_the_table_is_its_commands_own(name):
    """The table says of a command what the command says of itself."""
    module, _, attribute = COMMANDS[name].target.partition(":")
    command = getattr(importlib.import_module(module), attribute)
    assert COMMANDS[name].help == command.get_short_help_str(limit=200)
    assert command.name == name


def test_help_imports_click_alone():
    """Opening the help loads no NumPy, no gRPC and none of our other packages: it opens at once."""
    code = (
        "import sys; from aisle_cli.__main__ import main; main(['--help'], standalone_mode=False);"
        "print('loaded:', *sorted({name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    loaded = set(done.stdout.rpartition("loaded:")[2].split())
    assert not loaded & {
        "numpy",
        "grpc",
        "google",
        "gradio",
        "tensorflow",
        "aisle_client",
        "aisle_server",
        "aisle_training",
    }
    assert {"click", "aisle_cli"} <= loaded


@pytest.fixture
def shell(tmp_path, monkeypatch):
    """Makes a shell of one command, `work`, whose module holds the given code."""
    monkeypatch.syspath_prepend(tmp_path)

    def make(code, extra="training"):
        (tmp_path / "aisle_probe.py").write_text("import click\n" + code)
        monkeypatch.delitem(sys.modules, "aisle_probe", raising=False)
        return LazyGroup(name="aisle", entries={"work": Entry("aisle_probe:work", "Work.", extra)})

    return make


@pytest.mark.parametrize(
    "code",
    [
        "import no_such_package.part\n",
        "@click.command()\ndef work():\n    import no_such_package\n",
    ],
    ids=["while loading", "while running"],
)
def test_a_missing_extra(shell, code):
    """A package that is not installed is answered with exactly the line that installs it, and exit 2."""
    done = CliRunner().invoke(shell(code), ["work"])
    assert done.exit_code == 2
    assert "pip install 'aisle[training]'" in done.stderr.splitlines()
    assert "no_such_package" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("code", "extra"),
    [
        ("import no_such_package\n", ""),
        ("import aisle_no_such_room\n", "training"),
        ("raise ModuleNotFoundError('?')\n", "training"),
    ],
    ids=["base install", "ours", "nameless"],
)
def test_a_broken_install(shell, code, extra):
    """What no extra would mend is not blamed on one."""
    done = CliRunner().invoke(shell(code, extra), ["work"])
    assert isinstance(done.exception, ModuleNotFoundError)
    assert "pip install" not in done.output


def test_a_command_runs(shell):
    """A command of the table runs as it would alone, with its own exit status."""
    group = shell("@click.command()\n@click.argument('n', type=int)\ndef work(n):\n    raise SystemExit(n)\n")
    assert CliRunner().invoke(group, ["work", "7"]).exit_code == 7


def test_an_unknown_command():
    """A command that does not exist is a usage error."""
    done = CliRunner().invoke(main, ["shelve"])
    assert done.exit_code == 2
    assert "No such command 'shelve'" in done.output


def test_nothing_asked():
    """`aisle` alone shows the help."""
    assert "Commands:" in CliRunner().invoke(main, []).output


def test_version():
    """`aisle --version` prints one line."""
    done = CliRunner().invoke(main, ["--version"])
    assert done.exit_code == 0
    assert done.output.startswith("aisle ")
    assert done.output.count("\n") == 1


def test_every_extra_of_the_table_exists():
    """The extras that the table tells users to install are those of the distribution."""
    import tomllib

    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    named = {extra for entry in COMMANDS.values() for extra in entry.extra.split(",") if extra}
    assert named <= set(project["optional-dependencies"])
    assert project["scripts"]["aisle"] == "aisle_cli.__main__:main"
    assert isinstance(main, click.Group)
