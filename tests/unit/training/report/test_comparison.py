"""Runs side by side."""

import dataclasses
import json
from pathlib import Path

import pytest

from aisle_training.export.serving_cost import ServingCost, write_serving_costs
from aisle_training.report.comparison import compare, name_runs, read_run
from tests.support.drawn_confidence import draw_confidence
from tests.support.drawn_evaluation import draw_evaluation, reported


def test_runs_that_differ_in_their_seed_alone_are_one_group():
    """Mean, sample standard deviation, lowest and highest are over the seeds; a run of another recipe stays apart."""
    recipe = dict(draw_evaluation().origin.recipe)
    other = reported("other", recipe={**recipe, "seed": 4, "name": "wider"})
    seeds = [reported(f"seed-{seed}", seed) for seed in range(3)]
    (group,) = compare([*seeds, other]).groups
    assert (group.name, group.seeds, group.runs) == ("tiny", [0, 1, 2], ["seed-0", "seed-1", "seed-2"])
    accuracies = [run.evaluation.main.accuracy for run in seeds]
    spread = group.rows[0].figures["accuracy"]
    assert spread.mean == pytest.approx(sum(accuracies) / 3)
    assert (spread.lowest, spread.highest) == (min(accuracies), max(accuracies))
    assert spread.deviation == pytest.approx((sum((each - spread.mean) ** 2 for each in accuracies) / 2) ** 0.5)


def test_a_figure_that_a_model_does_not_have_has_no_spread():
    """The baseline's rows have accuracy and F1 over the seeds, and no calibration error."""
    (group,) = compare([reported("a", 0), reported("b", 1)]).groups
    baseline = group.rows[-1]
    assert baseline.model == "most frequent class"
    assert set(baseline.figures) == {"accuracy", "macro_f1"}


def test_one_run_twice_is_no_spread():
    """Two runs with the same seed are no group: they say nothing about seeds."""
    assert compare([reported("a"), reported("b")]).groups == []


@pytest.mark.parametrize(
    ("field", "words"), [("catalogue_sha256", "another catalogue"), ("split_sha256", "another split")]
)
def test_runs_on_other_data_are_warned_of(field: str, words: str):
    """A run whose catalogue or split differs from the first one's is named, with what differs."""
    comparison = compare([reported("first"), reported("same", 1), reported("stranger", **{field: "0" * 64})])
    (warning,) = comparison.warnings
    assert warning.startswith(f"stranger: trained on {words} than first.")
    assert "same" not in warning


def test_runs_of_the_same_data_are_not_warned_of():
    """Runs that share catalogue, split and categories can be compared."""
    assert compare([reported("a"), reported("b", 1)]).warnings == []


def test_names_are_as_short_as_tells_runs_apart(tmp_path: Path):
    """A folder's name is the run's, with its parent's where two are named alike."""
    assert name_runs([tmp_path / "a", tmp_path / "b"]) == ["a", "b"]
    assert name_runs([tmp_path / "x" / "run", tmp_path / "y" / "run"]) == ["x/run", "y/run"]
    with pytest.raises(ValueError, match="named twice"):
        name_runs([tmp_path / "a", tmp_path / "b" / ".." / "a"])


def test_a_run_is_read_with_its_histories(tmp_path: Path):
    """Evaluation, learning curves and the place of the catalogue come from the run folder."""
    (tmp_path / "evaluation.json").write_text(draw_evaluation().to_json(), encoding="utf-8")
    (tmp_path / "data.json").write_text(json.dumps({"catalogue": "/shop/catalogue"}))
    (tmp_path / "history").mkdir()
    (tmp_path / "history" / "title_classifier.csv").write_text("epoch,seconds,val_accuracy\n1,2.5,0.75\n2,2.25,0.5\n")
    write_serving_costs(tmp_path / "exported.json", {"title_classifier": ServingCost(1000, 0.25)})
    run = read_run(tmp_path, "shop")
    assert run.costs == {"title_classifier": ServingCost(1000, 0.25)}
    assert run.confidence is None
    (tmp_path / "confidence.json").write_text(draw_confidence().to_json(), encoding="utf-8")
    assert read_run(tmp_path, "shop").confidence == draw_confidence()
    assert run.evaluation == draw_evaluation()
    assert run.histories == {
        "title_classifier": [
            {"epoch": 1.0, "seconds": 2.5, "val_accuracy": 0.75},
            {"epoch": 2.0, "seconds": 2.25, "val_accuracy": 0.5},
        ]
    }
    assert run.catalogue == Path("/shop/catalogue")


def test_the_json_holds_all_that_the_page_is_made_of():
    """Warnings, groups, every run's evaluation, confidence, costs and histories are in the JSON."""
    runs = [reported("a"), reported("b", 1)]
    runs[0] = dataclasses.replace(runs[0], confidence=draw_confidence(), costs={"x": ServingCost(1000, 0.25)})
    content = json.loads(json.dumps(compare(runs).to_plain()))
    assert content["runs"][0]["confidence"] == json.loads(draw_confidence().to_json())
    assert content["runs"][0]["costs"] == {"x": {"bytes": 1000, "milliseconds": 0.25}}
    assert content["runs"][1]["confidence"] is None
    assert [run["name"] for run in content["runs"]] == ["a", "b"]
    assert content["runs"][0]["evaluation"]["figures"][0]["accuracy"] == runs[0].evaluation.main.accuracy
    assert content["groups"][0]["rows"][0]["figures"]["accuracy"]["mean"] > 0
