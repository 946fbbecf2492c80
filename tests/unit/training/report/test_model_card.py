"""Model cards."""

import dataclasses
import json
from pathlib import Path

import pytest

from aisle_training.export.serving_cost import ServingCost, read_serving_costs, write_serving_costs
from aisle_training.recipes.tiny import RECIPE
from aisle_training.report.model_card import ExportedEnsemble, render_model_card
from aisle_training.runs import RunFolder
from tests.support.drawn_confidence import draw_confidence
from tests.support.drawn_evaluation import CLASSES, ROWS, draw_evaluation

PRODUCT = ExportedEnsemble(
    "product_categorizer",
    "fusion_classifier",
    ["image_classifier", "fusion_classifier"],
    ["IMAGE", "TITLE"],
    len(CLASSES),
)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run folder with all that a card is made of, but its evaluation."""
    run = RunFolder(tmp_path)
    run.recipe_path.write_text(RECIPE.to_json())
    data = {
        "catalogue": "/home/someone/catalogue",
        "catalogue_sha256": "c" * 64,
        "rows": {"train": 400, "validation": 60},
        "weights": {"file": "start.weights.h5", "sha256": "a" * 64},
    }
    run.data_path.write_text(json.dumps(data))
    run.write_labels(CLASSES)
    return run


def cells_of(card: str, first: str) -> list[str]:
    """The cells of the first row of a table that begins with a text."""
    line = next(line for line in card.splitlines() if line.startswith(f"| {first}"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_card_gives_the_figures_of_its_own_classifier(run: RunFolder):
    """Accuracy, F1, ECE and coverage of each set of inputs and condition, baselines and confusions come from the evaluation."""
    evaluation = draw_evaluation()
    run.evaluation_path.write_text(evaluation.to_json(), encoding="utf-8")
    card = render_model_card(run, PRODUCT, {"image_classifier": ServingCost(2_000_000, 1.25)}, "Apache-2.0")
    main = evaluation.main
    cells = cells_of(card, "picture and title | as it is")
    assert cells[2:4] == [str(ROWS), f"{100 * main.accuracy:.1f} %"]
    assert cells[5] == f"{main.expected_calibration_error:.3f}"
    assert cells[7] == f"{100 * main.coverage_at_98:.1f} %"
    assert cells_of(card, "picture and title | picture blurred")[2] == str(ROWS)
    assert "most frequent class on nothing: accuracy 25.0 %" in card
    assert " taken for " in card
    assert cells_of(card, r"image\_classifier") == [r"image\_classifier", "1,234", "4", "2.00", "1.25"]
    assert "Apache-2.0" in card
    assert "c" * 64 in card
    assert "start.weights.h5" in card.replace("\\", "")


def test_a_card_says_nothing_of_other_models(run: RunFolder):
    """The card of the picture's ensemble has the picture's figures, one input, and no cost of the fusion."""
    run.evaluation_path.write_text(draw_evaluation().to_json(), encoding="utf-8")
    ensemble = ExportedEnsemble("image_categorizer", "image_classifier", ["image_classifier"], ["IMAGE"], len(CLASSES))
    card = render_model_card(run, ensemble, {})
    assert "| picture | as it is |" in card
    assert "picture and title" not in card
    assert "fusion\\_classifier" not in card
    assert "TITLE" not in card


def test_a_card_without_an_evaluation_says_so(run: RunFolder):
    """What was never measured is not known, and the card names the command that measures it."""
    card = render_model_card(run, PRODUCT, {})
    assert "**Not known.**" in card
    assert "`aisle evaluate` measures the run" in card
    assert "accuracy" not in card
    run.evaluation_path.write_text("{}")
    assert "evaluate the run again" in render_model_card(run, PRODUCT, {})


def test_a_card_holds_no_markup_of_strangers_and_no_place(run: RunFolder):
    """Categories are text, whatever they hold, and the folder of the catalogue stays at home."""
    run.evaluation_path.write_text(draw_evaluation(accuracy=0.6).to_json(), encoding="utf-8")
    card = render_model_card(run, PRODUCT, {}, "see <b>us</b>")
    assert r"Crates & \<Boxes\>" in card
    assert r"\<b\>us" in card
    assert "/home/someone" not in card
    assert "\n\n\n" not in card


def test_a_card_tells_decisions_and_what_becomes_of_unknown_products(run: RunFolder):
    """With decision rules a card speaks of thresholds and FAMILIARITY, and gives its own classifier's figures where they were measured."""
    assert "FAMILIARITY" not in render_model_card(run, PRODUCT, {})
    run.decisions_path.write_text("{}")
    unmeasured = render_model_card(run, PRODUCT, {})
    assert "| FAMILIARITY | output |" in unmeasured
    assert "95 % or 98 %, fitted on the validation split" in unmeasured
    assert "What they come to was not measured" in unmeasured
    confidence = draw_confidence()
    run.confidence_path.write_text(confidence.to_json(), encoding="utf-8")
    card = render_model_card(run, PRODUCT, {})
    strict, unknown = confidence.decisions[1], confidence.out_of_class[1]
    assert (
        f"| picture and title | 98 % | 400 | {100 * strict.auto:.1f} % | {100 * strict.auto_precision:.1f} % |" in card
    )
    assert f"| categories left out | picture and title | 98 % | 300 | {100 * unknown.auto:.1f} % |" in card
    assert "| picture | 98 % |" not in card
    assert "What they come to" not in card


def test_added_categories_are_told(run: RunFolder):
    """A card of a model to which categories were added says how many, and that the figures are without them."""
    grown = dataclasses.replace(PRODUCT, classes=len(CLASSES) + 2)
    assert f"each of {len(CLASSES) + 2} categories" in render_model_card(run, grown, {})
    assert "- 2 of the categories were added from examples" in render_model_card(run, grown, {})
    assert "were added" not in render_model_card(run, PRODUCT, {})


def test_serving_costs_are_read_back(tmp_path: Path):
    """What an export wrote of bytes and milliseconds comes back; a run that was never exported has none."""
    path = tmp_path / "exported.json"
    assert read_serving_costs(path) == {}
    costs = {"title_classifier": ServingCost(1000, 0.25)}
    write_serving_costs(path, costs)
    assert read_serving_costs(path) == costs
    path.write_text("[1]")
    with pytest.raises(ValueError, match="holds no serving costs"):
        read_serving_costs(path)
