"""Evaluations in sentences."""

import dataclasses

import numpy as np
import pytest

from aisle_training.classifiers import Answers
from aisle_training.evaluation.measuring import break_down, measure
from aisle_training.report.comparison import ReportedRun, compare
from aisle_training.report.wording import (
    category_names,
    margin,
    say_decisions,
    say_unknown,
    summarize,
    summarize_run,
    worst_confusions,
)
from tests.support.drawn_confidence import draw_confidence
from tests.support.drawn_evaluation import draw_answers, draw_evaluation, reported


def test_a_summary_says_the_figures():
    """Accuracy, coverage, calibration, the worst disturbance, the baseline, confusions and hard categories are told."""
    evaluation = draw_evaluation()
    main = evaluation.main
    told = " ".join(summarize_run(ReportedRun("run", evaluation, {}, {}, None)))
    assert f"{100 * main.accuracy:.1f} % of the products land in the right one of 4 categories" in told
    assert f"measured on {main.rows} products" in told
    assert "by itself" in told
    assert "Its confidence" in told
    assert "picture blurred, costs" in told
    assert "most frequent class on nothing, reaches 25.0 %" in told
    assert "It confuses most often: " in told
    assert "hardest categories" in told


def test_a_summary_says_what_the_decisions_come_to():
    """With figures about confidence, decided, reviewed and unknown products are told at the strictest precision."""
    confidence = draw_confidence()
    told = " ".join(summarize_run(dataclasses.replace(reported("run"), confidence=confidence)))
    strict = confidence.decisions[1]
    assert (strict.model, strict.precision) == ("fusion_classifier", 0.98)
    assert "With picture and title and thresholds fitted beforehand, asked for 98 of 100 decisions right" in told
    assert f"it decides {100 * strict.auto:.1f} % of the products by itself" in told
    assert f"{100 * strict.auto_precision:.1f} % of these decisions are right" in told
    unknown = confidence.out_of_class[1]
    assert 0 < unknown.auto < 1
    assert f"Of 300 products of categories that it never learnt, it decides {100 * unknown.auto:.1f} %" in told
    assert "never learnt" not in " ".join(summarize_run(reported("run")))


def test_what_is_never_decided_is_said():
    """A run whose thresholds let nothing through says so instead of a precision."""
    decided = dataclasses.replace(draw_confidence().decisions[0], auto=0.0, auto_precision=None)
    assert say_decisions([decided]).endswith("it decides no product by itself: nothing it says is sure enough.")
    assert say_decisions([]) == say_unknown([]) == ""


def test_a_model_without_errors_has_nothing_to_confess():
    """Where no product is wrong, no confusion and no hard category is named."""
    labels = np.arange(40, dtype=np.int32) % 4
    answers = Answers("fusion_classifier", "picture and title", np.arange(40), np.eye(4)[labels])
    evaluation = dataclasses.replace(
        draw_evaluation(),
        figures=[measure(answers, labels)],
        breakdowns=[break_down(answers, labels, [str(row) for row in range(40)])],
    )
    told = " ".join(summarize_run(ReportedRun("run", evaluation, {}, {}, None)))
    assert "100.0 % of the products land" in told
    assert "decide 100.0 % of the products by itself" in told
    assert "confuses" not in told
    assert "hardest" not in told


@pytest.mark.parametrize(
    ("error", "verdict"), [(0.004, "can be taken at its word"), (0.03, "is a rough guide"), (0.2, "misleads")]
)
def test_confidence_is_judged_by_its_error(error: float, verdict: str):
    """What a reader may think of a confidence follows from the calibration error."""
    evaluation = draw_evaluation()
    main = dataclasses.replace(evaluation.main, expected_calibration_error=error)
    changed = dataclasses.replace(evaluation, figures=[main, *evaluation.figures[1:]])
    told = " ".join(summarize_run(ReportedRun("run", changed, {}, {}, None)))
    assert f"Its confidence {verdict}: it is off by {100 * error:.1f} points" in told


@pytest.mark.parametrize(("ahead", "verdict"), [(0.01, "no more than chance may explain"), (0.4, "more than chance")])
def test_a_lead_is_told_from_chance(ahead: float, verdict: str):
    """On 120 products a lead of a point may be chance, one of forty points is not."""
    recipe = {**draw_evaluation().origin.recipe, "name": "weaker"}
    runs = [reported("strong"), reported("weak", recipe=recipe)]
    weaker = dataclasses.replace(runs[0].evaluation.main, accuracy=runs[0].evaluation.main.accuracy - ahead)
    runs[1] = dataclasses.replace(
        runs[1], evaluation=dataclasses.replace(runs[1].evaluation, figures=[weaker, *runs[1].evaluation.figures[1:]])
    )
    told = " ".join(summarize(compare(runs)))
    assert "Of 2 runs, strong is the most accurate" in told
    assert f"{100 * ahead:.1f} points ahead of weak" in told
    assert verdict in told


def test_seeds_are_one_contender():
    """Runs that differ only in their seed are told as a mean and a range, not as one ahead of the other."""
    told = " ".join(summarize(compare([reported("a", 0), reported("b", 1)])))
    assert "2 runs of the recipe tiny differ only in their seed" in told
    assert "ahead of" not in told


def test_runs_on_other_splits_are_not_held_against_each_other():
    """Where runs cannot be compared, none is said to be ahead."""
    assert "ahead of" not in " ".join(summarize(compare([reported("a"), reported("b", split_sha256="0" * 64)])))


def test_margin_by_hand():
    """90 of 100 lie within 6 points (Agresti and Coull: 92 of 104); a share of 1 has a margin, too."""
    assert margin(0.9, 100) == pytest.approx(1.96 * ((92 / 104) * (12 / 104) / 104) ** 0.5)
    assert 0.0 < margin(1.0, 1000) < margin(1.0, 100)


def test_categories_that_end_alike_are_named_in_full():
    """A last name that two categories share names neither."""
    names = category_names([("Men", "Shirts"), ("Women", "Shirts"), ("Women", "Skirts"), ("کتاب", "شعر")])
    assert names == ["Men > Shirts", "Women > Shirts", "Skirts", "\u2068شعر\u2069"]


def test_worst_confusions_leave_out_what_is_right():
    """Pairs come most frequent first, and no category is confused with itself."""
    answers, labels = draw_answers("title_classifier", "title", accuracy=0.5, rows=400)
    worst = worst_confusions(break_down(answers, labels, ["p"] * 400), 5)
    assert len(worst) == 5
    assert all(label != predicted for label, predicted, _ in worst)
    assert [rows for *_, rows in worst] == sorted((rows for *_, rows in worst), reverse=True)
