"""The whole way once, for every test here: a drawn catalogue, imported, split, trained for two epochs, exported in both formats."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.drawn_catalogue import DrawnProduct, draw_products, write_catalogue
from tests.support.server_process import ServerProcess, running_server


def aisle(*arguments: str | Path, timeout_s: float = 240) -> str:
    """Run the shell command and return what it printed; a failure shows all of it."""
    done = subprocess.run(
        [sys.executable, "-m", "aisle_cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert done.returncode == 0, f"aisle {arguments[0]} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


@dataclass(frozen=True)
class Trained:
    """What the way left behind."""

    products: list[DrawnProduct]
    catalogue: Path
    run: Path
    evaluation_table: str
    onnx: Path
    savedmodel: Path


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Walk from a CSV file to two model repositories, with the commands that the README gives."""
    folder = tmp_path_factory.mktemp("shop")
    products = draw_products()
    csv_path = write_catalogue(folder, products)
    catalogue, run = folder / "catalogue", folder / "run"
    columns = ["--title-column", "title", "--category-column", "department", "--category-column", "type"]
    aisle("catalogue", "import", csv_path, "--pictures", folder / "pictures", "-o", catalogue, *columns)
    aisle("catalogue", "split", catalogue, "-o", catalogue / "splits.csv", "--min-class", "8")
    aisle("train", "tiny", "--catalogue", catalogue, "--split", catalogue / "splits.csv", "-o", run)
    table = aisle("evaluate", run)
    for file_format in ("onnx", "savedmodel"):
        aisle("export", run, "--model-repository", folder / file_format, "--format", file_format)
    return Trained(products, catalogue, run, table, folder / "onnx", folder / "savedmodel")


@pytest.fixture(scope="session")
def onnx_server(trained: Trained) -> Iterator[ServerProcess]:
    """The ONNX repository, served."""
    with running_server(trained.onnx) as server:
        yield server


@pytest.fixture(scope="session")
def savedmodel_server(trained: Trained) -> Iterator[ServerProcess]:
    """The SavedModel repository, served."""
    with running_server(trained.savedmodel) as server:
        yield server
