"""One untrained run and its repositories, shared by the tests of this room."""

from pathlib import Path

import pytest

from aisle_training.export.exporter import export_run
from aisle_training.runs import RunFolder
from tests.support.untrained_run import write_untrained_run


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A complete run folder."""
    return write_untrained_run(tmp_path_factory.mktemp("run") / "run")


@pytest.fixture(scope="session")
def onnx_repository(run: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run exported as ONNX."""
    repository = tmp_path_factory.mktemp("onnx") / "model_repository"
    export_run(run, repository)
    return repository


@pytest.fixture(scope="session")
def savedmodel_repository(run: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run exported as SavedModels."""
    repository = tmp_path_factory.mktemp("savedmodel") / "model_repository"
    export_run(run, repository, file_format="savedmodel")
    return repository
