"""The evaluation as data."""

import json
from pathlib import Path

import pytest

from aisle_training.evaluation.evaluation import CLEAN, Evaluation
from tests.support.drawn_evaluation import CLASSES, ROWS, draw_evaluation


def test_an_evaluation_is_read_back_as_it_was_written(tmp_path: Path):
    """Every figure, curve and product id comes back equal from `evaluation.json`."""
    evaluation = draw_evaluation(seed=3)
    path = tmp_path / "evaluation.json"
    path.write_text(evaluation.to_json(), encoding="utf-8")
    assert Evaluation.read(path) == evaluation
    assert evaluation.origin.seed == 3


def test_the_main_figures_are_those_of_the_first_breakdown():
    """The model that a run is for is the one that is broken down first, on its inputs as they are."""
    main = draw_evaluation().main
    assert (main.model, main.inputs, main.condition) == ("fusion_classifier", "picture and title", CLEAN)


def test_the_file_is_plain_json():
    """Whoever reads the file with nothing but JSON finds classes, figures and null where there is no figure."""
    content = json.loads(draw_evaluation().to_json())
    assert content["classes"] == [list(path) for path in CLASSES]
    assert [row["expected_calibration_error"] is None for row in content["figures"]] == [False, False, False, True]
    assert sum(rows for _, _, rows in content["breakdowns"][0]["confusion"]) == ROWS


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{", "no evaluation"),
        ("[]", "no evaluation"),
        ('{"split": "test", "figures": []}', "it has version 1, expected 2: evaluate the run again"),
        ('{"version": 2}', "origin"),
    ],
)
def test_what_is_no_evaluation_is_refused(tmp_path: Path, text: str, fault: str):
    """A file of another version, or no evaluation at all, is refused with its path and what is wrong."""
    path = tmp_path / "evaluation.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=fault) as refused:
        Evaluation.read(path)
    assert str(path) in str(refused.value)


def test_a_run_without_evaluation_says_what_to_do(tmp_path: Path):
    """Where there is no file, the error names the step that is missing."""
    with pytest.raises(ValueError, match=r"holds no evaluation\.json: evaluate the run first"):
        Evaluation.read(tmp_path / "evaluation.json")
