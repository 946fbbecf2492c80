"""Golden files: what the exporter asked the trained networks, asked of a server."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from aisle_cli.__main__ import main
from aisle_client import GoldenError, InferenceClient, golden_files, replay
from aisle_training.export.exporter import export_run
from tests.support.server_process import ServerProcess, running_server
from tests.support.untrained_run import write_untrained_run

ROOT = Path(__file__).parents[2]
MODELS = {
    *("image_preprocess", "image_classifier", "image_categorizer"),
    *("title_preprocess", "title_classifier", "title_categorizer"),
    *("fusion_classifier", "product_categorizer"),
}


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> Path:
    """An untrained run, exported."""
    folder = tmp_path_factory.mktemp("golden")
    export_run(write_untrained_run(folder / "run"), folder / "models")
    return folder / "models"


@pytest.fixture(scope="module")
def server(repository: Path) -> Iterator[ServerProcess]:
    """The exported run, served."""
    with running_server(repository) as server:
        yield server


def test_the_server_answers_as_the_trained_networks(server: ServerProcess, repository: Path):
    """Every exported model, preprocessing and ensembles too, answers its golden requests as the Keras networks did."""
    files = golden_files(repository)
    assert set(files) == MODELS
    with InferenceClient(server.grpc) as client:
        assert [replay(client, model, path).requests for model, path in files.items()] == [4] * len(files)


@pytest.mark.parametrize("model", ["image_preprocess", "title_classifier", "product_categorizer"])
def test_an_answer_that_differs(server: ServerProcess, repository: Path, tmp_path: Path, model: str):
    """A model that answers otherwise than its golden file, by one element, is found out."""
    content = json.loads((repository / model / "golden.json").read_text())
    spelled = next(iter(content["validation_data"][-1].values()))
    elements = bytearray(base64.b64decode(spelled["content"]["b64"]))
    elements[3] ^= 0x3F
    spelled["content"]["b64"] = base64.b64encode(bytes(elements)).decode()
    (tmp_path / "golden.json").write_text(json.dumps(content))
    with InferenceClient(server.grpc) as client, pytest.raises(GoldenError, match="in golden request 3, expected"):
        replay(client, model, tmp_path / "golden.json")


@pytest.mark.parametrize(
    "text", ["", "[]", '{"data": [], "validation_data": []}', '{"data": [{}], "validation_data": []}']
)
def test_a_file_that_is_none(server: ServerProcess, tmp_path: Path, text: str):
    """A file of another kind is refused as such."""
    (tmp_path / "golden.json").write_text(text)
    with InferenceClient(server.grpc) as client, pytest.raises(GoldenError, match="is no golden file"):
        replay(client, "title_classifier", tmp_path / "golden.json")


@pytest.mark.parametrize(
    ("tensor", "spelled", "text"),
    [
        ("NOTHING", {"content": {"b64": ""}, "shape": [1]}, "does not have: it has TOKEN_IDS"),
        ("TOKEN_IDS", {"content": {"b64": "="}, "shape": [1]}, "cannot be read"),
        ("TOKEN_IDS", {"content": {"b64": "AAAA"}, "shape": [2]}, "cannot be read"),
        ("TOKEN_IDS", {"content": [1]}, "cannot be read"),
    ],
)
def test_a_tensor_that_cannot_be_read(server: ServerProcess, tmp_path: Path, tensor: str, spelled, text: str):
    """A tensor that the model does not have, or that is spelled otherwise, is refused before anything is asked."""
    content = {"data": [{tensor: spelled}], "validation_data": [{}]}
    (tmp_path / "golden.json").write_text(json.dumps(content))
    with InferenceClient(server.grpc) as client, pytest.raises(GoldenError, match=text):
        replay(client, "title_classifier", tmp_path / "golden.json")


def test_the_shell_verifies_a_repository(repository: Path, tmp_path: Path):
    """`aisle export --verify` serves a repository and names each model that answers right, or the first that does not."""
    models = tmp_path / "models"
    shutil.copytree(repository, models)
    done = CliRunner().invoke(main, ["export", "--verify", "--model-repository", str(models)])
    assert done.exit_code == 0, done.output
    assert {line.split()[0] for line in done.output.splitlines() if "golden requests" in line} == MODELS
    # Other weights under the same names.
    labels = (models / "title_classifier" / "labels.txt").read_text().splitlines()
    golden = json.loads((models / "title_classifier" / "golden.json").read_text())
    for answer in golden["validation_data"]:
        probabilities = np.full(len(labels), 1 / len(labels), "<f4")
        answer["PROBABILITIES"]["content"]["b64"] = base64.b64encode(probabilities.tobytes()).decode()
    (models / "title_classifier" / "golden.json").write_text(json.dumps(golden))
    done = CliRunner().invoke(main, ["export", "--verify", "--model-repository", str(models)])
    assert done.exit_code == 1
    assert "PROBABILITIES of 'title_classifier' differs" in done.output


def test_a_repository_without_golden_files(tmp_path: Path):
    """There is nothing to verify in a repository that another tool wrote, and that is an error."""
    done = CliRunner().invoke(main, ["export", "--verify", "--model-repository", str(tmp_path)])
    assert done.exit_code == 1
    assert "holds no golden file" in done.output


def test_the_shipped_repository_is_golden():
    """Each model that ships has its golden file, and is served as it was trained."""
    repository = ROOT / "model_repository"
    files = golden_files(repository)
    assert set(files) == MODELS
    with running_server(repository) as server, InferenceClient(server.grpc) as client:
        for model, path in files.items():
            replay(client, model, path)
