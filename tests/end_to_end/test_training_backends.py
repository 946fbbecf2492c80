"""The whole training on Keras' TensorFlow and JAX backends, each in a process of its own: a backend is chosen once."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from aisle_training.commands.catalogue import catalogue as catalogue_command
from aisle_training.commands.evaluate import evaluate as evaluate_command
from aisle_training.commands.train import train as train_command
from aisle_training.recipes.registry import load_recipe
from aisle_training.runs import RunFolder
from tests.support.drawn_catalogue import CATEGORIES, draw_products, write_catalogue

TRAIN_AND_PREDICT = """
import sys
from pathlib import Path
import numpy as np
from aisle_training.commands.train import train
from aisle_training.runs import RunFolder
catalogue, run, predictions = sys.argv[1:]
train(["tiny", "--catalogue", catalogue, "--output", run], standalone_mode=False)
pixels = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
np.save(predictions, RunFolder(Path(run)).load_classifier("image_classifier").predict(pixels)["PROBABILITIES"])
"""


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drawn catalogue of four categories, imported and split; one product has lost its picture, one its title."""
    folder = tmp_path_factory.mktemp("drawn")
    table = write_catalogue(folder / "source", draw_products(per_category=40))
    (folder / "source/pictures/7.jpg").unlink()
    lines = table.read_text(encoding="utf-8").splitlines()
    lines[50] = f"50,,{lines[50].split(',', 2)[2]}"
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    target = str(folder / "catalogue")
    columns = ["--category-column", "department", "--category-column", "type"]
    source = ["import", str(table), "--pictures", str(folder / "source/pictures"), "-o", target]
    catalogue_command([*source, *columns], standalone_mode=False)
    catalogue_command(["split", target, "-o", f"{target}/splits.csv"], standalone_mode=False)
    return Path(target)


@pytest.fixture(scope="module", params=["tensorflow", "jax"])
def trained(request: pytest.FixtureRequest, catalogue: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tiny recipe trained on one of the backends, and what its image classifier says there."""
    folder = tmp_path_factory.mktemp(request.param)
    subprocess.run(
        [sys.executable, "-c", TRAIN_AND_PREDICT, catalogue, folder / "run", folder / "predictions.npy"],
        env={**os.environ, "KERAS_BACKEND": request.param, "JAX_PLATFORMS": "cpu"},
        check=True,
        timeout=280,
    )
    assert json.loads((folder / "run/data.json").read_text())["backend"] == request.param
    return folder


def test_run_is_whole_and_learnt(trained: Path):
    """A training on either backend leaves the whole run behind, and classifiers that have learnt something."""
    run = RunFolder(trained / "run")
    assert run.labels() == sorted(CATEGORIES)
    assert run.recipe() == load_recipe("tiny")
    assert not run.checkpoints_path.exists()
    for classifier in run.recipe().classifiers:
        assert list(run.logs_path(classifier).rglob("events.out.*"))
        lines = run.history_path(classifier).read_text().splitlines()
        column = lines[0].split(",").index("val_accuracy")
        assert max(float(line.split(",")[column]) for line in lines[1:]) > 0.5
    assert set(json.loads(run.calibration_path.read_text())) == {
        "image_classifier",
        "title_classifier",
        "fusion_classifier/picture and title",
        "fusion_classifier/picture alone",
        "fusion_classifier/title alone",
    }


def test_saved_classifier_says_the_same_on_tensorflow(trained: Path):
    """What was trained on either backend is loaded on TensorFlow, which exports it, and gives the same answers."""
    pixels = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    classifier = RunFolder(trained / "run").load_classifier("image_classifier")
    probabilities = classifier.predict(pixels, verbose=0)["PROBABILITIES"]
    np.testing.assert_allclose(probabilities, np.load(trained / "predictions.npy"), atol=1e-4)


def test_evaluation_beside_the_baseline(trained: Path, catalogue: Path):
    """`aisle evaluate` prints each classifier and the baselines with their rows, and writes both files."""
    result = CliRunner().invoke(evaluate_command, [str(trained / "run")])
    assert result.exit_code == 0, result.output
    evaluation = json.loads((trained / "run/evaluation.json").read_text())
    split = [line.split(",") for line in (catalogue / "splits.csv").read_text().splitlines()]
    test = {product for product, name in split if name == "test"}
    with_picture, with_title = len(test - {"7"}), len(test - {"50"})
    clean = [figures for figures in evaluation["figures"] if figures["condition"] == "as it is"]
    assert [(figures["model"], figures["inputs"], figures["rows"]) for figures in clean] == [
        ("fusion_classifier", "picture and title", len(test - {"7", "50"})),
        ("fusion_classifier", "picture alone", with_picture),
        ("fusion_classifier", "title alone", with_title),
        ("image_classifier", "picture", with_picture),
        ("title_classifier", "title", with_title),
        ("linear model on 16x16 thumbnails", "picture", with_picture),
        ("TF-IDF + linear SVM", "title", with_title),
        ("linear models together", "picture and title", len(test - {"7", "50"})),
        ("most frequent category", "nothing", len(test)),
    ]
    for figures in clean[:-1]:
        assert f"{figures['accuracy']:.4f}" in result.output
        assert figures["accuracy"] > 0.4
    disturbed = [figures for figures in evaluation["figures"] if figures not in clean]
    assert all(figures["rows"] <= len(test - {"7", "50"}) and figures["clean_accuracy"] > 0.4 for figures in disturbed)
    both = evaluation["breakdowns"][0]
    assert sum(rows for _, _, rows in both["confusion"]) == len(test - {"7", "50"})


def test_used_folder_is_not_written_over(trained: Path, catalogue: Path):
    """A run folder that is in use is left alone unless it is to be resumed, and then only with the same recipe."""
    options = ["tiny", "--catalogue", str(catalogue), "-o", str(trained / "run")]
    refused = CliRunner().invoke(train_command, options)
    assert refused.exit_code == 1
    assert "already holds a run: go on with it (--resume)" in refused.output
    other = CliRunner().invoke(train_command, [*options, "--resume", "--epochs", "7"])
    assert other.exit_code == 1
    assert "another recipe or other options" in other.output


def test_lost_step_is_trained_again(trained: Path, catalogue: Path, tmp_path: Path):
    """A resumed run does what is not done yet and leaves alone what is."""
    run = RunFolder(tmp_path / "run")
    shutil.copytree(trained / "run", run.path)
    run.classifier_path("fusion_classifier").unlink()
    before = run.classifier_path("image_classifier").stat().st_mtime_ns
    options = ["tiny", "--catalogue", str(catalogue), "-o", str(run.path), "--resume"]
    result = CliRunner().invoke(train_command, options)
    assert result.exit_code == 0, result.output
    assert run.classifier_path("fusion_classifier").is_file()
    assert run.classifier_path("image_classifier").stat().st_mtime_ns == before


def test_wrong_options_are_named():
    """An unknown recipe and missing weights are refused before anything is read."""
    here = ["--catalogue", ".", "-o", "never-made"]
    unknown = CliRunner().invoke(train_command, ["fashoin", *here])
    assert "unknown recipe 'fashoin', expected one of fashion," in unknown.output
    weights = CliRunner().invoke(train_command, ["tiny", *here, "--weights", "nowhere.h5"])
    assert "'nowhere.h5' is no file, nor none or imagenet" in weights.output


def test_transformer_can_be_chosen(tmp_path: Path):
    """A recipe may ask for a Transformer: it is saved whole, and padding has no influence on a title."""
    from aisle_training.models.title_classifier import TitleClassifier

    model = TitleClassifier(4, 50, 12, network="transformer", token_size=16, filters=32, embedding_size=8)
    token_ids = np.zeros((2, 12), dtype=np.int32)
    token_ids[0, :4] = (7, 8, 9, 10)
    before = model.predict(token_ids, verbose=0)["EMBEDDING"]
    embedding = model.get_layer("transformer").get_layer("embedding").token_embedding
    vectors = embedding.get_weights()[0]
    vectors[0] = 100.0
    embedding.set_weights([vectors])
    run = RunFolder(tmp_path)
    run.save_classifier("title_classifier", model)
    after = run.load_classifier("title_classifier").predict(token_ids, verbose=0)["EMBEDDING"]
    np.testing.assert_allclose(after, before, atol=1e-5)
