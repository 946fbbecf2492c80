"""Classifiers of any runs in one table, on the page and on the terminal."""

import dataclasses

import pytest

from aisle_training.evaluation.evaluation import TrainingCost
from aisle_training.export.serving_cost import ServingCost
from aisle_training.report.comparison import ReportedRun, compare
from aisle_training.report.side_by_side import list_side_by_side
from aisle_training.report.table import format_seeds, format_side_by_side
from tests.support.drawn_evaluation import reported


@pytest.fixture
def run() -> ReportedRun:
    """A run whose three networks were timed, and exported."""
    drawn = reported("shop")
    training = {
        "image_classifier": TrainingCost(2000, 2, 1, 1.5, 40.0, "2 processors"),
        "title_classifier": TrainingCost(1000, 2, 1, 1.5, 10.0, "2 processors"),
        "fusion_classifier": TrainingCost(5, 1, 1, 1.5, 3.0, "1 GPU"),
    }
    names = list(training)
    costs = {
        name: ServingCost(bytes_, ms)
        for name, bytes_, ms in zip(names, [3_000_000, 1_000_000, 500_000], [2.0, 0.25, 0.05], strict=True)
    }
    return dataclasses.replace(drawn, evaluation=dataclasses.replace(drawn.evaluation, training=training), costs=costs)


def test_fusion_costs_what_all_networks_cost(run: ReportedRun):
    """Seconds, parameters, milliseconds and megabytes of fusion are sums over the networks that it answers from."""
    fusion, image, _ = list_side_by_side([run])
    assert (fusion.model, fusion.inputs, fusion.network) == (
        "fusion_classifier",
        "picture and title",
        "residual fusion",
    )
    assert (fusion.seconds, fusion.parameters, fusion.hardware) == (53.0, 3005, "2 processors, 1 GPU")
    assert (fusion.milliseconds, fusion.megabytes) == (pytest.approx(2.3), 4.5)
    assert (image.seconds, image.parameters, image.milliseconds, image.megabytes) == (40.0, 2000, 2.0, 3.0)
    assert image.network == run.evaluation.origin.recipe["modalities"]["image"]["network"]
    assert image.accuracy == run.evaluation.figures[1].accuracy


def test_a_run_that_was_not_exported_has_no_serving_cost(run: ReportedRun):
    """Without `exported.json`, or with a part of the networks in it, neither milliseconds nor megabytes are given."""
    some = {"image_classifier": run.costs["image_classifier"]}
    fusion, image, _ = list_side_by_side([dataclasses.replace(run, costs=some)])
    assert (fusion.milliseconds, fusion.megabytes) == (None, None)
    assert image.milliseconds == 2.0
    line = format_side_by_side([fusion]).splitlines()[2]
    assert line.split()[-2:] == ["-", "-"]


def test_baselines_stand_once_for_each_split(run: ReportedRun):
    """Runs on one split share its baselines, which have no costs and no network; another split has its own."""
    elsewhere = reported("elsewhere", split_sha256="0" * 64)
    rows = list_side_by_side([run, reported("again", 1), elsewhere])
    baselines = [row for row in rows if row.expected_calibration_error is None]
    assert [(row.run, row.model, row.network, row.seconds) for row in baselines] == [
        ("shop", "most frequent class", None, None),
        ("elsewhere", "most frequent class", None, None),
    ]
    assert rows[-2:] == baselines


def test_the_recipe_names_the_architecture(run: ReportedRun):
    """Members, n-grams and frozen layers are part of a network's name."""
    recipe = run.evaluation.origin.recipe
    image = {**recipe["modalities"]["image"], "network": "resnet50", "frozen_until": "all"}
    origin = dataclasses.replace(run.evaluation.origin, recipe={**recipe, "modalities": {"image": image}})
    changed = dataclasses.replace(run, evaluation=dataclasses.replace(run.evaluation, origin=origin))
    assert list_side_by_side([changed])[1].network == "resnet50, frozen"


def test_the_terminal_has_a_line_for_each_row(run: ReportedRun):
    """The table begins with run and recipe, and ends with milliseconds and megabytes."""
    heading, _, *lines = format_side_by_side(list_side_by_side([run])).splitlines()
    assert heading.split()[:5] == ["run", "recipe", "model", "network", "given"]
    assert len(lines) == 3
    assert lines[0].startswith("shop  tiny ")
    assert f" {run.evaluation.main.accuracy:.4f} " in lines[0]
    assert lines[0].split()[-3:] == ["3,005", "2.30", "4.50"]


def test_the_terminal_shows_the_spread_over_seeds():
    """Each figure has mean, sample standard deviation, lowest and highest over the seeds."""
    (group,) = compare([reported(f"seed-{seed}", seed) for seed in range(3)]).groups
    title, heading, _, *lines = format_seeds(group).splitlines()
    assert title == "3 runs of tiny, seeds 0, 1, 2"
    assert heading.split()[-4:] == ["mean", "deviation", "lowest", "highest"]
    spread = group.rows[0].figures["accuracy"]
    numbers = [spread.mean, spread.deviation, spread.lowest, spread.highest]
    assert lines[0].split()[-5:] == ["accuracy", *(f"{number:.4f}" for number in numbers)]
    blurred = [line for line in lines if "picture blurred" in line]
    assert [line.split()[-5] for line in blurred] == ["accuracy"]
