"""What is measured of a run, and on which rows; the networks are scripts."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from aisle_training.catalogue.catalogue import Catalogue
from aisle_training.commands.catalogue import catalogue as catalogue_command
from aisle_training.evaluate import evaluate
from aisle_training.evaluation.evaluation import CLEAN, Evaluation
from aisle_training.evaluation.table import format_table
from aisle_training.recipes.tiny import RECIPE
from tests.support.drawn_catalogue import draw_products, write_catalogue
from tests.support.scripted_run import write_scripted_run

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
    folder = tmp_path_factory.mktemp("runs") / "run"
    return evaluate(write_scripted_run(folder, RECIPE, catalogue, catalogue.folder / "splits.csv"), catalogue)


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
        ("TF-IDF + linear SVM", "title", len(test)),
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


def test_the_same_run_is_measured_alike_twice(catalogue: Catalogue, evaluation: Evaluation, tmp_path: Path):
    """Draws and disturbances repeat: but for its own seconds, a second evaluation is equal."""
    again = evaluate(
        write_scripted_run(tmp_path / "run", RECIPE, catalogue, catalogue.folder / "splits.csv"), catalogue
    )
    assert again.figures == evaluation.figures
    assert again.breakdowns == evaluation.breakdowns


def test_one_modality_has_no_fusion(catalogue: Catalogue, tmp_path: Path):
    """A run of titles alone is measured by its one classifier, which is also the one that the run is for."""
    recipe = RECIPE.with_modalities(["title"])
    run = write_scripted_run(tmp_path / "run", recipe, catalogue, catalogue.folder / "splits.csv")
    evaluation = evaluate(run, catalogue)
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
