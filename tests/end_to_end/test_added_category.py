"""A new category from a few examples: through the shell, the exported repository and a served answer."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image, ImageDraw

from aisle_cli.__main__ import main
from aisle_client import Categorizer
from tests.end_to_end.conftest import Trained, aisle
from tests.support.drawn_catalogue import DrawnProduct, write_catalogue
from tests.support.server_process import running_server

PATH = ("Sports", "Balls")


def _ball(number: int) -> DrawnProduct:
    picture = Image.new("RGB", (64, 64), "black")
    ImageDraw.Draw(picture).ellipse((8, 8 + number % 5, 52, 52 + number % 5), fill=(250, 250, 60 + number))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=90)
    return DrawnProduct(f"ball{number}", f"bouncing rubber ball, size {number}", PATH, file.getvalue())


@pytest.fixture(scope="module")
def run(trained: Trained, tmp_path_factory) -> Path:
    """A copy of the trained run."""
    return Path(shutil.copytree(trained.run, tmp_path_factory.mktemp("added") / "run"))


@pytest.fixture(scope="module")
def balls(tmp_path_factory) -> Path:
    """A catalogue of twelve balls."""
    folder = tmp_path_factory.mktemp("balls")
    table = write_catalogue(folder, [_ball(number) for number in range(12)])
    columns = ["--title-column", "title", "--category-column", "department", "--category-column", "type"]
    aisle("catalogue", "import", table, "--pictures", folder / "pictures", "-o", folder / "catalogue", *columns)
    return folder / "catalogue"


def test_a_category_is_added_and_served(run: Path, balls: Path, tmp_path: Path):
    """Eight examples are enough for the served models to find a ninth; the cost is printed, and `list` and `remove` tell."""
    name = " > ".join(PATH)
    printed = aisle("category", "add", run, "--category", name, "--examples", balls, "--count", "8")
    lines = printed.splitlines()
    # Before the table stands what the progress of decoding leaves behind.
    start = next(place for place, line in enumerate(lines) if line.startswith("---")) + 1
    rows = {line[:20].strip(): line[20:].split() for line in lines[start : start + 3]}
    assert set(rows) == {"picture and title", "picture alone", "title alone"}
    learnt, before, after, new, found = rows["picture and title"]
    assert int(learnt) > 0
    assert int(new) == 4
    assert float(after) >= float(before) - 0.1
    assert float(found) >= 0.75
    assert aisle("category", "list", run).split() == ["8", "examples", *name.split()]
    aisle("export", run, "--model-repository", tmp_path / "models")
    with running_server(tmp_path / "models") as server, Categorizer(server.grpc) as categorizer:
        ball = _ball(50)
        assert categorizer.categorize(ball.title, ball.picture).best.path == PATH
    aisle("category", "remove", run, "--category", name)
    assert aisle("category", "list", run) == ""


@pytest.mark.parametrize(
    ("name", "count", "text"),
    [
        ("Sports > Balls", "4", "4 of 4 examples have anything that can be read, expected 5 or more"),
        ("Sports > Skis", "5", "holds no product of 'Sports > Skis'"),
        ("Sports > ", "5", "has an empty name"),
    ],
)
def test_what_cannot_be_added(run: Path, balls: Path, name: str, count: str, text: str):
    """Too few examples, none at all, and a path that is none, are refused, and the run stays as it was."""
    arguments = ["category", "add", str(run), "--category", name, "--examples", str(balls), "--count", count]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code != 0
    assert text in done.output
    assert not (run / "added_categories.npz").exists()


def test_a_learnt_category(run: Path, trained: Trained):
    """A category that the run has learnt cannot be added to it."""
    arguments = ["category", "add", str(run), "--category", "Home > Clocks", "--examples", str(trained.catalogue)]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 1
    assert "has learnt Home > Clocks already" in done.output
