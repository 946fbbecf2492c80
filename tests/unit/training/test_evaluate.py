"""What is measured of a run, and on which rows; the networks are scripts."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from aisle_training.answered_split import answer_test_split
from aisle_training.catalogue.catalogue import Catalogue
from aisle_training.commands.catalogue import catalogue as catalogue_command
from aisle_training.confidence.measuring import measure_confidence
from aisle_training.evaluate import evaluate
from aisle_training.evaluation.evaluation import CLEAN, Evaluation
from aisle_training.evaluation.table import format_table
from aisle_training.recipes.recipe import Recipe
from aisle_training.recipes.tiny import RECIPE
from tests.support.drawn_catalogue import draw_products, write_catalogue
from tests.support.scripted_run import ScriptedClassifier, ScriptedRun, write_scripted_run

BOTH, FUSION = "picture and title", "fusion_classifier"


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    """Twelve products of each of four categories; every fifth has no picture that can be read."""
    folder = tmp_path_factory.mktemp("shop")
    table = write_catalogue(folder, draw_products(per_category=12))
    for number in range(0, 48, 5):
        (folder / "pictures" / f"{number + 1}.jpg").unlink()
    columns = ["--title-column", "title", "--category-column", "department", "--category-column", "type"]
    place = str(folder / "catalogue")
    for arguments in (
        ["import", str(table), "--pictures", str(folder / "pictures"), "-o", place, *columns],
        ["split", place, "-o", f"{place}/splits.csv", "--min-class", "4", "--test", "0.4"],
    ):
        done = CliRunner().invoke(catalogue_command, arguments)
        assert done.exit_code == 0, done.output
    return Catalogue.open(folder / "catalogue")


@pytest.fixture(scope="module")
def evaluation(catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    """The evaluation of a run over pictures and titles."""
    return evaluated(write_run(tmp_path_factory.mktemp("runs") / "run", catalogue), catalogue)


def write_run(folder: Path, catalogue: Catalogue, recipe: Recipe = RECIPE) -> ScriptedRun:
    """A run on the catalogue's own split."""
    return write_scripted_run(folder, recipe, catalogue, catalogue.folder / "splits.csv")


def evaluated(run: ScriptedRun, catalogue: Catalogue) -> Evaluation:
    """Its evaluation."""
    return evaluate(run, answer_test_split(run, catalogue))


def counting(model: ScriptedClassifier, asked: list[int]) -> ScriptedClassifier:
    """The same classifier, which notes about how many rows it is asked each time."""

    class Counting(ScriptedClassifier):
        def __init__(self) -> None:
            pass

        def predict(self, rows: Any, batch_size: int, verbose: int) -> dict[str, Any]:
            asked.append(len(next(iter(rows.values())) if isinstance(rows, dict) else rows))
            return model.predict(rows, batch_size, verbose)

        def count_params(self) -> int:
            return model.count_params()

    return Counting()


def test_every_way_to_ask_has_a_row(catalogue: Catalogue, evaluation: Evaluation):
    """Fusion with each set of inputs comes first, then each classifier alone; rows without a picture count where none is used."""
    split = [line.split(",") for line in (catalogue.folder / "splits.csv").read_text().splitlines()[1:]]
    test = {product for product, name in split if name == "test"}
    pictured = {product.id for product in catalogue.products() if product.picture} & test
    assert 0 < len(pictured) < len(test)
    clean = [each for each in evaluation.figures if each.condition == CLEAN]
    assert [(each.model, each.inputs, each.rows) for each in clean] == [
        (FUSION, BOTH, len(pictured)),
        (FUSION, "picture alone", len(pictured)),
        (FUSION, "title alone", len(test)),
        ("image_classifier", "picture", len(pictured)),
        ("title_classifier", "title", len(test)),
        ("linear model on 16x16 thumbnails", "picture", len(pictured)),
        ("TF-IDF + linear SVM", "title", len(test)),
        ("linear models together", BOTH, len(pictured)),
        ("most frequent category", "nothing", len(test)),
    ]
    assert [(each.model, each.inputs) for each in evaluation.breakdowns] == [
        (each.model, each.inputs) for each in clean[:5]
    ]
    assert evaluation.main == clean[0]


def test_disturbed_inputs_are_asked_of_their_classifier_and_of_fusion(evaluation: Evaluation):
    """Each disturbance has a row for the modality's own classifier and one for fusion with all inputs, and no other."""
    disturbed = [each for each in evaluation.figures if each.condition != CLEAN]
    by_condition: dict[str, list[str]] = {}
    for each in disturbed:
        by_condition.setdefault(each.condition, []).append(f"{each.model}, {each.inputs}")
    pictures = [f"{FUSION}, {BOTH}", "image_classifier, picture"]
    titles = [f"{FUSION}, {BOTH}", "title_classifier, title"]
    assert by_condition == {
        "picture blurred": pictures,
        "picture darkened": pictures,
        "picture as a poor JPEG": pictures,
        "title with typos": titles,
        "title with words dropped": titles,
        "title without category words": titles,
    }
    complete = evaluation.main.rows
    assert all(each.rows == complete for each in disturbed)
    confidences = {each.expected_calibration_error for each in disturbed if each.model == "image_classifier"}
    assert len(confidences) > 1  # the pictures that were asked about are not the same


def test_hashes_and_costs_are_stated(catalogue: Catalogue, evaluation: Evaluation):
    """The evaluation names catalogue, split, seed and rows, and what each classifier took to train."""
    record = json.loads((catalogue.folder / "splits.json").read_text())
    assert evaluation.origin.catalogue_sha256 == catalogue.content_hash
    assert evaluation.origin.split_sha256 == record["splits_sha256"]
    assert evaluation.origin.recipe == json.loads(RECIPE.to_json())
    assert evaluation.origin.rows["test"] == evaluation.figures[-1].rows
    image, title = evaluation.training["image_classifier"], evaluation.training["title_classifier"]
    assert (image.epochs, image.best_epoch, image.seconds_per_epoch, image.seconds) == (2, 1, 3.0, 9.0)
    assert title.seconds == 6.0  # not timed as a whole: its epochs
    assert (image.hardware, title.hardware) == ("3 processors", None)


def test_the_same_run_is_measured_alike_twice(catalogue: Catalogue, evaluation: Evaluation, tmp_path: Path):
    """Draws and disturbances repeat: but for its own seconds, a second evaluation is equal."""
    again = evaluated(write_run(tmp_path / "run", catalogue), catalogue)
    assert again.figures == evaluation.figures
    assert again.breakdowns == evaluation.breakdowns


def test_the_test_split_is_answered_once(catalogue: Catalogue, tmp_path: Path):
    """Figures and confidence are measured on the same answers: each network is asked about the whole test split once."""
    run = write_run(tmp_path / "run", catalogue)
    split = answer_test_split(run, catalogue)
    asked: dict[str, list[int]] = {name: [] for name in split.classifiers.models}
    assert len(split.outputs["image"].probabilities) == len(split.outputs["title"].probabilities) == len(split.test)
    for name, model in split.classifiers.models.items():
        split.classifiers.models[name] = counting(model, asked[name])
    evaluation, confidence = evaluate(run, split), measure_confidence(run, split)
    for name in ("image_classifier", "title_classifier"):
        assert asked[name]  # about disturbed and unknown products
        assert len(split.test) not in asked[name]
    # The classes themselves are the last level, so what is measured there is what the table of figures says.
    leaves = {(each.model, each.inputs): each for each in confidence.levels if each.level == 2}
    rows = {(each.model, split.classifiers.modalities[each.inputs]): each for each in evaluation.figures[:5]}
    assert leaves.keys() == rows.keys()
    for key, leaf in leaves.items():
        assert (leaf.accuracy, leaf.rows) == (rows[key].accuracy, rows[key].rows)
        assert leaf.coverage == {"0.95": rows[key].coverage_at_95, "0.98": rows[key].coverage_at_98}
    assert confidence.decisions == confidence.out_of_class == []  # a scripted run has no rules


def test_one_modality_has_no_fusion(catalogue: Catalogue, tmp_path: Path):
    """A run of titles alone is measured by its one classifier, which is also the one that the run is for."""
    run = write_run(tmp_path / "run", catalogue, RECIPE.with_modalities(["title"]))
    evaluation = evaluated(run, catalogue)
    assert {each.model for each in evaluation.figures} == {
        "title_classifier",
        "TF-IDF + linear SVM",
        "most frequent category",
    }
    assert (evaluation.main.model, evaluation.main.inputs) == ("title_classifier", "title")
    assert Evaluation.from_json(evaluation.to_json()) == evaluation


def test_the_table_has_a_line_for_each_row(evaluation: Evaluation):
    """The terminal's table shows model, inputs with their condition, rows and accuracy, and a dash where there is no figure."""
    heading, _, *lines = format_table(evaluation).splitlines()
    assert heading.split()[:4] == ["model", "given", "rows", "accuracy"]
    assert len(lines) == len(evaluation.figures)
    for line, figures in zip(lines, evaluation.figures, strict=True):
        assert line.startswith(figures.model)
        assert f" {figures.accuracy:.4f} " in line
    assert any("title with typos" in line for line in lines)
    assert lines[-1].split()[-3:] == ["-", "-", "-"]
